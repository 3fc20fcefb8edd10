"""The store: the interface of the database for the other packages. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa

from benchmark.contracts import Stimuli, Trials
from benchmark.failures import StoreError
from benchmark.store import check, merge, queries, schema, write
from benchmark.store.checked_files import add_note, checked_notes, file_note
from benchmark.store.connection import Database
from benchmark.store.queries import Sets
from benchmark.store.rows import Chunk, ScoreRow
from benchmark.store.sql import insert_new, now
from benchmark.store.versions import prepared

P = ParamSpec("P")
T = TypeVar("T")


def open_store(
    url_or_path: str, *, write: bool = True, create: bool = True, checked_files: Path | None = None
) -> Store:
    """Open a leaderboard, a file (SQLite) or a URL; with `create` a missing one is made. checked_files: the notes on
    files whose digests were compared, so that they are compared once. Raises StoreError."""
    return Store(prepared(url_or_path, write=write, create=write and create), checked_files)


def _reading(
    query: Callable[Concatenate[sa.Connection, P], T], *, once: bool = False
) -> Callable[Concatenate[Store, P], T]:
    """once: a store that is open only for reading asks each question once."""

    @wraps(query)
    def method(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not once or store._database.write:
            return store._database.read(query, *args, **kwargs)
        asked = f"{query.__name__}{args}{kwargs}"
        if asked not in store._answered:
            store._answered[asked] = store._database.read(query, *args, **kwargs)
        answer: T = copy(store._answered[asked])
        return answer

    return method


def _changing(step: Callable[Concatenate[sa.Connection, str, P], T]) -> Callable[Concatenate[Store, P], T]:

    @wraps(step)
    def method(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return store._database.change(step, store.clock(), *args, **kwargs)

    return method


class Store:
    """A leaderboard. One per process; its methods may be called from several threads, and raise StoreError."""

    # One query or step each, described there.

    stimuli_names = _reading(queries.stimuli_names, once=True)
    stimuli = _reading(queries.stimuli)
    collections = _reading(queries.collections)
    observations = _reading(queries.observations)
    chunks = _reading(queries.chunks)
    stored_chunks = _reading(queries.stored_chunks)
    chunk_seals = _reading(queries.chunk_seals)
    answers = _reading(queries.answers)
    complete = _reading(queries.complete)
    incomplete = _reading(queries.incomplete)
    suite_names = _reading(queries.suite_names)
    score_sets = _reading(queries.score_sets, once=True)
    _latest_scores = _reading(queries.latest_scores, once=True)
    observers = _reading(queries.observer_rows, once=True)
    has_scores = _reading(queries.has_scores)
    stored_scores = _reading(queries.newest_scores)
    outcomes = _reading(queries.outcomes)
    run_notes = _reading(queries.run_notes)
    runs = _reading(queries.runs)
    runs_of_sets = _reading(queries.runs_of_sets)
    provenance = _reading(queries.score_origin)
    problems = _reading(check.problems)
    begin_run = _changing(write.begin_run)
    end_run = _changing(write.end_run)
    put_observer = _changing(write.put_observer)
    put_import = _changing(write.put_import)
    put_observation = _changing(write.put_observation)
    settle = _changing(write.settle)
    put_scores = _changing(write.put_scores)
    put_outcome = _changing(write.put_outcome)

    def __init__(self, database: Database, checked_files: Path | None = None) -> None:
        self._database = database
        self._checked_files = checked_files
        self.clock: Callable[[], str] = now  # a board's site has the same bytes whenever it is built
        self._known_sets: Sets = {}
        self._answered: dict[str, Any] = {}
        self.together = database.together

    @property
    def place(self) -> str:
        """The location, for messages, without a password."""
        return self._database.location.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Calling it twice is fine."""
        self._database.close()

    def latest_scores(
        self,
        *,
        suite: str | None = None,
        metrics: Collection[str] | None = None,
        observers: Collection[str] | None = None,
        conditions: Collection[str] | None = None,
    ) -> list[ScoreRow]:
        """Return current scores. Their digests are compared unless the file is as it was when all of them held."""
        which = {"metrics": metrics, "observers": observers, "conditions": conditions}
        question = [suite, *(None if names is None else sorted(names) for names in which.values())]
        path, notes = self._database.location.path, self._checked_files
        before = file_note(path, question) if notes else ""
        known = notes is not None and before in checked_notes(notes)
        rows, sound = self._latest_scores(suite=suite, checked=known, **which)
        if notes and before and sound and not known and before == file_note(path, question):
            add_note(notes, before)
        return list(rows)

    def put_stimuli(self, stimuli: Stimuli) -> None:
        """Store a stimulus set's names and labels, once per digest; images are not stored."""
        if not self._database.read(queries.has, schema.STIMULI, "digest", stimuli.digest):
            self._database.change(insert_new, schema.STIMULI, [write.stimuli_row(self.clock(), stimuli)])
        elif not self.stimuli(stimuli.digest).shows(stimuli):
            name = f"stimulus set '{stimuli.name}' ({stimuli.digest[:12]})"
            raise StoreError(f"{name} has other image names or labels in {self.place}. Start a new one with `--db`")

    def put_chunks(self, run: str, chunks: Sequence[Chunk]) -> None:
        """Store all of the chunks, or none. An existing chunk is left unchanged."""
        encoded = list(map(write.encode_chunk, chunks))  # before others have to wait
        self._database.change(write.put_chunks, run, encoded)

    def merge(self, others: Callable[[], Iterable[Store]]) -> list[merge.Merged]:
        """Copy all new contents of other leaderboards, opened one by one, or nothing; differences are skipped."""
        return self._database.change(
            lambda here: [merge.merge_leaderboard(here, other._database) for other in others()]
        )

    def merge_observations(self, other: Store, keys: Collection[str], run: str) -> None:
        """Copy these observations of another leaderboard, with all that they rest on, as work of `run`."""
        self._database.change(merge.merge_observations, other._database, keys, run)

    def vacuum(self) -> tuple[int, int]:
        """Give unused room back to the disk and return the bytes before and after."""
        return check.free_space(self._database)

    # Reading trials. Stimulus sets that were read are kept: what a digest names never changes.

    def trials(self, keys: Sequence[str], missing: Mapping[str, str] | None = None) -> Trials:
        """Return the trials of the observations as one table. missing: role -> reason for missing trials; passed on."""
        return self._database.read(queries.stored_trials, keys, missing or {}, self._known_sets)

    def trials_apart(self, keys: Sequence[str]) -> dict[str, Trials]:
        """Return the stored trials of each observation that has any."""
        return self._database.read(queries.trials_apart, keys, self._known_sets)
