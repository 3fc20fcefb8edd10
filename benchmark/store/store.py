"""The store: what the rest of the program sees of the data base.
Every method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from benchmark.store import read, schema, scores, trials, write
from benchmark.store.database import Database
from benchmark.store.questions import batches
from benchmark.store.rows import (
    Chunk,
    Observation,
    Outcome,
    OutcomeStatus,
    ScoreSet,
)
from benchmark.store.sql import insert_new
from benchmark.store.standings import Standings, prepared
from benchmark.store.trials import Sets

if TYPE_CHECKING:
    from benchmark.contracts import Observer, Score, Stimuli, Trials
    from benchmark.store.merging.merge import Merged

MOST_SETS = 100  # stimulus sets whose names and labels are kept at hand


def open_store(url_or_path: str, *, write: bool = True, create: bool = True) -> Store:
    """Opens a leaderboard: a file (SQLite), or a URL ("sqlite:///...", "postgresql://...").

    With `write` an older one is brought up to date, and with `create` too a missing one is made;
    without `write` nothing changes.
    StoreError: nothing there (and not to be made), read-only, damaged, another program's, a newer schema.
    """
    return Store(prepared(url_or_path, write=write, create=write and create))


def whole(some: Standings) -> Store:
    """All of a leaderboard of which only the scores were asked so far."""
    return some if isinstance(some, Store) else Store(some._database)


class Store(Standings):
    """A leaderboard. One per process; its methods may be called from several threads.

    Methods raise StoreError with what happened, where and what to do.
    Nothing stored is ever changed.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._known_sets: Sets = {}

    # Writing

    def begin_run(self, command: str, environment: Mapping[str, Any]) -> int:
        """A new run's id. command: as typed; environment: JSON-able (versions, device, ...)."""
        return self._database.change(write.begin_run, command, environment)

    def end_run(self, run: int, status: str, note: str = "") -> None:
        """How a run ended. A run that was killed has no end."""
        self._database.change(write.end_run, run, status, note)

    def note_run(self, command: str, environment: Mapping[str, Any]) -> None:
        """A run that did nothing but find out what its environment says; `was_noted` knows it again."""
        self.end_run(self.begin_run(command, environment), "done")

    def was_noted(self, environment: Mapping[str, Any]) -> bool:
        """Whether a run had this very environment."""
        return self._has(schema.ENVIRONMENTS, "digest", write.environment_digest(environment))

    def put_observer(self, observer: Observer) -> int:
        """The observer's id. Its name stands for this identity and card from now on."""
        return self._database.change(write.put_observer, observer)

    def put_stimuli(self, stimuli: Stimuli) -> None:
        """A stimulus set's names and labels, once per digest; images are not stored."""
        if self._has(schema.STIMULI, "digest", stimuli.digest):
            return
        row = write.stimuli_row(stimuli)
        self._database.change(insert_new, schema.STIMULI, [row])

    def put_observation(self, run: int, observation: Observation) -> None:
        """What is going to be asked, once per key. Its observer and stimuli must be there."""
        if self._has(schema.OBSERVATIONS, "key", observation.key):
            return
        self._database.change(write.put_observation, run, observation)

    def put_chunks(self, run: int, chunks: Sequence[Chunk]) -> None:
        """All of the chunks, or none. A chunk that is there already stays as it is."""
        encoded = [(chunk, write.encode_chunk(chunk)) for chunk in chunks]
        self._database.change(write.put_chunks, run, encoded)

    def assert_trials(
        self, run: int, keys: Sequence[str], instead_of: Collection[str] = ()
    ) -> None:
        """Imported trials count from now on, the last of `keys` before all others of its observer and set.

        instead_of: observations that count no longer: scores that were made of them are shown no longer.
        """
        self._database.change(write.assert_trials, run, keys, instead_of)

    def settle(self, run: int, key: str, n: int) -> None:
        """The observation asks no further trials: its first `n` were enough."""
        self._database.change(write.settle, run, key, n)

    def put_scores(self, run: int, made: ScoreSet, scores: Sequence[Score]) -> int:
        """A score set with its scores; its id. StoreError on NaN, and on None without a reason."""
        rows = [write.score_row(position, score) for position, score in enumerate(scores)]
        return self._database.change(write.put_scores, run, made, rows)

    def take(self, other: Store) -> Merged:
        """Bring in all that another leaderboard has and this one lacks; what differs is named and left out."""
        from benchmark.store.merging.merge import merge

        return merge(other._database, self._database)

    def take_some(self, other: Store, keys: Collection[str], run: int) -> None:
        """Bring in these observations of another leaderboard, with all that they rest on, as work of `run`."""
        from benchmark.store.merging.merge import merge_some

        merge_some(other._database, self._database, keys, run)

    def problems(self) -> Iterator[str]:
        """What is wrong with the data base, a line each; all of it is read once."""
        from benchmark.store import upkeep

        return upkeep.problems(self._database)

    def vacuum(self) -> tuple[int, int]:
        """Give unused room back to the disk; bytes before and after."""
        from benchmark.store import upkeep

        return upkeep.vacuum(self._database)

    def put_outcome(
        self,
        run: int,
        observer: int | None,
        observer_name: str,
        suite: str,
        space: str,
        status: OutcomeStatus,
        reason: str = "",
        detail: str = "",
    ) -> None:
        """How a piece of work ended. reason: one line; detail: e.g. a traceback."""
        outcome = Outcome(observer, observer_name, suite, space, status, reason, detail, run, "")
        self._database.change(write.put_outcome, outcome)

    # Reading

    def chunks(self, key: str) -> set[int]:
        """Indices of the chunks that are stored; empty for an unknown key."""
        return self._database.ask(read.chunks, key)

    def complete(self, key: str) -> bool:
        """Whether every trial of the observation is stored, or as many as settled it; False for an unknown key."""
        return self._database.ask(read.complete, key)

    def incomplete(self, *, failed: bool = True) -> Mapping[str, str]:
        """Key -> suite of each observation that lacks trials. failed: also where its observer has failed since."""
        from benchmark.store import upkeep

        return self._database.ask(upkeep.incomplete, failed)

    def trials(self, keys: Sequence[str], missing: Mapping[str, str] | None = None) -> Trials:
        """The stored trials of the observations as one table, in the order of the keys.

        missing: role -> why there are no trials of it; passed on. StoreError on an unknown key,
        a damaged chunk (which), and a column that is text in one block and numbers in another.
        """
        return self._database.ask(trials.trials, keys, missing or {}, self._sets())

    def trials_of_each(self, keys: Sequence[str]) -> Iterator[Trials]:
        """As `trials`, of each observation apart, in the order of the keys: few questions for many observers."""
        for some in batches(keys):
            yield from self._database.ask(trials.each, some, self._sets())

    def _sets(self) -> Sets:
        """Stimulus sets that were read already: what a digest names never changes."""
        if len(self._known_sets) > MOST_SETS:
            self._known_sets.clear()
        return self._known_sets

    def has_scores(self, made: ScoreSet) -> bool:
        """Whether `latest_scores` already shows this very set: nothing to score again."""
        return self._database.read(scores.has_scores, made)

    def score_sets(self, suite: str) -> list[ScoreSet]:
        """The score sets of a suite that `latest_scores` shows: what was scored, from which observations."""
        return self._database.read(scores.score_sets, suite)

    def outcomes(
        self, *, observer: str | None = None, suite: str | None = None, latest: bool = True
    ) -> list[Outcome]:
        """Outcomes, oldest first; `latest`: the newest of each (observer name, suite, space)."""
        return self._database.ask(read.outcomes, observer, suite, latest)

    def run_notes(self) -> list[tuple[str, str]]:
        """Status and note of all runs that have ended, the oldest first."""
        return self._database.ask(read.run_notes)

    def provenance(self, set_id: int) -> Mapping[str, Any]:
        """Where a score set came from. StoreError on an unknown id.

        "command", "environment", "started", "status" of its own run; "keys" of the trials that it was made of;
        "observations", those of them that are here, each with its "details" and the ids of its "runs"; "runs": all of
        them by id.
        """
        return self._database.ask(read.provenance, set_id)

    def runs(self) -> Mapping[int, Mapping[str, Any]]:
        """Every run by its number: "command", "environment", "started", "status", "ended"."""
        with self._database.reading() as connection:
            return read.runs(connection)

    def runs_of_sets(self) -> Mapping[int, tuple[int, ...]]:
        """Score set -> the runs that computed its trials, and its own."""
        with self._database.reading() as connection:
            return read.runs_of_sets(connection)

    def _has(self, table: sa.Table, column: str, value: str) -> bool:
        return self._database.ask(read.has, table, column, value)
