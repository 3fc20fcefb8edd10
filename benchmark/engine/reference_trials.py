"""Trials of those whom observers are compared with, run here or imported: what counts, on which sets of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.contracts import Coded, Suite, Trials
from benchmark.contracts.trials import Column, Columns, held
from benchmark.errors import StoreError
from benchmark.stack_columns import stacked_codes
from benchmark.stimuli.catalogue import PUBLISHED_SPACE, compares
from benchmark.store import IMPORTED, IMPORTED_KINDS, Observation, Store, StoredObservation
from registry.errors import some_of
from registry.files import digest_data

if TYPE_CHECKING:
    from benchmark.store import Store, StoredObservation


Sets = Mapping[str, str]  # role -> stimuli digest
ByRole = dict[str, StoredObservation]  # role -> an imported observer's trials of it
Who = tuple[str, str]  # observer, experiment
Ways = dict[str, StoredObservation]  # prompt -> an observer's trials by it


@dataclass(frozen=True)
class Images:
    """A store whose sets are read once."""

    store: Store
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
    rows = store.observers(kinds=("human", "published"))
    return {row.name: (row.kind, str(row.card.get("source", ""))) for row in rows}


def commonest(answered: Sequence[ByRole]) -> Sets:
    """role -> the set that most of these observers answered; every role that any of them answered."""
    votes: dict[str, Counter[str]] = {}
    for by_role in answered:
        for role, observation in by_role.items():
            votes.setdefault(role, Counter())[observation.stimuli] += 1
    return {role: min(count, key=lambda d: (-count[d], d)) for role, count in sorted(votes.items())}


def imported_roles(store: Store, suite: Suite) -> dict[str, ByRole]:
    """Imported observers by name: what each answered of the suite's stimuli, by role."""
    by_name: dict[str, ByRole] = {}
    for name, answers in main_answers(store).items():
        for experiment, observation in answers.items():
            role = suite.experiments.get(experiment)
            if role is not None:
                by_name.setdefault(name, {})[role] = observation
    return by_name


def main_answers(store: Store) -> dict[str, ByRole]:
    """Imported observers by name: what counts of each by experiment. Of several imports the newest; of several ways
    of asking the one that its source puts first.
    """
    answers: dict[str, ByRole] = {}
    for (name, experiment), ways in answers_by_prompt(store).items():
        answers.setdefault(name, {})[experiment] = next(iter(ways.values()))
    return answers


def answers_by_prompt(store: Store) -> dict[Who, Ways]:
    """(observer, experiment) -> prompt ("" where there is none) -> the answers that count, the usual prompt first."""
    answers: dict[Who, Ways] = {}
    for row in store.observations(suite=IMPORTED):
        prompt = row.details.get("prompt", "")
        answers.setdefault((row.observer_name, row.role), {})[prompt] = row
    return {
        key: dict(sorted(ways.items(), key=lambda pair: pair[1].details.get("order", [-1])))
        for key, ways in answers.items()
    }


def covered(store: Remembered, by_role: ByRole, sets: Sets) -> dict[str, StoredObservation]:
    """role -> an imported observer's answers, of the roles of which it answered every image of `sets`."""
    return {
        role: by_role[role]
        for role, stimuli in sorted(sets.items())
        if role in by_role and _covers(store, by_role[role], stimuli)
    }


def restricted(store: Remembered, by_role: ByRole, sets: Sets) -> Trials | None:
    """An imported observer's trials on exactly the images of `sets`; None where it covers none of the sets."""
    parts = [
        _among(store, observation, role, sets[role]) for role, observation in covered(store, by_role, sets).items()
    ]
    if not parts:
        return None
    # Sorted words: what is counted or drawn word by word does not hang on whose trials were read first.
    return Trials(Columns({name: _in_order(column) for name, column in stacked_codes(parts).held.items()}))


def _in_order(column: Column) -> Column:
    return column.in_order() if isinstance(column, Coded) else column


def _covers(store: Remembered, observation: Observation, stimuli: str) -> bool:
    """Whether a set's images are among those that were answered. An imported observation answers all of its set."""
    if observation.stimuli == stimuli:
        return True
    wanted = store.images(stimuli)
    return observation.n >= len(wanted) and wanted <= store.images(observation.stimuli)


def _among(store: Remembered, observation: Observation, role: str, stimuli: str) -> Mapping[str, Column]:
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
    others: Mapping[str, ByRole]
    keys: tuple[str, ...]


def asked(store: Remembered, main_by_role: ByRole, sets: Sets, ways: Mapping[Who, Ways]) -> Asked:
    """The prompts of an imported observer on the images of `sets`; main_by_role: its main answers; ways: as
    `answers_by_prompt` gives them.
    """
    main = next((o.details["prompt"] for o in main_by_role.values() if "prompt" in o.details), "")
    others: dict[str, ByRole] = {}
    for role, observation in main_by_role.items() if main else ():
        for prompt, other in list(ways[observation.observer_name, observation.role].items())[1:]:
            others.setdefault(prompt, {})[role] = other
    kept = {prompt: others[prompt] for prompt in sorted(others) if covered(store, others[prompt], sets)}
    keys = tuple(sorted(observation.key for roles in kept.values() for observation in roles.values()))
    return Asked(main, kept, keys)


# What observers answered of collections of sets, as it is scored: those that were run, and imported ones.


#: Kinds of observers that nobody ran here: imported ones, and those of whom there are scores alone.
NOT_RUN = (*IMPORTED_KINDS, "reported")


@dataclass(frozen=True)
class Answers:
    """What an observer answered of a collection of sets. Trials are read when they are asked for: what is scored
    already is known by its observations alone.

    keys: the observations that it comes from; roles: of which sets; training: the recipe tags of its card.
    """

    keys: tuple[str, ...]
    roles: frozenset[str]
    training: tuple[str, ...]
    read: Callable[[], Trials]
    human: bool = False
    prompt: str = ""
    prompts: Mapping[str, Callable[[], Trials]] = field(default_factory=dict)
    """Prompt -> the same observer's trials on the same images when it was asked in another way."""

    @cached_property
    def trials(self) -> Trials:
        """The trials, in the order of the roles."""
        return self.read()


@dataclass(frozen=True)
class ReferenceTrials:
    """The answers under one suite of one leaderboard. Trials are read once per collection of sets."""

    store: Store
    suite: Suite
    _read: dict[str, dict[str, Answers]] = field(default_factory=dict)

    @cached_property
    def _reader(self) -> Remembered:
        return Remembered(self.store)

    def run(self, sets: Sets, names: tuple[str, ...]) -> dict[str, Answers]:
        """What observers that were run answered of these sets: those that answered all of them. Read once."""
        key = digest_data([sets, names])
        if key not in self._read:
            self._read[key] = self._read_run(sets, names)
        return self._read[key]

    def _read_run(self, sets: Sets, names: Sequence[str]) -> dict[str, Answers]:
        wanted = set(sets.items())
        answers: dict[str, Answers] = {}
        for name in names:
            # Oldest first: what was answered several times (another seed) counts by its newest answers.
            keys = {
                (o.role, o.stimuli, o.condition): o.key
                for o in self.store.observations(observer=name, suite=self.suite.name)
                if (o.role, o.stimuli) in wanted and self.store.complete(o.key)
            }
            if {(role, stimuli) for role, stimuli, _ in keys} == wanted:
                own_keys = tuple(keys.values())
                roles = frozenset(role for role, _ in wanted)
                answers[name] = Answers(own_keys, roles, (), partial(self.store.trials, own_keys))
        return answers

    def imported(self, sets: Sets) -> dict[str, Answers]:
        """What imported observers answered of these sets: of each those sets that it answered in full. Read once."""
        key = digest_data(sets)
        if key not in self._read:
            self._read[key] = dict(self._read_imported(sets))
        return self._read[key]

    def _read_imported(self, sets: Sets) -> Iterator[tuple[str, Answers]]:
        rows = {row.name: row for row in self.store.observers()}
        ways = answers_by_prompt(self.store)
        for name, by_role in imported_roles(self.store, self.suite).items():
            answered = covered(self._reader, by_role, sets)
            if not answered:
                continue
            row, prompts = rows[name], asked(self._reader, by_role, sets, ways)
            yield (
                name,
                Answers(
                    (*(observation.key for observation in answered.values()), *prompts.keys),
                    frozenset(answered),
                    row.training,
                    partial(self._trials, answered, sets, row.training),
                    row.kind == "human" and compares(str(row.card.get("source", ""))),
                    prompts.main,
                    {prompt: partial(self._trials, other, sets) for prompt, other in prompts.others.items()},
                ),
            )

    def _trials(self, by_role: ByRole, sets: Sets, training: tuple[str, ...] = ()) -> Trials:
        trials = restricted(self._reader, by_role, sets)
        if trials is None:
            raise StoreError("no answers to the images of a set that was covered before")
        return replace(trials, training=training)

    def collections(self) -> list[Sets]:
        """Collections of sets that networks were shown, and that most observers of each imported source answered:
        people and published networks apart, so that no source's tables hang on what else was imported, or when.

        What imported observers are scored on is no such collection: each scoring would then give rise to more.
        """
        kinds = {row.id: row.kind for row in self.store.observers()}
        collected: list[Sets] = [
            score_set.stimuli
            for score_set in self.store.score_sets(self.suite.name)
            if score_set.space == PUBLISHED_SPACE and kinds[score_set.observer] not in NOT_RUN
        ]
        groups = imported_groups(self.store)
        roles = imported_roles(self.store, self.suite)
        for group in sorted(set(groups.values())):
            collected.append(commonest([by_role for name, by_role in roles.items() if groups[name] == group]))
        return list({digest_data(sets): sets for sets in collected if sets}.values())


def _training(store: Store, name: str) -> tuple[str, ...]:
    """The recipe tags of an observer's card; none for people."""
    return next((row.training for row in store.observers(names={name})), ())


def suite_trials(store: Store, suite: Suite, observer: str, like: Sets | None = None) -> Trials | None:
    """An observer's trials under a suite: of its newest scores, else of imported tables. None without any.

    like: role -> digest of the sets to prefer, where there are several (two observers are then compared on
    the same images).
    """
    ids = {row.id: row.name for row in store.observers()}
    score_sets = [score_set for score_set in store.score_sets(suite.name) if ids.get(score_set.observer) == observer]
    by_role = imported_roles(store, suite).get(observer)
    if by_role:
        imported = restricted(
            Remembered(store), by_role, {role: observation.stimuli for role, observation in by_role.items()}
        )
        return imported and replace(imported, training=_training(store, observer))
    if not score_sets:
        return None
    chosen = next(
        (score_set for score_set in score_sets if like and dict(score_set.stimuli) == dict(like)), score_sets[-1]
    )
    own = {o.key: o for o in store.observations(observer=observer, suite=suite.name)}
    keys = tuple(key for key in chosen.keys if key in own)
    missing = own[keys[0]].details.get("missing", {}) if keys else {}
    trials = store.trials(keys, missing)
    return replace(trials, training=_training(store, observer))


_SHOWN = 6  # names in a line


def left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """Lines on each experiment in which observers lack images that most of their source answered: no table has them,
    or in case of people none has them in their group.
    """
    groups, current, known = imported_groups(store), main_answers(store), Remembered(store)
    lines: list[str] = []
    for role in experiments:
        answers = {name: roles[role] for name, roles in current.items() if role in roles}
        ids = {observation.stimuli: known.images(observation.stimuli) for observation in answers.values()}
        lines += _lines(role, answers, groups, ids)
    return lines


def partial_people(
    store: Store, suite: Suite, boards: Iterable[Mapping[str, str]]
) -> list[Mapping[str, Mapping[str, str]]]:
    """Of each board (role -> set of its images): role -> people who answered a part of that set -> how much of it.
    No table has them there: an observer is compared on all images of a set or on none.
    """
    people = {note.name for note in store.observers() if note.kind == "human"}
    answers = {name: roles for name, roles in imported_roles(store, suite).items() if name in people}
    ids = Images(store)
    return [
        {role: parts for role, digest in board.items() if (parts := dict(_parts(answers, role, digest, ids)))}
        for board in boards
    ]


def _parts(
    answers: Mapping[str, Mapping[str, StoredObservation]], role: str, digest: str, ids: Images
) -> Iterator[tuple[str, str]]:
    for name, roles in sorted(answers.items()):
        if role in roles and roles[role].stimuli != digest:
            wanted = ids.images(digest)
            own = ids.images(roles[role].stimuli)
            shared = len(wanted & own)
            # Who mostly saw other images took part in another experiment, with a few images in common.
            if shared < len(wanted) and 2 * shared > len(own):
                yield name, f"{shared} of {len(wanted)}"


def partial_line(by_role: Mapping[str, Mapping[str, str]]) -> str:
    """The people of a board who are not compared there, counted and named; "" where there are none."""
    names = dict.fromkeys(name for people in by_role.values() for name in people)
    if not names:
        return ""
    named = [
        f"{name} ({', '.join(f'{role} {people[name]}' for role, people in by_role.items() if name in people)})"
        for name in names
    ]
    who = "person with a part of the images is" if len(names) == 1 else "people with parts of the images are"
    return f"{len(names)} {who} not compared: {some_of(named, _SHOWN)}"


def _lines(
    role: str,
    answers: Mapping[str, StoredObservation],
    groups: Mapping[str, tuple[str, str]],
    ids: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    members = {group: [n for n in answers if groups[n] == group] for group in groups.values()}
    usual = {
        group: commonest([{role: answers[name]} for name in names])[role] for group, names in members.items() if names
    }
    shown = [ids[digest] for digest in usual.values()]
    lacking_some, own = [], []
    for name, observation in answers.items():
        wanted, answered = ids[usual[groups[name]]], ids[observation.stimuli]
        if groups[name][0] != "human" and any(images <= answered for images in shown):
            continue
        if len(wanted & answered) * 2 < len(wanted):
            own.append(name)
        elif lacking := len(wanted - answered):
            lacking_some.append(f"{name} lacks {lacking} of {len(wanted)}")
    if lacking_some:
        yield (
            f"{role}: {', '.join(lacking_some)} images that most others answered: left out of its tables; "
            "the trials are kept"
        )
    if own:
        yield (
            f"{role}: {some_of(own, _SHOWN)} answered other images than most of their source: left out of its "
            "tables; the trials are kept"
        )
