"""Attacks of other packages: entry points of the group `bench.attacks`, each an `Attack` with the name of its variant,
"adversarial:NAME". To read a leaderboard imports them, so such a package must not import torch at module level."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from itertools import pairwise
from typing import Any

from benchmark.failures import PluginError, load_each
from suites.adversarial.config import PROTOCOLS, QUICK, NormName

EPSILONS: Mapping[NormName, tuple[float, ...]] = {threat.norm: threat.epsilons for threat in QUICK.threats}
_NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack. `points(forward, images, labels, epsilon, seeds)` returns perturbed images, shaped like `images`,
    within epsilon and in [0,1], or unchanged. A result depends on no other image of the batch.

    `forward` maps [n, c, h, w] float32 in [0,1] to logits [n, categories]: a differentiable `torch.nn.Module` in
    evaluation mode. `images` are one device batch of correctly answered images, `labels` [n] the positions of the
    correct categories. `epsilon` is the largest norm, in units of [0,1] pixels; `seeds` [n] uint64 are for random
    numbers. `epsilons` are the budgets, ascending (none: the suite's own in that norm)."""

    title: str
    norm: NormName
    points: Callable[..., Any]
    epsilons: tuple[float, ...] = ()

    @property
    def budgets(self) -> tuple[float, ...]:
        """Return the epsilons at which it is tried."""
        return self.epsilons or EPSILONS[self.norm]


def load_attack(entry: EntryPoint) -> Attack:
    """Return the attack of an entry point. Raises PluginError if it cannot be used."""
    attack = entry.load()
    if not isinstance(attack, Attack) or attack.norm not in EPSILONS or not isfunction(attack.points):
        raise PluginError(
            f"expected a gestaltbench.attacks.Attack with a norm of {', '.join(EPSILONS)} and a plain function, on "
            "whose code numbers depend"
        )
    if not all(low < high for low, high in pairwise((0.0, *attack.epsilons))):
        raise PluginError(f"epsilons {attack.epsilons}: expected numbers above 0 that ascend")
    if not _NAME.fullmatch(entry.name) or entry.name in PROTOCOLS:
        raise PluginError("the name: expected at most 30 small letters, digits and single hyphens, and no variant's")
    return attack


#: Attacks by name, and the reason for each that cannot be used.
ATTACKS, BROKEN = load_each(entry_points(group="bench.attacks"), load_attack)
