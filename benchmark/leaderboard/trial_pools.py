"""Answers to degraded images, in pools of comparable observers: the published experiments, or one collection of
stimulus sets under one suite; and a pool's conditions as columns. No pool mixes generated and published images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from benchmark.contracts import Array, Suite, Trials
from benchmark.failures import unknown_name
from benchmark.observer_trials import ImportedAnswers, Shown, scored_trials
from benchmark.plugins import WITHIN
from benchmark.stimuli.experiments import canonical_condition
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.store import ObserverRow, Store
from benchmark.transforms.listing import own_list

#: Where people are near half right: the test conditions of the published matrix (Geirhos et al. 2018).
PAPER = (
    "colour/cr", "colour/bw", "contrast/c05", "low-pass/7", "high-pass/0.7", "phase-scrambling/90", "rotation/90",
    "salt-and-pepper/0.2", "uniform-noise/0.35",
)  # fmt: skip
TITLES = {"colour/cr": "colour", "colour/bw": "grey"}
CLEAN = ("", "clean")
LISTS = ("human", "imagenet-c")
WAYS = ("default", "levels")
#: Space whose degradations share names, not sizes, with those of the paper.
SMALL = "world16"
_DECIMAL = re.compile(r"\d+(\.\d+)?")
#: Kinds that a pool leaves out: their answers belong to others, or follow from a rule.
ASIDE = ("ideal", "group")


@dataclass(frozen=True, kw_only=True)
class ObserverTrials:
    """One observer and its trials."""

    observer: str
    kind: str
    training: tuple[str, ...]
    # Columns "role", "condition" ("uniform-noise/0.35"; "" undistorted), "stimulus", and bool "right" and "seen" (under
    # a condition that its recipe trains on).
    trials: Trials


@dataclass(frozen=True, kw_only=True)
class TrialPool:
    """Observers of one label space on comparable stimuli."""

    title: str
    space: str
    categories: int  # of the label space (chance is 1/categories)
    members: tuple[ObserverTrials, ...]


def pools(store: Store, suites: Sequence[Suite], judge: Suite | None) -> list[TrialPool]:
    """Return the published experiments, then one pool per label space and collection of sets of each other suite, if it
    has observers. `suites` have degraded images (`degrades`). The suite `judge` decides by `seen` which published
    conditions a recipe trains on."""
    shown = [suite for suite in suites if _shows_experiments(suite)]
    collected = [_published(store, shown, judge)] if shown else []
    for suite in suites:
        if suite.seen is not None and suite not in shown:
            collected += _of_suite(store, suite)
    return [pool for pool in collected if pool.members]


def degrades(suite: Suite) -> bool:
    """Return whether a suite shows degraded images: the published experiments, or conditions that a recipe may have
    seen. Variants that stop conditions early do not count: their intervals do not hold for a matrix."""
    return (suite.seen is not None or _shows_experiments(suite)) and WITHIN not in suite.name


def _shows_experiments(suite: Suite) -> bool:
    return not set(own_list("human")).isdisjoint(suite.experiments.values())


def _published(store: Store, suites: Sequence[Suite], judge: Suite | None) -> TrialPool:
    keys: dict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
    for name, by_role in ImportedAnswers(store=store).main.items():
        keys[name] = {(role,): row.key for role, row in by_role.items()}
    for suite in suites:
        own: dict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
        for scored in scored_trials(store, suite):  # the oldest first: of several score sets the newest counts
            if scored.scores.space == PUBLISHED_SPACE:
                own[scored.observer.name] |= {(row.role, row.condition): row.key for row in scored.observations}
        for name, blocks in own.items():  # a variant adds the blocks that the plain suite does not show
            keys[name] = blocks | keys[name]
    rows = {row.name: row for row in store.observers()}
    members = []
    for name, answered in keys.items():
        trials = store.trials(tuple(answered.values())) if name in rows and rows[name].kind not in ASIDE else None
        graded = trials and trials.where(np.asarray(trials["condition"] != "", dtype=bool))
        if graded:
            parts = zip(graded["role"].tolist(), graded["condition"].tolist(), strict=True)
            condition = np.array(["/".join(part) for part in parts], dtype=str)
            columns = {"condition": condition, "role": np.full(len(graded), "")}
            members.append(_member(rows[name], graded, columns, judge))
    return TrialPool(title="published experiments", space=PUBLISHED_SPACE, categories=16, members=tuple(members))


def _of_suite(store: Store, suite: Suite) -> Iterator[TrialPool]:
    notes = {note.digest: note for note in store.stimuli_names()}
    groups: dict[Shown, dict[str, ObserverTrials]] = defaultdict(dict)
    for scored in scored_trials(store, suite):
        row = scored.observer
        if scored.observations and row.kind not in ASIDE and len(trials := scored.read(store)):
            columns = {name: trials[name] for name in ("condition", "role")}
            groups[scored.shown][row.name] = _member(row, trials, columns, suite)
    for (space, sets), members in sorted(groups.items(), key=lambda group: -len(group[1])):
        used = sorted({f"{notes[digest].name} ({digest[:8]})" for _, digest in sets})
        on = ", ".join(used) if len(used) <= 3 else f"{len(used)} stimulus sets"
        title, n = f"{suite.name} (version {suite.version}), {space}: {on}", 1000 if space == "imagenet1k" else 16
        yield TrialPool(title=title, space=space, categories=n, members=tuple(members.values()))


def _member(row: ObserverRow, trials: Trials, named: Mapping[str, Array], judge: Suite | None) -> ObserverTrials:
    """Return an observer of a pool. named: the columns "condition" (as stored) and "role"."""
    right = np.asarray(trials["response"] == trials["category"], dtype=bool)
    columns = {
        **named,
        "condition": _each(named["condition"], common_spelling),
        "stimulus": trials["stimulus"],
        "right": right,
    }
    seen = np.zeros(len(right), dtype=bool)
    if judge is not None and judge.seen is not None and row.training:
        shown = Trials(columns={**columns, "condition": _each(columns["condition"], _listed)})
        seen = np.asarray(judge.seen(row.training, shown), dtype=bool)
    trials = Trials(columns={**columns, "seen": seen}, training=row.training)
    return ObserverTrials(observer=row.name, kind=row.kind, training=row.training, trials=trials)


def common_spelling(condition: str) -> str:
    """Return one spelling per condition "name/level"."""
    name, slash, level = condition.partition("/")
    return f"{name}/{canonical_condition(name, level)}" if slash and level else condition


def _listed(condition: str) -> str:
    """Return the spelling of the published list: "uniform-noise/0.10" of "uniform-noise/0.1"."""
    entry = own_list("human").get(condition.partition("/")[0])
    listed = (entry.condition(level) for level in entry.levels) if entry else ()
    return next((name for name in listed if common_spelling(name) == condition), condition)


def _each(conditions: Array, change: Callable[[str], str]) -> Array:
    names, codes = np.unique(conditions, return_inverse=True)
    return np.array([change(name) for name in names.tolist()], dtype=str)[codes]


@dataclass(frozen=True)
class TransferColumn:
    """A column: one degradation."""

    degradation: str
    conditions: tuple[str, ...]  # its levels, averaged

    @property
    def title(self) -> str:
        """In words: "grey", "uniform-noise 0.35", "gaussian_noise (5 levels)"."""
        if not self.degradation:
            return "clean"
        if len(self.conditions) > 1:
            return f"{self.degradation} ({len(self.conditions)} levels)"
        return TITLES.get(self.conditions[0], self.conditions[0].replace("/", " "))


def transfer_columns(pool: TrialPool, ways: Sequence[str]) -> tuple[TransferColumn, ...]:
    """Return the columns of a pool. By "default" these are the published level of each degradation of the 2018 paper,
    otherwise the level at which people are nearest to half right, otherwise the mean of levels. `ways` may also be
    "levels" (every level) or patterns ("uniform-noise/*"). Raises UnknownName if a pattern matches nothing."""
    present = _present(pool)
    every = [condition for levels in present.values() for condition in levels]
    columns: list[TransferColumn] = []
    for way in ways:
        if way in WAYS:
            parts = [(kind, part) for kind, levels in present.items() for part in _levels(way, pool, kind, levels)]
        else:
            parts = [(degradation_of(c), (c,)) for c in every if fnmatchcase(c, common_spelling(way))]
            if not parts:
                raise unknown_name("condition", way, every, f"Or one of: {', '.join(WAYS)}.")
        columns += [TransferColumn(kind, conditions) for kind, conditions in parts]
    return tuple(dict.fromkeys(columns))


def degradation_of(condition: str) -> str:
    """Return "uniform-noise" for "uniform-noise/0.35", "" for undistorted images."""
    return "" if condition in CLEAN else condition.partition("/")[0]


def _present(pool: TrialPool) -> dict[str, list[str]]:
    """Return degradation -> its conditions, in the order of the paper, then of the published lists, then by name."""
    listed = [(entry, level) for name in LISTS for entry in own_list(name).values() for level in entry.levels]
    levels = list(dict.fromkeys(common_spelling(entry.condition(level)) for entry, level in listed))
    kinds = list(dict.fromkeys(("", *map(degradation_of, PAPER), *(entry.name for entry, _ in listed))))
    level_places, kind_places = ({name: i for i, name in enumerate(names)} for names in (levels, kinds))

    def place(condition: str) -> tuple[int, str, int, float, str]:
        kind, level = degradation_of(condition), condition.rpartition("/")[2]
        number = float(level) if _DECIMAL.fullmatch(level) else 0.0
        return kind_places.get(kind, len(kinds)), kind, level_places.get(condition, len(levels)), number, condition

    present: dict[str, list[str]] = defaultdict(list)
    for name in sorted({c for m in pool.members for c in np.unique(m.trials["condition"]).tolist()}, key=place):
        present[degradation_of(name)].append(name)
    return present


def _levels(way: str, pool: TrialPool, kind: str, levels: Sequence[str]) -> list[tuple[str, ...]]:
    if way == "levels":
        return [(condition,) for condition in levels]
    published: list[tuple[str, ...]] = [(condition,) for condition in levels if condition in PAPER]
    if published and pool.space != SMALL:
        return published
    gaps: dict[str, float] = {}  # how far people are from half right
    people = [member.trials for member in pool.members if member.kind == "human"]
    for name in levels:
        answers = [trials["right"][trials["condition"] == name] for trials in people]
        if means := [right.mean() for right in answers if len(right)]:
            gaps[name] = abs(float(np.mean(means)) - 0.5)
    if gaps:
        return [(min(gaps, key=lambda condition: gaps[condition]),)]
    # An average does not count an experiment's undistorted control.
    entry = own_list("human").get(kind)
    plain = {common_spelling(entry.condition(level)) for level in entry.plain} if entry else set()
    return [tuple(condition for condition in levels if condition not in plain) or tuple(levels)]
