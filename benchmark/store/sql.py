"""Small tools that the reading and writing modules share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


def insert_new(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts rows; one that is there already (by any unique constraint) stays as it is."""
    if not rows:
        return
    connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def insert_one(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> int:
    """Inserts a row into a table with an `id`; its id."""
    key = connection.execute(sa.insert(table).values(**row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def storable(text: str) -> str:
    """Text in which the bytes of a file's name that are no UTF-8 stand as \\udce9: no data base takes them."""
    return text.encode("utf-8", "backslashreplace").decode()


def now() -> str:
    """This moment, ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def fetched(
    connection: sa.Connection, query: sa.Select[Any], optional: Collection[str] = ()
) -> Sequence[Any]:
    """The rows of a query, of the types that the schema states. ValueError on others: SQLite stores what it is given.

    optional: columns that may be empty though the schema forbids it (of an outer join). By column, not by value:
    tables have 30,000 rows.
    """
    rows = connection.execute(query).all()
    for column, values in zip(query.selected_columns, zip(*rows, strict=True), strict=False):
        wanted = column.type.python_type
        allowed = {wanted, int} if wanted is float else {wanted}
        found = set(map(type, values))
        if getattr(column, "nullable", True) or column.name in optional:
            found.discard(type(None))
        if not found <= allowed:
            names = ", ".join(sorted(kind.__name__ for kind in found - allowed))
            raise ValueError(f"{column}: {names} where {wanted.__name__} is written")
        if wanted is int and any(value is not None and value < 0 for value in values):
            raise ValueError(f"{column}: a number below 0")  # ids, versions, counts and places
    return rows
