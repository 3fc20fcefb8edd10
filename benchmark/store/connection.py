"""Connections to a leaderboard, and its transactions."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from benchmark.failures import StoreError
from benchmark.store.db_errors import LOCK_TIMEOUT, as_store_errors, no_leaderboard, not_sqlite, read_only, retry
from benchmark.store.location import Location

P = ParamSpec("P")
T = TypeVar("T")
Transaction = Callable[[], AbstractContextManager[sa.Connection]]
CONNECT = 10  # seconds for a connection to a server, unless the URL says connect_timeout


def connect(location: Location, *, write: bool, create: bool = True) -> "Database":
    """Return a data base at a place; nothing is created yet. Raises StoreError if it cannot be opened."""
    path = location.path
    if path is None:
        return Database(location, write)
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise StoreError(f"{location.shown} is not a regular file: name a file for the leaderboard with `--db`")
        if state.st_size == 1:  # SQLite takes it for an empty file
            raise not_sqlite(location.shown, "file is not a database")
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            wrong = f"the folder {path.parent} does not exist: create it, or name another file with `--db`"
            raise StoreError(wrong) from None
        if not create:
            raise no_leaderboard(location.shown) from None
    except OSError as error:
        raise StoreError(f"{location.shown} cannot be used: {error.strerror}. Name another file with `--db`") from error
    if write and not all(os.access(place, os.W_OK) for place in (path, path.parent) if place.exists()):
        raise read_only(location.shown)
    return Database(location, write)


@dataclass(frozen=True)
class Database:
    """A location and the rules for using it. One per process, made after a fork, never before."""

    location: Location
    write: bool
    _held: list[sa.Connection] = field(default_factory=list, compare=False, repr=False)  # by `together`
    _reached: list[bool] = field(default_factory=list, compare=False, repr=False)  # not empty: it was, once

    @cached_property
    def engine(self) -> sa.Engine:
        """The connections. Raises StoreError if a required package is not installed."""
        url, path = self.location.server, self.location.path
        if path is not None:
            opened = partial(_open_file, path, write=self.write)
            engine = sa.create_engine("sqlite://", creator=opened, poolclass=QueuePool)
            event.listen(engine, "connect", self._prepare)

            @event.listens_for(engine, "begin")
            def begin(connection: sa.Connection) -> None:
                options = connection.get_execution_options()
                if options.get("isolation_level") != "AUTOCOMMIT":  # what runs in no transaction: VACUUM
                    # A writer takes its turn at once: a deferred transaction that has read before it writes
                    # fails when another writer came between, however long the timeout.
                    connection.exec_driver_sql("BEGIN" if options.get("reading") else "BEGIN IMMEDIATE")

            return engine
        assert url is not None
        # A server that was set up without a language gives bytes where text is asked for, unless told.
        arguments = {"connect_timeout": CONNECT, "client_encoding": "utf8"}
        arguments = {name: value for name, value in arguments.items() if name not in url.query}
        try:
            # A server may close idle connections between two chunks: look before use.
            engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
            event.listen(engine, "connect", lambda *_: self._reached.append(True))
            return engine
        except ModuleNotFoundError as error:
            raise StoreError(f"{self.location.shown} needs a driver: pip install 'gestaltbench[postgres]'") from error

    def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query` in a reading transaction; wait for an unavailable server."""
        return self._tried(self.reading, lambda connection: query(connection, *args, **kwargs))

    def change(self, step: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `step` as one transaction; wait for an unavailable server and repeat the step. If the server had
        committed the first attempt without confirming it, the same rows are stored once."""
        return self._tried(self.writing, lambda connection: step(connection, *args, **kwargs))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run all queries and steps as one transaction, which leaves nothing behind if one fails."""
        with self.writing() as connection:
            self._held.append(connection)
            try:
                yield
            finally:
                self._held.clear()

    def _tried(self, transaction: Transaction, work: Callable[[sa.Connection], T]) -> T:
        if self._held:
            return work(self._held[0])

        def attempt() -> T:
            with transaction() as connection:
                return work(connection)

        return retry(attempt, self.location.shown, lambda: bool(self._reached))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the data base and waits for no writer."""
        options: dict[str, Any] = {"reading": True}
        if self.location.server is not None:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with as_store_errors(self.location, reading=True), self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or leaves nothing behind."""
        if not self.write:
            raise StoreError(f"the leaderboard {self.location.shown} was opened for reading only")
        with as_store_errors(self.location), self.engine.begin() as connection:
            yield connection
            # Before a commit: SQLite writes happily into a file that nobody will ever find again.
            path, number = connection.info.get("file", (None, None))
            if path is not None and number != _file_number(path):
                raise StoreError(f"{self.location.shown} was deleted, moved or replaced while in use: put it back.")

    def begin_log(self) -> None:
        """Give a fresh SQLite file a write-ahead log: readers go on while one process writes. The file remembers it."""
        if self.location.path is None:
            return
        deadline = time.monotonic() + LOCK_TIMEOUT
        with closing(_open_file(self.location.path, write=True)) as connection:
            while True:
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                    return
                except sqlite3.OperationalError as error:
                    # Several processes that open a fresh file at once: SQLite does not wait here by itself.
                    if "locked" not in str(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def _prepare(self, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        # SQLite checks references only where asked to, connection by connection.
        connection.execute("PRAGMA foreign_keys=ON")
        # A foreign file's schema calls no functions with side effects.
        connection.execute("PRAGMA trusted_schema=OFF")
        self._reached.append(True)
        path = str(cast(Path, self.location.path).absolute())
        record.info["file"] = path, _file_number(path)
        if not self.write:
            # Reading never changes a leaderboard, whatever the file's permissions allow.
            connection.execute("PRAGMA query_only=ON")
            return
        # With a write-ahead log a crash of the program loses nothing, and a power cut at most the last
        # chunks, which the next run computes again; FULL would wait for the disk at every chunk.
        connection.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        if "engine" in self.__dict__:
            self.engine.dispose()


def _file_number(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)  # noqa: PTH116 - each transaction asks
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _open_file(path: Path, *, write: bool) -> sqlite3.Connection:
    """Return a connection to the file. Raises sqlite3.Error if it is missing."""
    logged = False
    with suppress(FileNotFoundError):  # another process that closes the leaderboard takes it away
        logged = path.with_name(path.name + "-wal").stat().st_size > 0
    # mode=rw never creates. A reader too opens for writing where it may, so that the side files
    # of the log are tidied up; where nobody can write, "immutable" needs no side files at all.
    free = logged or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    name = f"file:{quote(os.fsencode(path))}?{'mode=rwc' if write else 'mode=rw' if free else 'immutable=1'}"
    # The driver opens no transactions of its own ("BEGIN" does); a pool hands a connection to one thread at a time.
    return sqlite3.connect(name, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
