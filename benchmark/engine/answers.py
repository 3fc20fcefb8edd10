"""What observers answered of collections of sets, as it is scored: those that were run, and imported ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from benchmark.contracts import Suite, Trials
from benchmark.engine.imported_trials import (
    Remembered,
    Sets,
    answers_by_prompt,
    asked,
    commonest,
    imported_groups,
    imported_roles,
    restricted,
)
from benchmark.stimuli.sources import PUBLISHED_SPACE, compares
from benchmark.store import Store
from benchmark.store.rows import IMPORTED_KINDS
from registry.digests import digest_data

#: Kinds of observers that nobody ran here: imported ones, and those of whom there are scores alone.
NOT_RUN = (*IMPORTED_KINDS, "reported")


@dataclass(frozen=True)
class Answers:
    """An observer's trials on a collection of sets, and the observations that they come from."""

    trials: Trials
    keys: tuple[str, ...]
    human: bool = False
    prompt: str = ""
    others: Mapping[str, Trials] = field(default_factory=dict)
    """Prompt -> the same observer's trials on the same images when it was asked in another way."""


@dataclass(frozen=True)
class Answered:
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
        found: dict[str, Answers] = {}
        for name in names:
            # Oldest first: what was answered several times (another seed) counts by its newest answers.
            keys = {
                (o.role, o.stimuli, o.condition): o.key
                for o in self.store.observations(observer=name, suite=self.suite.name)
                if (o.role, o.stimuli) in wanted and self.store.complete(o.key)
            }
            if {(role, stimuli) for role, stimuli, _ in keys} == wanted:
                trials = self.store.trials(tuple(keys.values()))
                found[name] = Answers(trials, tuple(keys.values()))
        return found

    def imported(self, sets: Sets) -> dict[str, Answers]:
        """What imported observers answered of these sets: of each those sets that it answered in full. Read once."""
        key = digest_data(sets)
        if key not in self._read:
            self._read[key] = dict(self._read_imported(sets))
        return self._read[key]

    def _read_imported(self, sets: Sets) -> Iterator[tuple[str, Answers]]:
        rows = {row.name: row for row in self.store.observers()}
        ways = answers_by_prompt(self.store)
        for name, found in imported_roles(self.store, self.suite).items():
            trials = restricted(self._reader, found, sets)
            if trials is not None:
                keys = tuple(found[role].key for role in sorted(roles_of(trials)))
                trained = replace(trials, training=rows[name].training)
                prompts = asked(self._reader, found, sets, ways)
                row, used = rows[name], (*keys, *prompts.keys)
                human = row.kind == "human" and compares(str(row.card.get("source", "")))
                yield name, Answers(trained, used, human, prompts.main, prompts.others)

    def collections(self) -> list[Sets]:
        """Collections of sets that networks were shown, and that most observers of each imported source answered:
        people and published networks apart, so that no source's tables hang on what else was imported, or when.

        What imported observers are scored on is no such collection: each scoring would then give rise to more.
        """
        kinds = {row.id: row.kind for row in self.store.observers()}
        found: list[Sets] = [
            made.stimuli
            for made in self.store.score_sets(self.suite.name)
            if made.space == PUBLISHED_SPACE and kinds[made.observer] not in NOT_RUN
        ]
        groups = imported_groups(self.store)
        roles = imported_roles(self.store, self.suite)
        for group in sorted(set(groups.values())):
            found.append(commonest([mine for name, mine in roles.items() if groups[name] == group]))
        return list({digest_data(sets): sets for sets in found if sets}.values())


def roles_of(trials: Trials) -> set[str]:
    """The roles that trials were made in."""
    return set(trials["role"].tolist())


def _training(store: Store, name: str) -> tuple[str, ...]:
    """The recipe tags of an observer's card; none for people."""
    return next((row.training for row in store.observers() if row.name == name), ())


def suite_trials(
    store: Store, suite: Suite, observer: str, like: Sets | None = None
) -> Trials | None:
    """An observer's trials under a suite: of its newest scores, else of imported tables. None without any.

    like: role -> digest of the sets to prefer, where there are several (two observers are then compared on
    the same images).
    """
    ids = {row.id: row.name for row in store.observers()}
    mine = [made for made in store.score_sets(suite.name) if ids.get(made.observer) == observer]
    found = imported_roles(store, suite).get(observer)
    if found:
        told = restricted(store, found, {role: one.stimuli for role, one in found.items()})
        return told and replace(told, training=_training(store, observer))
    if not mine:
        return None
    chosen = next((made for made in mine if like and dict(made.stimuli) == dict(like)), mine[-1])
    own = {o.key: o for o in store.observations(observer=observer, suite=suite.name)}
    keys = tuple(key for key in chosen.keys if key in own)
    missing = own[keys[0]].details.get("missing", {}) if keys else {}
    trials = store.trials(keys, missing)
    return replace(trials, training=_training(store, observer))
