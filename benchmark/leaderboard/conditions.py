"""Which degradations a transfer matrix has as columns, at which levels."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.errors import unknown_name
from benchmark.leaderboard.trial_pools import Pool, spelled
from benchmark.transforms.listing import own_list

#: Where people are near half right: the test conditions of the published matrix (Geirhos et al. 2018).
PAPER = (
    "colour/cr",
    "colour/bw",
    "contrast/c05",
    "low-pass/7",
    "high-pass/0.7",
    "phase-scrambling/90",
    "rotation/90",
    "salt-and-pepper/0.2",
    "uniform-noise/0.35",
)
TITLES = {"colour/cr": "colour", "colour/bw": "grey"}
CLEAN = ("", "clean")
LISTS = ("human", "imagenet-c")
WAYS = ("default", "levels", "mean", "half")
#: Space whose degradations share names, not sizes, with those of the paper.
SMALL = "world16"


@dataclass(frozen=True)
class Condition:
    """A column: one degradation. conditions: its levels, averaged where there are several."""

    degradation: str
    conditions: tuple[str, ...]

    @property
    def title(self) -> str:
        """In words: "grey", "uniform-noise 0.35", "gaussian_noise (5 levels)"."""
        if not self.degradation:
            return "clean"
        if len(self.conditions) > 1:
            return f"{self.degradation} ({len(self.conditions)} levels)"
        return TITLES.get(self.conditions[0], self.conditions[0].replace("/", " "))


def choose(pool: Pool, ways: Sequence[str]) -> tuple[Condition, ...]:
    """The columns of a pool.

    ways: "default": the published level of each degradation of the 2018 paper, else the level at which people are
    nearest to half right, else all levels averaged; "levels": every level; "mean": all levels averaged; "half": where
    people are nearest to half right; or patterns ("uniform-noise/*"). UnknownName where a pattern matches nothing.
    """
    present = _present(pool)
    return tuple(dict.fromkeys(one for way in ways for one in _columns(way, pool, present)))


def degradation_of(condition: str) -> str:
    """ "uniform-noise" of "uniform-noise/0.35"; "" of undistorted images."""
    return "" if condition in CLEAN else condition.partition("/")[0]


def family_of(degradation: str) -> str:
    """What the published lists group it with ("noise"); "" where they do not know it."""
    for name in LISTS:
        entry = own_list(name).get(degradation)
        if entry is not None:
            return entry.family
    return ""


def find_column(columns: Sequence[Condition], name: str) -> Condition:
    """The column of a degradation, a title or a condition. Raises UnknownName."""
    for column in columns:
        if name in (column.title, column.degradation) or (spelled(name),) == column.conditions:
            return column
    titles = [column.title for column in columns]
    raise unknown_name("test condition", name, titles, "Columns of `bench transfer`.")


def _present(pool: Pool) -> dict[str, list[str]]:
    """Degradation -> its conditions, in the order of the paper, then of the published lists, then by name."""
    names = {c for one in pool.answered for c in np.unique(one.trials["condition"]).tolist()}
    listed = [
        (entry, level)
        for name in LISTS
        for entry in own_list(name).values()
        for level in entry.levels
    ]
    levels = _places(spelled(entry.condition(level)) for entry, level in listed)
    kinds = _places(("", *map(degradation_of, PAPER), *(entry.name for entry, _ in listed)))

    def key(condition: str) -> tuple[int, str, int, float, str]:
        kind, level = degradation_of(condition), condition.rpartition("/")[2]
        known = levels.get(condition, len(levels))
        return kinds.get(kind, len(kinds)), kind, known, _number(level), condition

    found: dict[str, list[str]] = {}
    for name in sorted(names, key=key):
        found.setdefault(degradation_of(name), []).append(name)
    return found


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: at for at, name in enumerate(dict.fromkeys(names))}


def _number(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return 0.0


def _columns(way: str, pool: Pool, present: Mapping[str, list[str]]) -> Iterable[Condition]:
    if way in WAYS:
        return [one for name, mine in present.items() for one in _chosen(way, pool, name, mine)]
    every = [condition for mine in present.values() for condition in mine]
    found = [c for c in every if fnmatch.fnmatchcase(c, spelled(way))]
    if not found:
        raise unknown_name("condition", way, every, f"Or one of: {', '.join(WAYS)}.")
    return [Condition(degradation_of(c), (c,)) for c in found]


def _chosen(way: str, pool: Pool, name: str, mine: Sequence[str]) -> list[Condition]:
    """The columns of one degradation."""
    if way == "levels":
        return [Condition(name, (condition,)) for condition in mine]
    published = [condition for condition in mine if condition in PAPER]
    if way == "default" and published and pool.space != SMALL:
        return [Condition(name, (condition,)) for condition in published]
    half = None if way == "mean" else _nearest_half(pool, mine)
    if half is not None:
        return [Condition(name, (half,))]
    return [] if way == "half" else [Condition(name, tuple(_impaired(name, mine)))]


def _impaired(name: str, conditions: Sequence[str]) -> Sequence[str]:
    """The levels that impair the image: an average does not count an experiment's undistorted control."""
    entry = own_list("human").get(name)
    plain = {spelled(entry.condition(level)) for level in entry.plain} if entry else set()
    return [condition for condition in conditions if condition not in plain] or conditions


def _nearest_half(pool: Pool, conditions: Sequence[str]) -> str | None:
    """The condition in which people are nearest to half right; None without people."""
    people = [one.trials for one in pool.answered if one.kind == "human"]
    gaps = {}
    for condition in conditions:
        mine = [trials["right"][trials["condition"] == condition] for trials in people]
        means = [right.mean() for right in mine if len(right)]
        if means:
            gaps[condition] = abs(float(np.mean(means)) - 0.5)
    return min(gaps, key=lambda condition: gaps[condition], default=None)
