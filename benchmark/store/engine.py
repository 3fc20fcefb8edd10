"""SQLAlchemy's side of a data base: how connections are made, how transactions begin, how its errors are told."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool
from sqlalchemy.util import LRUCache

from benchmark.errors import StoreError
from benchmark.store import files
from benchmark.store.files import file_at, slow
from benchmark.store.place import Place
from benchmark.store.telling import as_written, damaged, explain, in_words

CONNECT = 10  # seconds for a connection to a server, unless the URL says connect_timeout


def make_engine(place: Place, warnings: list[str], *, write: bool) -> sa.Engine:
    """The connections to a place. warnings: takes in what slows them down. StoreError where they need what is not
    installed."""
    if place.server is not None:
        return _postgres(place.shown, place.server)
    opener: Callable[[], Any] = partial(files.open_file, place.path, write=write)
    shared = _sqlite()
    # memory: one connection is the data base
    pool = QueuePool if place.path is not None else StaticPool
    engine = sa.Engine(pool(opener, dialect=shared.dialect), shared.dialect, shared.url)
    engine.update_execution_options(**shared.get_execution_options())
    _prepare_connections(engine, place, warnings, write)
    return engine


@contextmanager
def read_only_transaction(place: Place, engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that sees one state of the data base and waits for no writer."""
    options: dict[str, Any] = {"reading": True}
    if not place.sqlite:
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with told(place), engine.connect() as connection:
        connection = connection.execution_options(**options)
        with connection.begin(), as_written(place):
            try:
                yield connection
            except sa.exc.InvalidRequestError as error:
                why = "rows refer to others that are not there"
                raise damaged(place, why) from error


@dataclass(frozen=True)
class Asked:
    """Questions by way of SQLAlchemy."""

    connection: sa.Connection

    def rows(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        return [*map(tuple, self.connection.execute(sa.text(text), values))]

    def tables(self) -> set[str]:
        """The names of all tables."""
        return set(sa.inspect(self.connection).get_table_names())


@contextmanager
def told(place: Place) -> Iterator[None]:
    """Turns SQLAlchemy's errors into StoreError: what happened, where, what to do."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise StoreError(
            f"the leaderboard {place.shown} refused a row that refers to nothing stored: "
            f"{in_words(place, error.orig or error)}"
        ) from error
    except sa.exc.DBAPIError as error:
        raise explain(place, error.orig or error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise damaged(place, "text that is no text") from error
    except sa.exc.TimeoutError as error:
        raise StoreError(
            f"the leaderboard {place.shown} has no free connection: {error}"
        ) from error


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
            record.info["file"] = file_at(str(place.path.absolute()))

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return  # what runs in no transaction: VACUUM
        reading = options.get("reading")
        # A writer takes its turn at once: a deferred transaction that has read before it writes
        # fails when another writer came between, however long the timeout.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _set_pragmas(
    connection: sqlite3.Connection, place: Place, warnings: list[str], write: bool
) -> None:
    # SQLite checks references only where asked to, connection by connection.
    connection.execute("PRAGMA foreign_keys=ON")
    if not write:
        # Reading never changes a leaderboard, whatever the file's permissions allow.
        connection.execute("PRAGMA query_only=ON")
        return
    if place.path is not None and not warnings and _write_ahead(connection) != "wal":
        warnings.append(slow(place, "its disk cannot hold a write-ahead log"))
    # With a write-ahead log a crash of the program loses nothing, and a power cut at most the last
    # chunks, which the next run computes again; FULL would wait for the disk at every chunk.
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Readers go on while one process writes, and a commit is one append. The file remembers it. The kind of log that
    it has now."""
    deadline = time.monotonic() + files.TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return str(mode)
        except sqlite3.OperationalError as error:
            # Several processes that open a fresh file at once: SQLite does not wait here by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
