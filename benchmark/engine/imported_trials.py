"""Imported trials as they count: what each observer answered of which sets, and by which prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.contracts import Coded, Suite, Trials
from benchmark.contracts.columns import Column, Columns, held
from benchmark.stack_columns import stacked_codes
from benchmark.store.rows import IMPORTED, Observation, StoredObservation

if TYPE_CHECKING:
    from benchmark.store import Standings, Store

Sets = Mapping[str, str]  # role -> stimuli digest
Found = dict[str, StoredObservation]  # role -> an imported observer's trials of it
Who = tuple[str, str]  # observer, experiment
Ways = dict[str, StoredObservation]  # prompt -> an observer's trials by it


@dataclass(frozen=True)
class Images:
    """A store whose sets are read once."""

    store: Standings
    _images: dict[str, frozenset[str]] = field(default_factory=dict)

    def images(self, digest: str) -> frozenset[str]:
        """The names of a set's images."""
        if digest not in self._images:
            self._images[digest] = frozenset(self.store.stimuli(digest).ids)
        return self._images[digest]


@dataclass(frozen=True)
class Remembered(Images):
    """A store whose trials are read once, too: scoring a hundred observers asks for each a dozen times."""

    store: Store
    _trials: dict[tuple[str, ...], Trials] = field(default_factory=dict)

    def trials(self, keys: Sequence[str]) -> Trials:
        """The trials of observations."""
        asked = tuple(keys)
        if asked not in self._trials:
            self._trials[asked] = self.store.trials(asked)
        return self._trials[asked]


def imported_groups(store: Store) -> dict[str, tuple[str, str]]:
    """Imported observers by name: people or published networks, of which source."""
    rows = store.observers_of(("human", "published"))
    return {row.name: (row.kind, str(row.card.get("source", ""))) for row in rows}


def commonest(answered: Sequence[Found]) -> Sets:
    """role -> the set that most of these observers answered; every role that any of them answered."""
    votes: dict[str, Counter[str]] = {}
    for found in answered:
        for role, observation in found.items():
            votes.setdefault(role, Counter())[observation.stimuli] += 1
    return {role: min(count, key=lambda d: (-count[d], d)) for role, count in sorted(votes.items())}


def imported_roles(store: Standings, suite: Suite) -> dict[str, Found]:
    """Imported observers by name: what each answered of the suite's stimuli, by role."""
    found: dict[str, Found] = {}
    for name, answers in main_answers(store).items():
        for experiment, observation in answers.items():
            role = suite.experiments.get(experiment)
            if role is not None:
                found.setdefault(name, {})[role] = observation
    return found


def main_answers(store: Standings) -> dict[str, Found]:
    """Imported observers by name: what counts of each by experiment. Of several imports the newest; of several ways
    of asking the one that its source puts first.
    """
    found: dict[str, Found] = {}
    for (name, experiment), ways in answers_by_prompt(store).items():
        found.setdefault(name, {})[experiment] = next(iter(ways.values()))
    return found


def answers_by_prompt(store: Standings) -> dict[Who, Ways]:
    """(observer, experiment) -> prompt ("" where there is none) -> the answers that count, the usual prompt first."""
    found: dict[Who, Ways] = {}
    for one in store.observations(suite=IMPORTED):
        prompt = one.details.get("prompt", "")
        found.setdefault((one.observer_name, one.role), {})[prompt] = one
    return {
        key: dict(sorted(ways.items(), key=lambda pair: pair[1].details.get("order", [-1])))
        for key, ways in found.items()
    }


def covered(store: Remembered, found: Found, sets: Sets) -> dict[str, StoredObservation]:
    """role -> an imported observer's answers, of the roles of which it answered every image of `sets`."""
    return {
        role: found[role]
        for role, stimuli in sorted(sets.items())
        if role in found and _covers(store, found[role], stimuli)
    }


def restricted(store: Remembered, found: Found, sets: Sets) -> Trials | None:
    """An imported observer's trials on exactly the images of `sets`; None where it covers none of the sets."""
    parts = [
        _among(store, one, role, sets[role]) for role, one in covered(store, found, sets).items()
    ]
    if not parts:
        return None
    # Sorted words: what is counted or drawn word by word does not hang on whose trials were read first.
    return Trials(
        Columns({name: _in_order(column) for name, column in stacked_codes(parts).held.items()})
    )


def _in_order(column: Column) -> Column:
    return column.in_order() if isinstance(column, Coded) else column


def _covers(store: Remembered, observation: Observation, stimuli: str) -> bool:
    """Whether a set's images are among those that were answered. An imported observation answers all of its set."""
    if observation.stimuli == stimuli:
        return True
    wanted = store.images(stimuli)
    return observation.n >= len(wanted) and wanted <= store.images(observation.stimuli)


def _among(
    store: Remembered, observation: Observation, role: str, stimuli: str
) -> Mapping[str, Column]:
    """The trials on the images of a set, under the suite's own word for the role."""
    trials = store.trials((observation.key,))
    if observation.stimuli != stimuli:
        trials = trials.where(np.isin(trials["stimulus"], list(store.images(stimuli))))
    same = Coded(np.array([role]), np.zeros(len(trials), dtype=np.uint8))
    return {**held(trials.columns), "role": same}


class Asked(NamedTuple):
    """By which prompt an observer's answers are scored; of every other prompt the answers that cover a set; and the
    observations of those."""

    main: str
    others: Mapping[str, Found]
    keys: tuple[str, ...]


def asked(store: Remembered, found: Found, sets: Sets, ways: Mapping[Who, Ways]) -> Asked:
    """The prompts of an imported observer on the images of `sets`; found: its main answers by role; ways: as
    `answers_by_prompt` gives them.
    """
    main = next((o.details["prompt"] for o in found.values() if "prompt" in o.details), "")
    others: dict[str, Found] = {}
    for role, one in found.items() if main else ():
        for prompt, other in list(ways[one.observer_name, one.role].items())[1:]:
            others.setdefault(prompt, {})[role] = other
    kept = {
        prompt: others[prompt] for prompt in sorted(others) if covered(store, others[prompt], sets)
    }
    keys = tuple(sorted(one.key for roles in kept.values() for one in roles.values()))
    return Asked(main, kept, keys)
