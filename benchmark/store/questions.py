"""Questions in plain SQL that SQLite and PostgreSQL understand alike: what a ranked table asks, and needs no SQLAlchemy
for. Every answer is checked against the types that the schema states."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

from benchmark.errors import StoreError

T = TypeVar("T")
HEAD = "0003"  # the newest migration; tests hold it equal to the migrations folder
APPLICATION = "gestaltbench"
BATCH = 500  # values per IN list: below every driver's limit
#: Of the columns that are asked for here, those that are no text. Tests hold them against the schema.
WHOLE = frozenset(
    (
        *("observers.id", "stimuli.n", "stimuli.whole", "registrations.id"),
        *("observations.version", "observations.n"),
        *("score_sets.id", "score_sets.version", "score_sets.observer"),
        *("scores.score_set", "scores.n", "scores.excluded"),
    )
)
REAL = frozenset(("scores.value", "scores.low", "scores.high", "scores.level"))
BYTES = frozenset(("stimuli.columns",))
OPTIONAL = frozenset(("stimuli.whole", "scores.value", "scores.low", "scores.high"))

#: What each observer name stands for now: its newest registration, and whose that is.
CURRENT = """
(SELECT max(registrations.id) AS id FROM registrations
 JOIN observers ON observers.id = registrations.observer GROUP BY observers.name) AS newest
JOIN registrations ON registrations.id = newest.id
JOIN observers ON observers.id = registrations.observer
"""


class Reader(Protocol):
    """A transaction that sees one state of the data base. A value stands in a question as :name."""

    def rows(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a question."""

    def tables(self) -> set[str]:
        """The names of all tables."""


def select(
    reader: Reader, columns: Sequence[str], rest: str, **values: Any
) -> list[tuple[Any, ...]]:
    """The columns ("table.column") of the rows that the rest of the question chooses. ValueError on a value of another
    type than the schema's: SQLite stores what it is given."""
    rows = reader.rows(f"SELECT {', '.join(columns)} {rest}", values)
    for column, found in zip(columns, zip(*rows, strict=True), strict=False):
        _check(column, found)
    return rows


def kind_of(column: str) -> type:
    """Which values a column ("table.column") has."""
    if column in WHOLE:
        return int
    return float if column in REAL else bytes if column in BYTES else str


def _check(column: str, found: Sequence[Any]) -> None:
    """By column, not by value: tables have 100,000 rows."""
    wanted = kind_of(column)
    kinds = set(map(type, found))
    others = kinds - {wanted, int} if wanted is float else kinds - {wanted}
    if column in OPTIONAL:
        others.discard(type(None))
    if others:
        names = ", ".join(sorted(kind.__name__ for kind in others))
        raise ValueError(f"{column}: {names} where {wanted.__name__} is written")
    if wanted is int and any(value is not None and value < 0 for value in set(found)):
        raise ValueError(f"{column}: a number below 0")  # ids, versions, counts and places


def within(column: str, values: Collection[str] | Collection[int]) -> tuple[str, dict[str, Any]]:
    """That a column has one of some values, as text and its values. Whole numbers stand in the text: SQLite looks for a
    name among all names before it."""
    names: dict[str, Any] = {}
    if kind_of(column) is not int:
        names = {f"{column.replace('.', '_')}_{at}": value for at, value in enumerate(values)}
    items = [f":{name}" for name in names] or [str(int(value)) for value in values]
    return f"{column} IN ({', '.join(items) or 'NULL'})", names


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def revision(reader: Reader, shown: str) -> str | None:
    """The schema's number, None for an empty data base.
    StoreError where it is another program's."""
    tables = reader.tables()
    if not tables:
        return None
    if {"meta", "alembic_version"} <= tables:
        owner = reader.rows("SELECT value FROM meta WHERE key = 'application'", {})
        if owner == [(APPLICATION,)]:
            return _number(reader.rows("SELECT version_num FROM alembic_version", {}))
    some = ", ".join(sorted(tables)[:3])
    raise StoreError(
        f"{shown} is the data base of another program (tables {some}, ...): name another with "
        "`--db`"
    )


def _number(found: Sequence[tuple[object, ...]]) -> str:
    """A schema's number: four digits. ValueError on what is none."""
    number = found[0][0] if found else None
    if not isinstance(number, str) or not re.fullmatch("[0-9]{4}", number):
        raise ValueError(f"schema {number!r}")
    return number
