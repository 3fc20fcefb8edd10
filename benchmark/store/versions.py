"""A leaderboard's schema: made, or refused where another program or another version wrote it."""

import re
from collections import defaultdict
from contextlib import closing
from importlib.resources import files

import sqlalchemy as sa

from benchmark.display import printable
from benchmark.failures import StoreError
from benchmark.store import schema
from benchmark.store.connection import Database, connect
from benchmark.store.db_errors import damaged, no_leaderboard
from benchmark.store.location import Location, parse_location
from benchmark.store.sql import insert_new, now
from benchmark.version import __version__
from registry.files import is_file

_LOCK = 0x67657374  # any fixed number: PostgreSQL's lock for making the tables


def prepared(url_or_path: str, *, write: bool, create: bool) -> Database:
    """Return a leaderboard's database with this program's tables. Raises StoreError."""
    location = parse_location(str(url_or_path))
    database = connect(location, write=write, create=create)
    try:
        stored = database.read(revision, location)
        if stored is None:
            if not (write and create):
                raise no_leaderboard(location.shown)
            database.begin_log()
            database.change(_create_tables, location)
        elif stored != schema.HEAD:
            what = "pip install --upgrade gestaltbench" if stored > schema.HEAD else "start a new one with `--db`"
            made = f"another gestaltbench (schema {stored}; this one, {__version__}, reads {schema.HEAD})"
            raise StoreError(f"the leaderboard {location.shown} was written by {made}: {what}")
    except BaseException:
        database.close()
        raise
    return database


def require_usable(url_or_path: str) -> None:
    """Raises StoreError if a run could not write; a file that is not there is not made yet."""
    location = parse_location(str(url_or_path))
    if location.path is None or is_file(location.path):
        prepared(url_or_path, write=True, create=True).close()
    else:
        connect(location, write=True).close()


def is_there(url_or_path: str) -> bool:
    """Whether a file or a server holds a leaderboard's tables: another process may be about to make them."""
    location = parse_location(url_or_path)
    if location.path is not None and not location.path.exists():
        return False
    with closing(connect(location, write=False)) as database:
        return database.read(revision, location) is not None


_SQLITE = "SELECT sql, lower(name) FROM sqlite_master WHERE sql NOT LIKE 'CREATE TABLE sqlite_stat_(%'"
#: What a leaderboard has, by kind: PostgreSQL calls the index of a key like its rule.
_KNOWN = {
    "table": {*schema.METADATA.tables, schema.REVISION.name},
    "index": {
        *(str(index.name) for table in schema.METADATA.tables.values() for index in table.indexes),
        *(str(table.primary_key.name) for table in (*schema.METADATA.tables.values(), schema.REVISION)),
    },
}


def revision(connection: sa.Connection, location: Location) -> str | None:
    """Return the schema's number, None for an empty database. Raises StoreError if it belongs to another program, or
    contains foreign objects: a trigger or a view may change reads and writes, a unique index the stored rows."""
    found: dict[str, set[str]] = defaultdict(set)
    server = files("benchmark.store").joinpath("postgres_objects.sql")
    for what, name in connection.exec_driver_sql(server.read_text() if location.server else _SQLITE):
        # SQLite reads the statement ("CREATE TRIGGER ..."), whatever the row's type says.
        found[str(what).lower().split()[0 if location.server else 1]].add(name)
    tables = found["table"]
    if not any(found.values()):
        return None
    meta, owner = schema.META.c, None
    if {"meta", "alembic_version"} <= tables:
        owner = connection.scalar(sa.select(meta.value).where(meta.key == "application"))
    if owner != schema.APPLICATION:
        some = ", ".join(sorted(tables | found["view"])[:3])
        other = f"is the data base of another program (tables {some}, ...): name another with `--db`"
        raise StoreError(f"{location.shown} {other}")
    number = connection.scalar(sa.select(schema.REVISION.c.version_num))
    if not isinstance(number, str) or not re.fullmatch("[0-9]{4}", number):
        raise damaged(location.shown, f"schema {number!r}")
    # The tables and indexes of another schema are not known here.
    known = _KNOWN if number == schema.HEAD else {"table": tables, "index": found["index"]}
    for kind in sorted(found):
        if strange := sorted(found[kind] - known.get(kind, set())):
            raise damaged(location.shown, f"the {kind} '{printable(strange[0])}' does not belong to a leaderboard")
    if number == schema.HEAD and (lost := sorted(schema.METADATA.tables.keys() - tables)):
        raise damaged(location.shown, f"the table '{lost[0]}' is not there")
    return number


def _create_tables(connection: sa.Connection, location: Location) -> None:
    """Make all tables in one transaction: of several processes that try, one makes them."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if revision(connection, location) is not None:
        return
    for tables in (schema.REVISION.metadata, schema.METADATA):
        tables.create_all(connection)
    insert_new(connection, schema.REVISION, [{"version_num": schema.HEAD}])
    facts = {"application": schema.APPLICATION, "created": now(), "created by": __version__}
    insert_new(connection, schema.META, [{"key": key, "value": value} for key, value in facts.items()])
