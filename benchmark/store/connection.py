"""Connections to a leaderboard, and its transactions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool
from sqlalchemy.util import LRUCache

from benchmark.errors import StoreError
from benchmark.store.db_errors import LOCK_TIMEOUT, as_store_errors, as_written, no_leaderboard, read_only, retry
from benchmark.store.place import Place, network_disk

P = ParamSpec("P")
T = TypeVar("T")
CONNECT = 10  # seconds for a connection to a server, unless the URL says connect_timeout


def connect(place: Place, *, write: bool, create: bool = True) -> Database:
    """A data base at a place; nothing is created in it yet. create: whether a missing one will be. Raises StoreError
    if it cannot be opened."""
    if place.path is None:
        return Database(place, write)
    _check_file(place.path, place.shown, write=write, create=create)
    warnings: list[str] = []
    if write and (kind := network_disk(place.path)):
        warnings.append(_slow(place, f"it lies on a network disk ({kind})"))
    return Database(place, write, warnings)


def _check_file(path: Path, shown: str, *, write: bool, create: bool) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # said below
    except OSError as error:
        raise StoreError(
            f"{shown} cannot be used: {os.strerror(error.errno or 0)}. Name another file with `--db`"
        ) from error
    if path.is_dir():
        raise StoreError(f"{shown} is a folder: name a file for the leaderboard, e.g. {path / 'results.db'}")
    if path.exists() and not path.is_file():
        raise StoreError(f"{shown} is no regular file: name another with `--db`")
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist: create it, or name another file with `--db`")
    if not create and not path.exists():
        raise no_leaderboard(shown)
    if path.exists() and not os.access(path, os.R_OK):
        raise StoreError(f"{shown} cannot be read: this user has no permission")
    if write and path.exists() and not os.access(path, os.W_OK):
        raise read_only(shown, "the file is read-only")
    if write and not os.access(path.parent, os.W_OK):
        raise read_only(shown, f"the folder {path.parent.absolute()} is read-only")


@dataclass(frozen=True)
class Database:
    """A place and the rules for using it. One per process, made after a fork, never before."""

    place: Place
    write: bool
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def engine(self) -> sa.Engine:
        """The connections. Raises StoreError where they need what is not installed."""
        if self.place.server is not None:
            return _postgres(self.place.shown, self.place.server)
        opener: Callable[[], Any] = partial(_open_file, self.place.path, write=self.write)
        shared = _sqlite()
        # memory: one connection is the data base
        pool = QueuePool if self.place.path is not None else StaticPool
        engine = sa.Engine(pool(opener, dialect=shared.dialect), shared.dialect, shared.url)
        engine.update_execution_options(**shared.get_execution_options())
        _prepare_connections(engine, self.place, self.warnings, self.write)
        return engine

    def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`query` in a reading transaction. What is unavailable at present is waited for."""

        def work() -> T:
            with self.reading() as connection:
                return query(connection, *args, **kwargs)

        return retry(work, self.place.shown)

    def change(self, step: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`step` as one transaction. What is unavailable at present is waited for, and the step made again: where a
        server had taken the first one and could not say so, the same rows are there once.
        """

        def work() -> T:
            with self.writing() as connection:
                return step(connection, *args, **kwargs)

        return retry(work, self.place.shown)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the data base and waits for no writer."""
        options: dict[str, Any] = {"reading": True}
        if not self.place.sqlite:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with as_store_errors(self.place), self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin(), as_written(self.place):
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or leaves nothing behind."""
        if not self.write:
            raise StoreError(f"the leaderboard {self.place.shown} was opened for reading only")
        with as_store_errors(self.place), self.engine.begin() as connection:
            yield connection
            self._require_its_file(connection)

    def _require_its_file(self, connection: sa.Connection) -> None:
        """Before a commit: SQLite writes happily into a file that nobody will ever find again."""
        opened = connection.info.get("file")
        if opened is not None and opened.inode and opened != _file_at(opened.path):
            raise StoreError(
                f"the leaderboard {self.place.shown} was deleted, moved or replaced while it was in use: what was "
                "stored is where that file is now. Put it back and run again."
            )

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        if "engine" in self.__dict__:
            self.engine.dispose()


class _File(NamedTuple):
    """Which file a connection has open. device, inode: 0 where there is none."""

    path: str
    device: int
    inode: int


def _file_at(path: str) -> _File:
    try:
        state = os.stat(path)  # noqa: PTH116 - each transaction asks
    except OSError:
        return _File(path, 0, 0)
    return _File(path, state.st_dev, state.st_ino)


def _open_file(path: Path | None, *, write: bool) -> sqlite3.Connection:
    """A connection to the file (None: to a data base in memory). Raises sqlite3.Error if there is none."""
    if path is None:
        return _connected("file::memory:")
    name = f"file:{quote(os.fsencode(path))}"
    if write:
        return _connected(f"{name}?mode=rwc")
    # mode=rw never creates. A reader too opens for writing where it may, so that the side files
    # of the log are tidied up; where nobody can write, "immutable" needs no side files at all.
    if not _frozen(path):
        connection = _connected(f"{name}?mode=rw")
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            # The disk has no room for the side files. Then nobody writes.
            if not error.sqlite_errorname.startswith("SQLITE_IOERR_SHM") or _has_log(path):
                raise
    return _connected(f"{name}?immutable=1")


def _connected(target: str) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        uri=True,
        timeout=LOCK_TIMEOUT,
        isolation_level=None,  # the driver opens no transactions of its own: "BEGIN" does
        check_same_thread=False,  # a pool hands a connection to one thread at a time
    )


def _frozen(path: Path) -> bool:
    """Whether this user can write neither file nor journal, and no journal waits to be read."""
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return not writable and not _has_log(path)


def _has_log(path: Path) -> bool:
    """Whether a journal waits to be read."""
    journal = path.with_name(path.name + "-wal")
    return journal.exists() and journal.stat().st_size > 0


def _postgres(shown: str, url: sa.URL) -> sa.Engine:
    try:
        # A server may close idle connections between two chunks: look before use.
        # A server that was set up without a language gives bytes where text is asked for, unless told.
        asked = {"connect_timeout": CONNECT, "client_encoding": "utf8"}
        arguments = {name: value for name, value in asked.items() if name not in url.query}
        return sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise StoreError(f"{shown} needs a driver: pip install 'gestaltbench[postgres]'") from error


@cache
def _sqlite() -> sa.Engine:
    """What all SQLite data bases of a process share: what the library can do, and the SQL that has been compiled."""
    first = sa.create_engine("sqlite://", execution_options={"compiled_cache": LRUCache(500)})
    first.connect().close()  # its first connection asks the library
    first.dispose()
    return first


def _prepare_connections(engine: sa.Engine, place: Place, warnings: list[str], write: bool) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        _set_pragmas(connection, place, warnings, write)
        if place.path is not None:
            record.info["file"] = _file_at(str(place.path.absolute()))

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return  # what runs in no transaction: VACUUM
        reading = options.get("reading")
        # A writer takes its turn at once: a deferred transaction that has read before it writes
        # fails when another writer came between, however long the timeout.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _set_pragmas(connection: sqlite3.Connection, place: Place, warnings: list[str], write: bool) -> None:
    # SQLite checks references only where asked to, connection by connection.
    connection.execute("PRAGMA foreign_keys=ON")
    # A foreign file's schema calls no functions with side effects.
    connection.execute("PRAGMA trusted_schema=OFF")
    if not write:
        # Reading never changes a leaderboard, whatever the file's permissions allow.
        connection.execute("PRAGMA query_only=ON")
        return
    if place.path is not None and not warnings and _write_ahead(connection) != "wal":
        warnings.append(_slow(place, "its disk cannot hold a write-ahead log"))
    # With a write-ahead log a crash of the program loses nothing, and a power cut at most the last
    # chunks, which the next run computes again; FULL would wait for the disk at every chunk.
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Readers go on while one process writes, and a commit is one append. The file remembers it. The kind of log that
    it has now."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return str(mode)
        except sqlite3.OperationalError as error:
            # Several processes that open a fresh file at once: SQLite does not wait here by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _slow(place: Place, why: str) -> str:
    return (
        f"the leaderboard {place.shown} is used without a write-ahead log: {why}. Processes "
        "will wait for one another; put it on a local disk, or use PostgreSQL for several machines."
    )
