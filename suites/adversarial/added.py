"""Attacks of other packages, found through the entry-point group `bench.attacks`.

An entry point names an `Attack`; its own name is that of the variant, "adversarial:NAME". This module is imported where
a leaderboard is read, so a package that offers one must not import torch at module level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from typing import Any, get_args

from benchmark.errors import PluginError
from benchmark.identity import code_digest
from benchmark.third_party import load_each
from suites.adversarial.config import L1, L2, LINF, PROTOCOLS, NormName

GROUP = "bench.attacks"
EPSILONS: Mapping[NormName, tuple[float, ...]] = {one.norm: one.epsilons for one in (LINF, L2, L1)}
_NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Attack:
    """A way to perturb images. points(forward, images, labels, epsilon, seeds) -> perturbed images, like `images`.

    forward: [n, c, h, w] float32 in [0,1] -> logits [n, categories], differentiable; a `torch.nn.Module` in evaluation
    mode; images: one device batch, all of which are answered rightly; labels: [n] positions of the right categories;
    epsilon: the largest norm of a perturbation, in units of [0,1] pixels; seeds: [n] uint64, an image's own, for
    whatever is drawn. What comes back lies within epsilon of the image and in [0,1], and depends on no other image of
    the batch. An image that cannot be broken comes back as it was, or as near as the attack came.

    norm: of epsilon; epsilons: the budgets, ascending (none: the suite's own in that norm).
    """

    title: str
    norm: NormName
    points: Callable[..., Any]
    epsilons: tuple[float, ...] = ()

    @property
    def budgets(self) -> tuple[float, ...]:
        """The epsilons at which it is tried."""
        return self.epsilons or EPSILONS[self.norm]


@dataclass(frozen=True)
class Added:
    """What other packages add, by name. broken: name -> why it cannot be used."""

    attacks: Mapping[str, Attack]
    broken: Mapping[str, str]

    def code(self, name: str) -> str:
        """The digest of an attack's code: it decides what is stored of an image. "" for one that is broken."""
        return code_digest(self.attacks[name].points) if name in self.attacks else ""


def read_added(entries: Iterable[EntryPoint]) -> Added:
    """Load every entry point. One that cannot be used is named with the reason and stops nobody."""
    return Added(*load_each(entries, _load))


def _load(entry: EntryPoint) -> Attack:
    if not _NAME.fullmatch(entry.name):
        raise PluginError("the name: expected at most 30 small letters, digits and single hyphens")
    if entry.name in PROTOCOLS:
        raise PluginError("the name is that of a variant of the suite")
    found = entry.load()
    if not isinstance(found, Attack):
        raise PluginError(f"expected a gestaltbench.attacks.Attack, got {type(found).__name__}")
    if found.norm not in get_args(NormName):
        raise PluginError(f"norm '{found.norm}': expected one of {', '.join(get_args(NormName))}")
    if not all(low < high for low, high in zip((0.0, *found.epsilons), found.epsilons, strict=False)):
        raise PluginError(f"epsilons {found.epsilons}: expected numbers above 0 that ascend")
    if not isfunction(found.points):
        raise PluginError("expected a plain function: its code is part of what a number depends on")
    return found


ADDED = read_added(entry_points(group=GROUP))
