"""The store: what the rest of the program sees of the data base. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa

from benchmark.store import check, merge, queries, schema, trials, write
from benchmark.store.connection import Database
from benchmark.store.rows import (
    Chunk,
    Observation,
    ObserverNote,
    ObserverRow,
    Outcome,
    OutcomeStatus,
    ScoreRow,
    ScoreSet,
    StimuliNote,
)
from benchmark.store.sql import BATCH, batches, insert_new, now
from benchmark.store.trials import Sets
from benchmark.store.versions import prepared

if TYPE_CHECKING:
    from benchmark.contracts import Score, Stimuli, Trials

P = ParamSpec("P")
T = TypeVar("T")
MOST_SETS = 100  # stimulus sets whose names and labels are kept at hand


def open_store(url_or_path: str, *, write: bool = True, create: bool = True) -> Store:
    """Opens a leaderboard: a file (SQLite), or a URL ("sqlite:///...", "postgresql://...").

    With `write` an older one is brought up to date, and with `create` too a missing one is made;
    without `write` nothing changes.
    Raises StoreError: nothing there (and not to be made), read-only, damaged, another program's, a newer schema.
    """
    return Store(prepared(url_or_path, write=write, create=write and create))


def _reading(query: Callable[Concatenate[sa.Connection, P], T]) -> Callable[Concatenate[Store, P], T]:
    """The method that asks a query in a transaction of its own."""

    @wraps(query)
    def method(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return store._database.read(query, *args, **kwargs)

    return method


def _changing(step: Callable[Concatenate[sa.Connection, P], T]) -> Callable[Concatenate[Store, P], T]:
    """The method that makes a step as one transaction."""

    @wraps(step)
    def method(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return store._database.change(step, *args, **kwargs)

    return method


class Store:
    """A leaderboard. One per process; its methods may be called from several threads.

    Methods raise StoreError with what happened, where and what to do.
    Nothing stored is ever changed.
    """

    # One query or step each, described there.

    stimuli_names = _reading(queries.stimuli_names)
    stimuli = _reading(queries.stimuli)
    observations = _reading(queries.observations)
    chunks = _reading(queries.chunks)
    complete = _reading(queries.complete)
    incomplete = _reading(queries.incomplete)
    suites = _reading(queries.suites)
    role_sets = _reading(queries.role_sets)
    score_sets = _reading(queries.score_sets)
    has_scores = _reading(queries.has_scores)
    stored_scores = _reading(queries.scores_of)
    former_names = _reading(queries.former_names)
    outcomes = _reading(queries.outcomes)
    run_notes = _reading(queries.run_notes)
    runs = _reading(queries.runs)
    runs_of_sets = _reading(queries.runs_of_sets)
    provenance = _reading(queries.provenance)
    end_run = _changing(write.end_run)
    put_observer = _changing(write.put_observer)
    put_import = _changing(write.put_import)
    settle = _changing(write.settle)

    def __init__(self, database: Database) -> None:
        self._database = database
        self._observers: dict[bool, list[ObserverRow]] = {}
        self._notes: list[ObserverNote] = []
        self._known_sets: Sets = {}

    @property
    def warnings(self) -> list[str]:
        """What a user should know about this data base (a network disk, ...); say it once."""
        return self._database.warnings

    @property
    def place(self) -> str:
        """Where it is, for messages; no password."""
        return self._database.place.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        self._database.close()

    def collections(self) -> list[StimuliNote]:
        """Several stimulus sets that were scored together, described like one; by their common digest."""
        notes = {note.digest: note for note in self.stimuli_names()}
        return self._database.read(queries.collections, notes)

    def latest_scores(
        self,
        *,
        suite: str | None = None,
        metrics: Collection[str] | None = None,
        observers: Collection[str] | None = None,
        space: str | None = None,
        conditions: Collection[str] | None = None,
    ) -> list[ScoreRow]:
        """Of each (observer name, suite, space, stimuli): the newest set of the newest version,
        for what the name stands for now. By observer name, then in the order of storing.

        conditions: e.g. ("",) leaves out scores per category, which most tables do not show.
        """
        wanted = queries.Wanted(suite, metrics, observers, space, conditions)
        return self._database.read(queries.latest_scores, wanted)

    def observers(self, *, latest: bool = True) -> list[ObserverRow]:
        """Observers by name: what each name stands for now, or (`latest=False`) ever stood for.

        A store that is open for reading alone reads them once.
        """
        known = self._observers.get(latest)
        if known is None:
            known = self._database.read(queries.observers, latest)
            if not self._database.write:
                self._observers[latest] = known
        return list(known)

    def observers_named(self, names: Set[str]) -> list[ObserverRow]:
        """What some names stand for now, by name; of names that nobody has nothing."""
        if len(names) > BATCH:
            return [row for row in self.observers() if row.name in names]
        return self._database.read(queries.observers, True, "name", names)

    def observers_of(self, kinds: Collection[str]) -> list[ObserverRow]:
        """The observers of some kinds, by name."""
        return self._database.read(queries.observers, True, "kind", kinds)

    def observer_notes(self) -> list[ObserverNote]:
        """What each name stands for now, by name, without cards; read as `observers` is."""
        known = self._notes or self._database.read(queries.observer_notes)
        if not self._database.write:
            self._notes = known
        return list(known)

    # Writing. A row's moment is taken before its transaction, so that one that is made again stores the same row.

    def begin_run(self, command: str, environment: Mapping[str, Any]) -> str:
        """A new run's id. command: as typed; environment: JSON-able (versions, device, ...)."""
        row = write.environment_row(environment)
        return self._database.change(write.begin_run, command, row)

    def note_run(self, command: str, environment: Mapping[str, Any]) -> None:
        """A run that did nothing but find out what its environment says; `was_noted` knows it again."""
        self.end_run(self.begin_run(command, environment), "done")

    def was_noted(self, environment: Mapping[str, Any]) -> bool:
        """Whether a run had this very environment."""
        return self._has(schema.ENVIRONMENTS, "id", write.environment_row(environment)["id"])

    def put_stimuli(self, stimuli: Stimuli) -> None:
        """A stimulus set's names and labels, once per digest; images are not stored."""
        if self._has(schema.STIMULI, "digest", stimuli.digest):
            return
        row = write.stimuli_row(stimuli)
        self._database.change(insert_new, schema.STIMULI, [row])

    def put_observation(self, run: str, observation: Observation) -> None:
        """What is going to be asked, once per key. Its observer and stimuli must be there."""
        if self._has(schema.OBSERVATIONS, "key", observation.key):
            return
        self._database.change(write.put_observation, run, observation)

    def put_chunks(self, run: str, chunks: Sequence[Chunk]) -> None:
        """All of the chunks, or none. A chunk that is there already stays as it is."""
        encoded = [(chunk, write.encode_chunk(chunk)) for chunk in chunks]
        self._database.change(write.put_chunks, run, encoded)

    def put_scores(self, run: str, made: ScoreSet, scores: Sequence[Score]) -> str:
        """A score set with its scores; its id. Raises StoreError on NaN, and on None without a reason."""
        rows = [write.score_row(position, score) for position, score in enumerate(scores)]
        return self._database.change(write.put_scores, run, now(), made, rows)

    def put_outcome(
        self,
        run: str,
        observer: str | None,
        observer_name: str,
        suite: str,
        space: str,
        status: OutcomeStatus,
        reason: str = "",
        detail: str = "",
    ) -> None:
        """How a piece of work ended. reason: one line; detail: e.g. a traceback."""
        outcome = Outcome(observer, observer_name, suite, space, status, reason, detail, run, now())
        self._database.change(write.put_outcome, outcome)

    def merge(self, other: Store) -> merge.Merged:
        """Bring in all that another leaderboard has and this one lacks; what differs is named and left out."""
        return merge.merge(other._database, self._database)

    def merge_observations(self, other: Store, keys: Collection[str], run: str) -> None:
        """Bring in these observations of another leaderboard, with all that they rest on, as work of `run`."""
        merge.merge_observations(other._database, self._database, keys, run)

    def problems(self) -> Iterator[str]:
        """What is wrong with the data base, a line each; all of it is read once."""
        return check.problems(self._database)

    def vacuum(self) -> tuple[int, int]:
        """Give unused room back to the disk; bytes before and after."""
        return check.vacuum(self._database)

    # Reading

    def trials(self, keys: Sequence[str], missing: Mapping[str, str] | None = None) -> Trials:
        """The stored trials of the observations as one table, in the order of the keys.

        missing: role -> why there are no trials of it; passed on. Raises StoreError on an unknown key,
        a damaged chunk (which), and a column that is text in one block and numbers in another.
        """
        return self._database.read(trials.trials, keys, missing or {}, self._sets())

    def trials_of_each(self, keys: Sequence[str]) -> Iterator[Trials]:
        """As `trials`, of each observation apart, in the order of the keys: few questions for many observers."""
        for some in batches(keys):
            yield from self._database.read(trials.each, some, self._sets())

    def _sets(self) -> Sets:
        """Stimulus sets that were read already: what a digest names never changes."""
        if len(self._known_sets) > MOST_SETS:
            self._known_sets.clear()
        return self._known_sets

    def _has(self, table: sa.Table, column: str, value: str) -> bool:
        return self._database.read(queries.has, table, column, value)
