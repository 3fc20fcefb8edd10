"""Imported trials as they count: what each observer answered of which sets, and by which prompt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np

from benchmark.contracts import Suite, Trials
from benchmark.stack_columns import stacked
from benchmark.store import Observation, StimuliRecord, Store, StoredObservation
from benchmark.store.rows import IMPORTED

Sets = Mapping[str, str]  # role -> stimuli digest
Found = dict[str, StoredObservation]  # role -> an imported observer's trials of it
Who = tuple[str, str]  # observer, experiment
Ways = dict[str, StoredObservation]  # prompt -> an observer's trials by it


class Reader(Protocol):
    """What reads trials: the store, or one who remembers what he read."""

    def trials(self, keys: Sequence[str], /) -> Trials:
        """The trials of observations."""

    def stimuli(self, digest: str, /) -> StimuliRecord:
        """Names and labels of a set."""


@dataclass(frozen=True)
class Remembered:
    """A store whose trials are read once: scoring a hundred observers asks for each a dozen times."""

    store: Store
    _trials: dict[tuple[str, ...], Trials] = field(default_factory=dict)
    _stimuli: dict[str, StimuliRecord] = field(default_factory=dict)

    def trials(self, keys: Sequence[str], /) -> Trials:
        """The trials of observations."""
        asked = tuple(keys)
        if asked not in self._trials:
            self._trials[asked] = self.store.trials(asked)
        return self._trials[asked]

    def stimuli(self, digest: str, /) -> StimuliRecord:
        """Names and labels of a set."""
        if digest not in self._stimuli:
            self._stimuli[digest] = self.store.stimuli(digest)
        return self._stimuli[digest]


def imported_groups(store: Store) -> dict[str, tuple[str, str]]:
    """Imported observers by name: people or published networks, of which source."""
    rows = (row for row in store.observers() if row.kind in ("human", "published"))
    return {row.name: (row.kind, str(row.card.get("source", ""))) for row in rows}


def commonest(answered: Sequence[Found]) -> Sets:
    """role -> the set that most of these observers answered; every role that any of them answered."""
    votes: dict[str, Counter[str]] = {}
    for found in answered:
        for role, observation in found.items():
            votes.setdefault(role, Counter())[observation.stimuli] += 1
    return {role: min(count, key=lambda d: (-count[d], d)) for role, count in sorted(votes.items())}


def imported_roles(store: Store, suite: Suite) -> dict[str, Found]:
    """Imported observers by name: what each answered of the suite's stimuli, by role."""
    found: dict[str, Found] = {}
    for name, answers in main_answers(store).items():
        for experiment, observation in answers.items():
            role = suite.experiments.get(experiment)
            if role is not None:
                found.setdefault(name, {})[role] = observation
    return found


def main_answers(store: Store) -> dict[str, Found]:
    """Imported observers by name: what counts of each by experiment. Of several imports the newest; of several ways
    of asking the one that its source puts first.
    """
    found: dict[str, Found] = {}
    for (name, experiment), ways in answers_by_prompt(store).items():
        found.setdefault(name, {})[experiment] = next(iter(ways.values()))
    return found


def answers_by_prompt(store: Store) -> dict[Who, Ways]:
    """(observer, experiment) -> prompt ("" where there is none) -> the answers that count, the usual prompt first."""
    found: dict[Who, Ways] = {}
    for one in store.observations(suite=IMPORTED):
        prompt = one.details.get("prompt", "")
        found.setdefault((one.observer_name, one.role), {})[prompt] = one
    return {
        key: dict(sorted(ways.items(), key=lambda pair: pair[1].details.get("order", [-1])))
        for key, ways in found.items()
    }


def restricted(store: Reader, found: Found, sets: Sets) -> Trials | None:
    """An imported observer's trials on exactly the images of `sets`; None where it covers none of the sets."""
    parts = [
        part
        for role, stimuli in sorted(sets.items())
        if role in found and (part := _covering(store, found[role], role, stimuli)) is not None
    ]
    return Trials(stacked([part.columns for part in parts])) if parts else None


def _covering(store: Reader, observation: Observation, role: str, stimuli: str) -> Trials | None:
    kept = _among(store, observation, stimuli)
    if kept is None:
        return None
    return replace(kept, columns={**kept.columns, "role": np.full(len(kept), role)})


def _among(store: Reader, observation: Observation, stimuli: str) -> Trials | None:
    """The trials on the images of a set; None where some of these have none."""
    if observation.stimuli == stimuli:
        return store.trials((observation.key,))
    wanted = np.asarray(store.stimuli(stimuli).ids)
    if observation.n < len(wanted):
        return None
    trials = store.trials((observation.key,))
    if not np.isin(wanted, trials["stimulus"]).all():
        return None
    return trials.where(np.isin(trials["stimulus"], wanted))


class Asked(NamedTuple):
    """By which prompt an observer's answers are scored, its trials by the other prompts, and their observations."""

    main: str
    others: Mapping[str, Trials]
    keys: tuple[str, ...]


def asked(store: Reader, found: Found, sets: Sets, ways: Mapping[Who, Ways]) -> Asked:
    """The prompts of an imported observer on the images of `sets`; found: its main answers by role; ways: as
    `answers_by_prompt` gives them.
    """
    main = next((o.details["prompt"] for o in found.values() if "prompt" in o.details), "")
    others: dict[str, Found] = {}
    for role, one in found.items() if main else ():
        for prompt, other in list(ways[one.observer_name, one.role].items())[1:]:
            others.setdefault(prompt, {})[role] = other
    trials = {prompt: restricted(store, roles, sets) for prompt, roles in others.items()}
    kept = {prompt: told for prompt, told in sorted(trials.items()) if told is not None}
    keys = tuple(sorted(one.key for prompt in kept for one in others[prompt].values()))
    return Asked(main, kept, keys)
