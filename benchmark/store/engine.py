"""Connections: how data bases are opened, how transactions begin, how their errors are told."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from benchmark.display import masked
from benchmark.errors import StoreError
from benchmark.store.patience import Unavailable, patiently, server_gone
from benchmark.store.place import Place, check_file, frozen, network_disk, read_only

P = ParamSpec("P")
T = TypeVar("T")
TIMEOUT = 30.0  # seconds that a writer waits for another one
CONNECT = 10  # seconds for a connection to a server, unless the URL says connect_timeout


@dataclass(frozen=True)
class Database:
    """An engine and the rules for using it. One per process, made after a fork, never before."""

    place: Place
    engine: sa.Engine
    write: bool
    warnings: list[str] = field(default_factory=list)

    def ask(
        self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`query` on a reading connection. What is unavailable at present is waited for."""

        def work() -> T:
            with self.reading() as connection:
                return query(connection, *args, **kwargs)

        return patiently(work, self.place.shown)

    def change(
        self, step: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`step` as one transaction. What is unavailable at present is waited for, and the step made again: where
        a server had taken the first one and could not say so, trials are there once, and scores twice alike.
        """

        def work() -> T:
            with self.writing() as connection:
                return step(connection, *args, **kwargs)

        return patiently(work, self.place.shown)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the data base and waits for no writer."""
        options: dict[str, Any] = {"reading": True}
        if not self.place.sqlite:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with told(self.place), self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin(), _as_written(self.place):
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or leaves nothing behind."""
        if not self.write:
            raise StoreError(f"the leaderboard {self.place.shown} was opened for reading only")
        with told(self.place), self.engine.begin() as connection:
            yield connection
            self._require_its_file(connection)

    def _require_its_file(self, connection: sa.Connection) -> None:
        """Before a commit: SQLite writes happily into a file that nobody will ever find again."""
        opened = connection.info.get("file")
        if opened is not None and opened.inode and opened != _file(opened.path):
            raise StoreError(
                f"the leaderboard {self.place.shown} was deleted, moved or replaced while it was in use: what was "
                "stored is where that file is now. Put it back and run again."
            )


class _File(NamedTuple):
    """Which file a connection has open. device, inode: 0 where there is none."""

    path: str
    device: int
    inode: int


def _file(path: str) -> _File:
    """The file that is at a path now."""
    try:
        state = os.stat(path)  # noqa: PTH116 - each transaction asks
    except OSError:
        return _File(path, 0, 0)
    return _File(path, state.st_dev, state.st_ino)


def connect(place: Place, *, write: bool, create: bool = True) -> Database:
    """A data base at a place; nothing is created in it yet. create: whether a missing one will be.
    StoreError where it cannot be opened."""
    if not place.sqlite:
        return Database(place, _postgres(place), write)
    if place.path is not None:
        check_file(place.path, place.shown, write=write, create=create)
    warnings: list[str] = []
    if place.path is not None and write and (kind := network_disk(place.path)):
        warnings.append(_slow(place, f"it lies on a network disk ({kind})"))
    database = Database(place, _sqlite(place, write), write, warnings)
    _prepare_connections(database)
    return database


@contextmanager
def told(place: Place) -> Iterator[None]:
    """Turns the driver's errors into StoreError: what happened, where, what to do."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise StoreError(
            f"the leaderboard {place.shown} refused a row that refers to nothing stored: "
            f"{_told(place, error.orig or error)}"
        ) from error
    except sa.exc.DBAPIError as error:
        raise explain(place, error.orig or error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise _damaged(place, "text that is no text") from error
    except sa.exc.TimeoutError as error:
        raise StoreError(
            f"the leaderboard {place.shown} has no free connection: {error}"
        ) from error


@contextmanager
def _as_written(place: Place) -> Iterator[None]:
    """Reads what this program wrote. What has another form is damage, not a mistake of the reader."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise _damaged(place, f"{type(error).__name__}: {error}") from error
    except sa.exc.InvalidRequestError as error:
        raise _damaged(place, "rows refer to others that are not there") from error


def _damaged(place: Place, why: str) -> StoreError:
    return StoreError(
        f"{place.shown} is damaged: it holds what gestaltbench does not write ({why}). Restore it from a backup, "
        "or start a new one with `--db`."
    )


def explain(place: Place, error: BaseException) -> StoreError:
    """The StoreError for a driver's error."""
    text, shown = _told(place, error), place.shown
    if not place.sqlite and server_gone(error):
        return Unavailable(
            f"the leaderboard {shown} cannot be used: its server does not answer ({text})"
        )
    if "readonly database" in text:
        return read_only(shown, "the file or its folder is read-only")
    if "is locked" in text:
        return Unavailable(
            f"the leaderboard {shown} was held by another process for more than {TIMEOUT:.0f} s",
            "wait for it to end and run again; what is stored is kept",
        )
    if "malformed" in text or "not a database" in text:
        return StoreError(
            f"{shown} is not a leaderboard or is damaged ({text}): restore it from a backup, "
            "or start a new one with `--db`"
        )
    if "disk is full" in text:
        return StoreError(f"the disk of the leaderboard {shown} is full: make room and run again")
    return StoreError(f"the leaderboard {shown} cannot be used: {text}")


def _told(place: Place, error: BaseException) -> str:
    """A driver's words in one line; a driver may quote the URL that it was given."""
    text, password = " ".join(str(error).split()), place.url.password
    return masked(text.replace(str(password), "***") if password else text)


def _postgres(place: Place) -> sa.Engine:
    try:
        # A server may close idle connections between two chunks: look before use.
        # A server that was set up without a language gives bytes where text is asked for, unless told.
        asked = {"connect_timeout": CONNECT, "client_encoding": "utf8"}
        arguments = {name: value for name, value in asked.items() if name not in place.url.query}
        return sa.create_engine(place.url, pool_pre_ping=True, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{place.shown} needs a driver: pip install 'gestaltbench[postgres]'"
        ) from error


def _sqlite(place: Place, write: bool) -> sa.Engine:
    pool = (
        QueuePool if place.path is not None else StaticPool
    )  # memory: one connection is the data base
    return sa.create_engine("sqlite://", creator=_opener(place, write), poolclass=pool)


def _opener(place: Place, write: bool) -> Callable[[], sqlite3.Connection]:
    target = "file::memory:"
    if place.path is not None:
        # mode=rw never creates. A reader too opens for writing where it may, so that the side files
        # of the log are tidied up; where nobody can write, "immutable" needs no side files at all.
        mode = "mode=rwc" if write else "immutable=1" if frozen(place.path) else "mode=rw"
        target = f"file:{quote(os.fsencode(place.path))}?{mode}"

    def open_connection() -> sqlite3.Connection:
        return sqlite3.connect(
            target,
            uri=True,
            timeout=TIMEOUT,
            isolation_level=None,  # the driver opens no transactions of its own: `_begin` does
            check_same_thread=False,  # the pool hands a connection to one thread at a time
        )

    return open_connection


def _prepare_connections(database: Database) -> None:
    @event.listens_for(database.engine, "connect")
    def _pragmas(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        _set_pragmas(database, connection)
        if (path := database.place.path) is not None:
            record.info["file"] = _file(str(path.absolute()))

    @event.listens_for(database.engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return  # what runs in no transaction: VACUUM
        reading = options.get("reading")
        # A writer takes its turn at once: a deferred transaction that has read before it writes
        # fails when another writer came between, however long the timeout.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _set_pragmas(database: Database, connection: sqlite3.Connection) -> None:
    # SQLite checks references only where asked to, connection by connection.
    connection.execute("PRAGMA foreign_keys=ON")
    if not database.write:
        # Reading never changes a leaderboard, whatever the file's permissions allow.
        connection.execute("PRAGMA query_only=ON")
        return
    if database.place.path is not None and not database.warnings:
        _write_ahead(database, connection)
    # With a write-ahead log a crash of the program loses nothing, and a power cut at most the last
    # chunks, which the next run computes again; FULL would wait for the disk at every chunk.
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(database: Database, connection: sqlite3.Connection) -> None:
    """Readers go on while one process writes, and a commit is one append. The file remembers it."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # Several processes that open a fresh file at once: SQLite does not wait here by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        database.warnings.append(_slow(database.place, "its disk cannot hold a write-ahead log"))


def _slow(place: Place, why: str) -> str:
    return (
        f"the leaderboard {place.shown} is used without a write-ahead log: {why}. Processes "
        "will wait for one another; put it on a local disk, or use PostgreSQL for several machines."
    )
