"""Every observer's answers to degraded images, right or wrong, gathered in pools that can be compared; and
the conditions of a pool as columns.

A pool is what one matrix may hold: the published experiments (people, published networks, and networks that were
shown the same experiments), or one collection of sets under one suite. Generated and published images never share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Array, Suite, Trials
from benchmark.errors import unknown_name
from benchmark.plugins import WITHIN
from benchmark.stimuli.catalogue import PUBLISHED_SPACE, canonical_condition
from benchmark.store import IMPORTED
from benchmark.transforms.listing import own_list

if TYPE_CHECKING:
    from benchmark.store import ObserverRow, Store

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
_DECIMAL = re.compile(r"\d+(\.\d+)?")
#: Answers of these are no observer's own, or no observer's at all.
ASIDE = ("ideal", "group")


@dataclass(frozen=True)
class Answered:
    """One observer. trials: columns "role", "condition" ("uniform-noise/0.35"; "" undistorted), "stimulus", and
    bool "right" and "seen" (under a condition that its recipe trains on), one value per trial."""

    observer: str
    kind: str
    training: tuple[str, ...]
    trials: Trials


@dataclass(frozen=True)
class Pool:
    """Observers of one decision space on comparable stimuli. categories: of the space (chance is 1/categories)."""

    title: str
    space: str
    categories: int
    answered: tuple[Answered, ...]

    def only(self, patterns: Sequence[str]) -> Pool:
        """People, and the observers that match one of the patterns."""
        globs = [pattern.strip() for pattern in patterns]
        kept = tuple(
            one
            for one in self.answered
            if one.kind == "human" or any(fnmatchcase(one.observer, glob) for glob in globs)
        )
        return replace(self, answered=kept)


def pools(store: Store, suites: Sequence[Suite], judge: Suite | None) -> list[Pool]:
    """The published experiments first, then one pool per space and collection of sets of each other suite.

    suites: of these the ones with degraded images count (`degrades`); judge: the suite whose `seen` tells which
    published conditions a recipe trains on. Pools of nobody are left out.
    """
    shown = [suite for suite in suites if _shows_experiments(suite)]
    found = [_published(store, shown, judge)] if shown else []
    for suite in suites:
        if suite.seen is not None and suite not in shown:
            found += _of_suite(store, suite)
    return [pool for pool in found if pool.answered]


def degrades(suite: Suite) -> bool:
    """Whether a suite shows degraded images: the published experiments, or conditions that a recipe may have seen.

    A variant that stops conditions early is not meant: its intervals hold for what it shows, not for a matrix.
    """
    return (suite.seen is not None or _shows_experiments(suite)) and WITHIN not in suite.name


def _shows_experiments(suite: Suite) -> bool:
    return not set(own_list("human")).isdisjoint(suite.experiments.values())


def _published(store: Store, suites: Sequence[Suite], judge: Suite | None) -> Pool:
    """Imported trials, and what networks answered under suites that show the published experiments."""
    observers = {row.name: row for row in store.observers()}
    names = {note.digest: note.name for note in store.stimuli_names()}
    keys: dict[str, dict[str, str]] = {}
    # Oldest first: of two imports the newer counts. Of several prompts the source's first comes last.
    stored = store.observations(suite=IMPORTED)
    stored.sort(key=lambda one: one.details.get("order", [-1]), reverse=True)
    for one in stored:
        keys.setdefault(one.observer_name, {})[names[one.stimuli]] = one.key
    parts = {
        name: [_with_role(store.trials((key,)), role) for role, key in mine.items()] for name, mine in keys.items()
    }
    for suite in suites:
        for name, space, _, trials in _runs(store, suite):
            if space == PUBLISHED_SPACE:
                parts.setdefault(name, []).append(trials)
    answered = [_published_answers(observers[name], mine, judge) for name, mine in parts.items()]
    told = tuple(one for one in answered if one is not None and one.kind not in ASIDE)
    return Pool("published experiments", PUBLISHED_SPACE, 16, told)


def _with_role(trials: Trials, role: str) -> Trials:
    return replace(trials, columns={**trials.columns, "role": np.full(len(trials), role)})


def _published_answers(row: ObserverRow, parts: Sequence[Trials], judge: Suite | None) -> Answered | None:
    """Trials of experiments with several conditions, each named "experiment/condition"."""
    graded = [part.where(np.asarray(part["condition"] != "", dtype=bool)) for part in parts]
    kept = [_named(part) for part in graded if len(part)]
    if not kept:
        return None
    columns = {name: np.concatenate([part[name] for part in kept]) for name in kept[0].columns}
    trials = Trials({**columns, "role": np.full(len(columns["right"]), "")})
    return _answered(row, trials, judge)


def _named(trials: Trials) -> Trials:
    pairs = zip(trials["role"].tolist(), trials["condition"].tolist(), strict=True)
    condition = _each(np.array([f"{role}/{name}" for role, name in pairs]), spelled)
    return Trials({"condition": condition, "stimulus": trials["stimulus"], "right": right(trials)})


def _of_suite(store: Store, suite: Suite) -> Iterator[Pool]:
    """One pool per decision space and collection of stimulus sets that observers were scored on."""
    observers = {row.name: row for row in store.observers()}
    notes = {note.digest: note for note in store.stimuli_names()}
    groups: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, Answered]] = {}
    for name, space, sets, trials in _runs(store, suite):
        if observers[name].kind in ASIDE or not len(trials):
            continue
        columns = {column: trials[column] for column in ("role", "stimulus")}
        columns |= {"condition": _each(trials["condition"], spelled), "right": right(trials)}
        group = groups.setdefault((space, frozenset(sets.items())), {})
        group[name] = _answered(observers[name], Trials(columns), suite)
    for (space, shown), members in sorted(groups.items(), key=lambda one: -len(one[1])):
        used = sorted({f"{notes[digest].name} ({digest[:8]})" for _, digest in shown})
        on = ", ".join(used) if len(used) <= 3 else f"{len(used)} stimulus sets"
        title = f"{suite.name} (version {suite.version}), {space}: {on}"
        size = 1000 if space == "imagenet1k" else 16
        yield Pool(title, space, size, tuple(members.values()))


def _runs(store: Store, suite: Suite) -> Iterator[tuple[str, str, Mapping[str, str], Trials]]:
    """(observer, space, role -> stimuli, trials) of every current score set of an observer's own runs."""
    names = {row.id: row.name for row in store.observers()}
    own = {(o.observer, o.key) for o in store.observations(suite=suite.name)}
    for made in store.score_sets(suite.name):
        keys = tuple(key for key in made.keys if (made.observer, key) in own)
        if made.observer in names and keys:
            yield names[made.observer], made.space, made.stimuli, store.trials(keys)


def _answered(row: ObserverRow, trials: Trials, judge: Suite | None) -> Answered:
    training = row.training
    seen = np.zeros(len(trials), dtype=bool)
    if judge is not None and judge.seen is not None and training:
        shown = Trials({**trials.columns, "condition": _each(trials["condition"], _listed)})
        seen = np.asarray(judge.seen(training, shown), dtype=bool)
    return Answered(row.name, row.kind, training, Trials({**trials.columns, "seen": seen}, training=training))


def right(trials: Trials) -> Array:
    """[n] bool: the answer is the image's category."""
    return np.asarray(trials["response"] == trials["category"], dtype=bool)


def spelled(condition: str) -> str:
    """One spelling per condition "name/level"."""
    name, slash, level = condition.partition("/")
    return f"{name}/{canonical_condition(name, level)}" if slash and level else condition


def _listed(condition: str) -> str:
    """The spelling of the published list: "uniform-noise/0.10" of "uniform-noise/0.1"."""
    entry = own_list("human").get(condition.partition("/")[0])
    listed = (entry.condition(level) for level in entry.levels) if entry else ()
    return next((name for name in listed if spelled(name) == condition), condition)


def _each(conditions: Array, change: Callable[[str], str]) -> Array:
    names, at = np.unique(conditions, return_inverse=True)
    return np.array([change(name) for name in names.tolist()], dtype=str)[at]


# Conditions as columns: one degradation at one level or over several.


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
    raise unknown_name("test condition", name, titles, "Columns of `bench compare transfer`.")


def _present(pool: Pool) -> dict[str, list[str]]:
    """Degradation -> its conditions, in the order of the paper, then of the published lists, then by name."""
    names = {c for one in pool.answered for c in np.unique(one.trials["condition"]).tolist()}
    listed = [(entry, level) for name in LISTS for entry in own_list(name).values() for level in entry.levels]
    levels = _places(spelled(entry.condition(level)) for entry, level in listed)
    kinds = _places(("", *map(degradation_of, PAPER), *(entry.name for entry, _ in listed)))

    def key(condition: str) -> tuple[int, str, int, float, str]:
        kind, level = degradation_of(condition), condition.rpartition("/")[2]
        known = levels.get(condition, len(levels))
        number = float(level) if _DECIMAL.fullmatch(level) else 0.0
        return kinds.get(kind, len(kinds)), kind, known, number, condition

    found: dict[str, list[str]] = {}
    for name in sorted(names, key=key):
        found.setdefault(degradation_of(name), []).append(name)
    return found


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: at for at, name in enumerate(dict.fromkeys(names))}


def _columns(way: str, pool: Pool, present: Mapping[str, list[str]]) -> Iterable[Condition]:
    if way in WAYS:
        return [one for name, mine in present.items() for one in _chosen(way, pool, name, mine)]
    every = [condition for mine in present.values() for condition in mine]
    found = [c for c in every if fnmatchcase(c, spelled(way))]
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
