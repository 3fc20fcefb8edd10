"""The store: what the rest of the program sees of the data base. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

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
    StimuliRecord,
    StoredObservation,
)
from benchmark.store.sql import BATCH, batches, insert_new, now
from benchmark.store.trials import Sets
from benchmark.store.versions import prepared

if TYPE_CHECKING:
    from benchmark.contracts import Observer, Score, Stimuli, Trials

MOST_SETS = 100  # stimulus sets whose names and labels are kept at hand


def open_store(url_or_path: str, *, write: bool = True, create: bool = True) -> Store:
    """Opens a leaderboard: a file (SQLite), or a URL ("sqlite:///...", "postgresql://...").

    With `write` an older one is brought up to date, and with `create` too a missing one is made;
    without `write` nothing changes.
    Raises StoreError: nothing there (and not to be made), read-only, damaged, another program's, a newer schema.
    """
    return Store(prepared(url_or_path, write=write, create=write and create))


class Store:
    """A leaderboard. One per process; its methods may be called from several threads.

    Methods raise StoreError with what happened, where and what to do.
    Nothing stored is ever changed.
    """

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
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        self._database.close()

    def stimuli_names(self) -> list[StimuliNote]:
        """All stimulus sets, by name."""
        return self._database.read(queries.stimuli_names)

    def stimuli(self, digest: str) -> StimuliRecord:
        """A stimulus set's names and labels. Raises StoreError on an unknown digest."""
        return self._database.read(queries.stimuli, digest)

    def observations(
        self, *, observer: str | None = None, suite: str | None = None
    ) -> list[StoredObservation]:
        """Observations of current observers; names that share an identity share them."""
        return self._database.read(queries.observations, observer, suite)

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

    def role_sets(self, suite: str) -> dict[str, Mapping[str, str]]:
        """Of each collection of sets that was scored under a suite: its digest -> role -> digest of the set."""
        return self._database.read(queries.role_sets, suite)

    def suites(self) -> list[str]:
        """Names of the suites that have scores, variants included."""
        return self._database.read(queries.suites)

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

    def former_names(self) -> frozenset[str]:
        """What today's networks were called before, as their cards say."""
        return self._database.read(queries.former_names)

    # Writing. A row's moment is taken before its transaction, so that one that is made again stores the same row.

    def begin_run(self, command: str, environment: Mapping[str, Any]) -> str:
        """A new run's id. command: as typed; environment: JSON-able (versions, device, ...)."""
        row = write.environment_row(environment)
        return self._database.change(write.begin_run, command, row)

    def end_run(self, run: str, status: str, note: str = "") -> None:
        """How a run ended. A run that was killed has no end."""
        self._database.change(write.end_run, run, status, note)

    def note_run(self, command: str, environment: Mapping[str, Any]) -> None:
        """A run that did nothing but find out what its environment says; `was_noted` knows it again."""
        self.end_run(self.begin_run(command, environment), "done")

    def was_noted(self, environment: Mapping[str, Any]) -> bool:
        """Whether a run had this very environment."""
        return self._has(schema.ENVIRONMENTS, "id", write.environment_row(environment)["id"])

    def put_observer(self, observer: Observer) -> str:
        """The observer's id. Its name stands for this identity and card from now on."""
        return self._database.change(write.put_observer, observer)

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

    def put_import(self, run: str, source: str, keys: Collection[str]) -> int:
        """These observations take the place of all that was imported of a source before; how many of those do not count
        any more. Scores that were made of them are not shown any more."""
        return self._database.change(write.put_import, run, source, keys)

    def settle(self, run: str, key: str, n: int) -> None:
        """The observation asks no further trials: its first `n` were enough."""
        self._database.change(write.settle, run, key, n)

    def put_scores(self, run: str, made: ScoreSet, scores: Sequence[Score]) -> str:
        """A score set with its scores; its id. Raises StoreError on NaN, and on None without a reason."""
        rows = [write.score_row(position, score) for position, score in enumerate(scores)]
        return self._database.change(write.put_scores, run, made, rows)

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

    def chunks(self, key: str) -> set[int]:
        """Indices of the chunks that are stored; empty for an unknown key."""
        return self._database.read(queries.chunks, key)

    def complete(self, key: str) -> bool:
        """Whether every trial of the observation is stored, or as many as settled it; False for an unknown key."""
        return self._database.read(queries.complete, key)

    def incomplete(self, *, failed: bool = True) -> Mapping[str, str]:
        """Key -> suite of each observation that lacks trials. failed: also where its observer has failed since."""
        return self._database.read(queries.incomplete, failed)

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

    def has_scores(self, made: ScoreSet) -> bool:
        """Whether `latest_scores` already shows this very set: nothing to score again."""
        return self._database.read(queries.newest_like, made) is not None

    def stored_scores(self, made: ScoreSet) -> list[Score]:
        """The scores of this very set; none if `latest_scores` shows another."""
        return self._database.read(queries.scores_of, made)

    def score_sets(self, suite: str) -> list[ScoreSet]:
        """The score sets of a suite that `latest_scores` shows: what was scored, from which observations."""
        return self._database.read(queries.score_sets, suite)

    def outcomes(
        self, *, observer: str | None = None, suite: str | None = None, latest: bool = True
    ) -> list[Outcome]:
        """Outcomes, oldest first; `latest`: the newest of each (observer name, suite, space)."""
        return self._database.read(queries.outcomes, observer, suite, latest)

    def run_notes(self) -> list[tuple[str, str]]:
        """Status and note of all runs that have ended, the oldest first."""
        return self._database.read(queries.run_notes)

    def provenance(self, set_id: str) -> Mapping[str, Any]:
        """Where a score set came from. Raises StoreError on an unknown id.

        "command", "environment", "started", "status" of its own run; "keys" of the trials that it was made of;
        "observations", those of them that are here, each with its "details" and the ids of its "runs"; "runs": all of
        them by id.
        """
        return self._database.read(queries.provenance, set_id)

    def runs(self) -> Mapping[str, Mapping[str, Any]]:
        """Every run by its id: "command", "environment", "started", "status", "ended"."""
        return self._database.read(queries.runs)

    def runs_of_sets(self) -> Mapping[str, tuple[str, ...]]:
        """Score set -> the runs that computed its trials, and its own."""
        return self._database.read(queries.runs_of_sets)

    def _has(self, table: sa.Table, column: str, value: str) -> bool:
        return self._database.read(queries.has, table, column, value)
