"""Attacks of other packages, found through the entry-point group `bench.attacks`.

An entry point names an `Attack`; its own name is that of the variant, "adversarial:NAME". This module is imported where
a leaderboard is read, so a package that offers one must not import torch at module level."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from itertools import pairwise
from typing import Any

from benchmark.errors import PluginError
from benchmark.third_party import load_each
from suites.adversarial.config import L1, L2, LINF, PROTOCOLS, NormName

EPSILONS: Mapping[NormName, tuple[float, ...]] = {threat.norm: threat.epsilons for threat in (LINF, L2, L1)}
_NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A way to perturb images. points(forward, images, labels, epsilon, seeds) -> perturbed images, like `images`.

    forward: [n, c, h, w] float32 in [0,1] -> logits [n, categories], differentiable; a `torch.nn.Module` in evaluation
    mode; images: one device batch, all of which are answered rightly; labels: [n] positions of the right categories;
    epsilon: the largest norm of a perturbation, in units of [0,1] pixels; seeds: [n] uint64, an image's own, for
    whatever is drawn. What comes back lies within epsilon of the image and in [0,1], and depends on no other image of
    the batch. An image that cannot be broken comes back as it was, or as near as the attack came.

    norm: of epsilon; epsilons: the budgets, ascending (none: the suite's own in that norm)."""

    title: str
    norm: NormName
    points: Callable[..., Any]
    epsilons: tuple[float, ...] = ()

    @property
    def budgets(self) -> tuple[float, ...]:
        """The epsilons at which it is tried."""
        return self.epsilons or EPSILONS[self.norm]


def read_added(entries: Iterable[EntryPoint]) -> tuple[Mapping[str, Attack], Mapping[str, str]]:
    """Attacks by name, and name -> why it cannot be used: such a one is named with the reason and stops nobody."""
    return load_each(entries, _load)


def _load(entry: EntryPoint) -> Attack:
    if not _NAME.fullmatch(entry.name):
        raise PluginError("the name: expected at most 30 small letters, digits and single hyphens")
    if entry.name in PROTOCOLS:
        raise PluginError("the name is that of a variant of the suite")
    attack = entry.load()
    if not isinstance(attack, Attack):
        raise PluginError(f"expected a gestaltbench.attacks.Attack, got {type(attack).__name__}")
    if attack.norm not in EPSILONS:
        raise PluginError(f"norm '{attack.norm}': expected one of {', '.join(EPSILONS)}")
    if not all(low < high for low, high in pairwise((0.0, *attack.epsilons))):
        raise PluginError(f"epsilons {attack.epsilons}: expected numbers above 0 that ascend")
    if not isfunction(attack.points):
        raise PluginError("expected a plain function: its code is part of what a number depends on")
    return attack


ATTACKS, BROKEN = read_added(entry_points(group="bench.attacks"))
