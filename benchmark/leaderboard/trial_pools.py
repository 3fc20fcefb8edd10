"""Every observer's answers to degraded images, right or wrong, gathered in pools that can be compared.

A pool is what one matrix may hold: the published experiments (people, published networks, and networks that were
shown the same experiments), or one collection of sets under one suite. Generated and published images never share one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Array, Suite, Trials
from benchmark.plugins import WITHIN
from benchmark.stimuli.catalogue import PUBLISHED_SPACE, canonical_condition
from benchmark.store import IMPORTED
from benchmark.transforms.listing import own_list

if TYPE_CHECKING:
    from benchmark.store import ObserverRow, Store

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
        name: [_with_role(store.trials((key,)), role) for role, key in mine.items()]
        for name, mine in keys.items()
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


def _published_answers(
    row: ObserverRow, parts: Sequence[Trials], judge: Suite | None
) -> Answered | None:
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
    return Answered(
        row.name, row.kind, training, Trials({**trials.columns, "seen": seen}, training=training)
    )


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
