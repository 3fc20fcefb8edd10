"""A data base: where it is, and its transactions. What a ranked table asks of an SQLite file goes to the driver itself:
SQLAlchemy, whose import takes longer than the table, is imported for everything else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from benchmark.errors import StoreError
from benchmark.store.files import file_at, open_file, slow
from benchmark.store.patience import patiently
from benchmark.store.place import Place, check_file, network_disk
from benchmark.store.questions import Reader
from benchmark.store.telling import as_written, damaged, explain

if TYPE_CHECKING:
    import sqlalchemy as sa

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True)
class Database:
    """A place and the rules for using it. One per process, made after a fork, never before."""

    place: Place
    write: bool
    warnings: list[str] = field(default_factory=list)
    _idle: list[sqlite3.Connection] = field(default_factory=list, repr=False)

    @cached_property
    def engine(self) -> sa.Engine:
        """SQLAlchemy's connections."""
        from benchmark.store.engine import make_engine

        return make_engine(self.place, self.warnings, write=self.write)

    def read(
        self, question: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`question` in a reading transaction. What is unavailable at present is waited for."""
        return self._patiently(self.asking, question, *args, **kwargs)

    def ask(
        self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `read`, of a query that needs SQLAlchemy."""
        return self._patiently(self.reading, query, *args, **kwargs)

    def change(
        self, step: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`step` as one transaction. What is unavailable at present is waited for, and the step made again: where
        a server had taken the first one and could not say so, trials are there once, and scores twice alike.
        """
        return self._patiently(self.writing, step, *args, **kwargs)

    def _patiently(
        self,
        begun: Callable[[], AbstractContextManager[C]],
        step: Callable[Concatenate[C, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`step` in a transaction, begun again where what is unavailable was waited for."""

        def work() -> T:
            with begun() as transaction:
                return step(transaction, *args, **kwargs)

        return patiently(work, self.place.shown)

    @contextmanager
    def asking(self) -> Iterator[Reader]:
        """As `reading`, without SQLAlchemy where that can be."""
        if self.place.path is None or self.write:
            from benchmark.store.engine import Asked

            with self.reading() as connection:
                yield Asked(connection)
            return
        with _told(self.place):
            file = self._idle.pop() if self._idle else _opened(self.place.path)
            try:
                file.execute("BEGIN")
                with as_written(self.place):
                    yield _Driver(file)
                file.execute("ROLLBACK")
                self._idle.append(file)
            except BaseException:
                file.close()
                raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the data base and waits for no writer."""
        from benchmark.store.engine import read_only_transaction

        with read_only_transaction(self.place, self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or leaves nothing behind."""
        from benchmark.store.engine import told

        if not self.write:
            raise StoreError(f"the leaderboard {self.place.shown} was opened for reading only")
        with told(self.place), self.engine.begin() as connection:
            yield connection
            self._require_its_file(connection)

    def _require_its_file(self, connection: sa.Connection) -> None:
        """Before a commit: SQLite writes happily into a file that nobody will ever find again."""
        opened = connection.info.get("file")
        if opened is not None and opened.inode and opened != file_at(opened.path):
            raise StoreError(
                f"the leaderboard {self.place.shown} was deleted, moved or replaced while it was in use: what was "
                "stored is where that file is now. Put it back and run again."
            )

    def close(self) -> None:
        """Closes all connections. Calling it twice is fine."""
        if "engine" in self.__dict__:
            self.engine.dispose()
        while self._idle:
            self._idle.pop().close()


def _opened(path: Path) -> sqlite3.Connection:
    file = open_file(path, write=False)
    # Reading never changes a leaderboard, whatever the file's permissions allow.
    file.execute("PRAGMA query_only=ON")
    return file


@dataclass(frozen=True)
class _Driver:
    """Questions to SQLite's own driver."""

    connection: sqlite3.Connection

    def rows(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(text, values).fetchall()

    def tables(self) -> set[str]:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        return {name for (name,) in self.connection.execute(names)}


@contextmanager
def _told(place: Place) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(place, error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise damaged(place, "text that is no text") from error


def connect(place: Place, *, write: bool, create: bool = True) -> Database:
    """A data base at a place; nothing is created in it yet. create: whether a missing one will be.
    StoreError where it cannot be opened."""
    if place.path is None:
        return Database(place, write)
    check_file(place.path, place.shown, write=write, create=create)
    warnings: list[str] = []
    if write and (kind := network_disk(place.path)):
        warnings.append(slow(place, f"it lies on a network disk ({kind})"))
    return Database(place, write, warnings)
