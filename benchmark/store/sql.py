"""Small tools that all modules of the store share: JSON in columns, digests of rows, reading and inserting rows."""

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import isfinite
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.files import canonical

T = TypeVar("T")
BATCH = 500  # values per IN list: below every driver's limit
DIGITS = 32  # of a row's digest: 128 bits
LONGEST_JSON = 16 * 2**20  # characters: ten times what ten thousand keys take
#: What reading content raises that this program has not written.
NOT_WRITTEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError)

_clock = threading.Lock()
_last = ""


def dump(value: Any) -> str:
    """Write canonical, readable JSON: equal values give equal text."""
    return canonical(value, ascii=False)


def parsed(text: str, kind: type[T], most: int = LONGEST_JSON) -> T:
    """Read JSON of one kind of value. Raises ValueError on others, on too much of it, and on too deep nesting."""
    if len(text) > most:
        raise ValueError(f"JSON of {len(text)} characters; at most {most} are read")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} where {kind.__name__} is written")
    return value


def texts(text: str) -> tuple[str, ...]:
    """Return a JSON list of texts. Raises ValueError on anything else."""
    values = parsed(text, list)
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list holds something other than text")
    return tuple(values)


def digest_of(values: Iterable[Any]) -> str:
    """Return the digest of a sequence of plain values and bytes."""
    parts = (bytes(x) if isinstance(x, bytes | memoryview) else json.dumps(x).encode() for x in values)
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()[:DIGITS]


def row_digest(table: sa.Table, row: Mapping[str, Any]) -> str:
    """Return the digest of a row: of all its columns but those that the schema marks as not sealed."""
    return digest_of([table.name, *(row[column.name] for column in table.c if column.info["sealed"])])


class DigestTexts(dict[tuple[Any, ...], str]):
    """Values of a row -> what `digest_of` takes the digest of. Most texts of a table are those of other rows, too."""

    def __missing__(self, values: tuple[Any, ...]) -> str:
        self[values] = text = "".join(f"{len(part := json.dumps(value))}:{part}" for value in values)
        return text

    def number(self, value: float | None) -> str:
        """Return the text of a number that hardly another row has."""
        if type(value) is float and isfinite(value):
            text = repr(value)  # as JSON has it, in a third of the time
            return f"{len(text)}:{text}"
        return self[(value,)]


def seal_of(text: str) -> str:
    """Return the digest of the values of a text of `DigestTexts`, or of several in a row."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def seal_column(table: sa.Table) -> str | None:
    """Return the column that holds a row's digest: "id", "checksum", or None where rows have none."""
    return next((column.name for column in table.c if column.info["seal"]), None)


def sealed(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with its digest, which is its key where it has no other."""
    name = seal_column(table)
    return dict(row) if name is None else {**row, name: row_digest(table, row)}


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; an existing one (by any unique constraint) is left unchanged."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    connection.execute(insert(table).on_conflict_do_nothing(), list(rows))


def fetched(connection: sa.Connection, query: sa.Select[Any], optional: Collection[str] = ()) -> Sequence[Any]:
    """Return the rows of a query. ValueError: a value of a type that the schema does not have (SQLite stores any)."""
    rows = connection.execute(query).all()
    # By column, not by value: tables have 100,000 rows.
    for column, values in zip(query.selected_columns, zip(*rows, strict=True), strict=False):
        wanted = column.type.python_type
        kinds = set(map(type, values)) - {wanted, int if wanted is float else wanted}
        if getattr(column, "nullable", True) or column.name in optional:
            kinds.discard(type(None))
        if kinds:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"{column}: {names} where {wanted.__name__} is written")
        if wanted is int and min(filter(None, values), default=0) < 0:
            raise ValueError(f"{column}: a number below 0")  # versions, counts and places
    return rows


def fetched_of(
    connection: sa.Connection, query: sa.Select[Any], column: sa.ColumnElement[Any], values: Iterable[Any]
) -> Iterator[Any]:
    """Yield the rows of a query whose `column` has one of the values."""
    for some in batches(sorted(set(values))):
        yield from fetched(connection, query.where(column.in_(some)))


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Yield the values in lists of at most `size`."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def storable(text: str) -> str:
    """Replace bytes of a file's name that are no UTF-8 by \\udce9: no data base takes them."""
    return text.encode("utf-8", "backslashreplace").decode()


def now() -> str:
    """Return this moment, ISO 8601 in UTC with microseconds; within a process each is later than the one before."""
    global _last
    with _clock:
        _last = later(datetime.now(UTC).isoformat(timespec="microseconds"), _last)
        return _last


def later(moment: str, than: str | None) -> str:
    """Return the moment, or the microsecond after `than` if that is not earlier."""
    if not than or moment > than:
        return moment
    # "Newest" means stored last, even after a clock was set back.
    return (datetime.fromisoformat(than) + timedelta(microseconds=1)).isoformat(timespec="microseconds")
