"""What observers answered of collections of sets, as it is scored: those that were run, and imported ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from benchmark.contracts import Suite, Trials
from benchmark.engine.imported_trials import (
    Found,
    Remembered,
    Sets,
    answers_by_prompt,
    asked,
    commonest,
    covered,
    imported_groups,
    imported_roles,
    restricted,
)
from benchmark.errors import StoreError
from benchmark.stimuli.catalogue import PUBLISHED_SPACE, compares
from benchmark.store import Store
from benchmark.store.rows import IMPORTED_KINDS
from registry.files import digest_data

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
                mine = tuple(keys.values())
                roles = frozenset(role for role, _ in wanted)
                found[name] = Answers(mine, roles, (), partial(self.store.trials, mine))
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
            mine = covered(self._reader, found, sets)
            if not mine:
                continue
            row, prompts = rows[name], asked(self._reader, found, sets, ways)
            yield (
                name,
                Answers(
                    (*(one.key for one in mine.values()), *prompts.keys),
                    frozenset(mine),
                    row.training,
                    partial(self._trials, mine, sets, row.training),
                    row.kind == "human" and compares(str(row.card.get("source", ""))),
                    prompts.main,
                    {
                        prompt: partial(self._trials, other, sets)
                        for prompt, other in prompts.others.items()
                    },
                ),
            )

    def _trials(self, found: Found, sets: Sets, training: tuple[str, ...] = ()) -> Trials:
        trials = restricted(self._reader, found, sets)
        if trials is None:
            raise StoreError("no answers to the images of a set that was covered before")
        return replace(trials, training=training)

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


def _training(store: Store, name: str) -> tuple[str, ...]:
    """The recipe tags of an observer's card; none for people."""
    return next((row.training for row in store.observers_named({name})), ())


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
        told = restricted(
            Remembered(store), found, {role: one.stimuli for role, one in found.items()}
        )
        return told and replace(told, training=_training(store, observer))
    if not mine:
        return None
    chosen = next((made for made in mine if like and dict(made.stimuli) == dict(like)), mine[-1])
    own = {o.key: o for o in store.observations(observer=observer, suite=suite.name)}
    keys = tuple(key for key in chosen.keys if key in own)
    missing = own[keys[0]].details.get("missing", {}) if keys else {}
    trials = store.trials(keys, missing)
    return replace(trials, training=_training(store, observer))
