"""A leaderboard's schema: made, brought up to date, or refused where another program or a newer one wrote it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.connection import Database, connect
from benchmark.store.db_errors import as_store_errors, damaged, no_leaderboard
from benchmark.store.place import Place, locate
from benchmark.store.sql import insert_new, now
from benchmark.version import __version__
from registry.files import is_file

MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST = "0003"  # the oldest schema that a migration starts from
_LOCK = 0x67657374  # any fixed number: PostgreSQL's lock for making or upgrading the tables


def prepared(url_or_path: str, *, write: bool, create: bool) -> Database:
    """A leaderboard's data base with this program's tables. Raises StoreError."""
    place = locate(str(url_or_path))
    if write and place.path is not None and is_file(place.path):
        # Opened for writing, a file of another program would be given a write-ahead log.
        looked_at = connect(place, write=False, create=create)
        try:
            with looked_at.reading() as connection:
                if revision(connection, place) is None and not create:
                    raise no_leaderboard(place.shown)
        finally:
            looked_at.close()
    database = connect(place, write=write, create=create)
    try:
        prepare(database, create=create)
    except BaseException:
        database.close()
        raise
    return database


def require_usable(url_or_path: str) -> None:
    """Raises StoreError if a run could not write; a file that is not there is not made yet."""
    place = locate(str(url_or_path))
    if place.path is None or is_file(place.path):
        prepared(url_or_path, write=True, create=True).close()
    else:
        connect(place, write=True).close()


def prepare(database: Database, migrations: Path = MIGRATIONS, *, create: bool = True) -> None:
    """Makes sure that the data base has this program's tables. Raises StoreError if it cannot have them."""
    shown = database.place.shown
    with database.reading() as connection:  # at the start nothing is waited for
        there = revision(connection, database.place)
    if there == schema.HEAD:
        return
    if there is None and not (database.write and create):
        raise no_leaderboard(shown)
    if there is None:
        create_tables(database)
    elif there > schema.HEAD:
        raise StoreError(
            f"the leaderboard {shown} was written by a newer gestaltbench (schema {there}; this is "
            f"{__version__} with schema {schema.HEAD}): pip install --upgrade gestaltbench"
        )
    elif there < OLDEST:
        raise StoreError(
            f"the leaderboard {shown} was written by a much older gestaltbench (schema {there}; this one upgrades "
            f"from {OLDEST}): `bench db upgrade` of gestaltbench 1.0 first"
        )
    elif not database.write:
        raise StoreError(
            f"the leaderboard {shown} was written by an older gestaltbench (schema {there}, now "
            f"{schema.HEAD}): `bench db upgrade --db {shlex.quote(shown)}` brings it up to date"
        )
    else:
        upgrade(database, migrations)


def revision(connection: sa.Connection, place: Place) -> str | None:
    """The schema's number, None for an empty data base. Raises StoreError if it is another program's, or holds what is
    no table in the place of a table."""
    tables, others = _relations(connection)
    if not tables and not others:
        return None
    ours = {*schema.METADATA.tables, schema.REVISION.name}
    if fake := sorted(ours & others):
        # Its rows may be computed without end: nothing may be asked of it.
        raise damaged(place, f"'{fake[0]}' is no table")
    if {"meta", "alembic_version"} <= tables:
        meta = schema.META.c
        owner = connection.scalar(sa.select(meta.value).where(meta.key == "application"))
        if owner == schema.APPLICATION:
            return _number(connection, place, tables)
    some = ", ".join(sorted(tables | others)[:3])
    raise StoreError(
        f"{place.shown} is the data base of another program (tables {some}, ...): name another with `--db`"
    )


def _number(connection: sa.Connection, place: Place, tables: set[str]) -> str:
    number = connection.scalar(sa.select(schema.REVISION.c.version_num))
    if not isinstance(number, str) or not re.fullmatch("[0-9]{4}", number):
        raise damaged(place, f"schema {number!r}")
    if number == schema.HEAD and (lost := sorted(schema.METADATA.tables.keys() - tables)):
        raise damaged(place, f"the table '{lost[0]}' is not there")
    return number


def _relations(connection: sa.Connection) -> tuple[set[str], set[str]]:
    """The names of tables, and of what can be asked like a table: views, tables that a module computes."""
    if connection.dialect.name == "postgresql":
        look = sa.inspect(connection)
        return {*look.get_table_names()}, {*look.get_view_names()}
    rows = connection.exec_driver_sql(
        "SELECT lower(name), type = 'table' AND sql NOT LIKE 'create virtual%' FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    ).all()
    return {name for name, real in rows if real}, {name for name, real in rows if not real}


def create_tables(database: Database) -> None:
    """All tables in one transaction: of several processes that try, one makes them."""
    with database.writing() as connection:
        _one_at_a_time(connection)
        if revision(connection, database.place) is not None:
            return
        for table in (schema.REVISION, *schema.METADATA.sorted_tables):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))
        insert_new(connection, schema.REVISION, [{"version_num": schema.HEAD}])
        facts = {"application": schema.APPLICATION, "created": now(), "created by": __version__}
        insert_new(connection, schema.META, [{"key": key, "value": value} for key, value in facts.items()])


def upgrade(database: Database, migrations: Path) -> None:
    """All missing migrations in one transaction: cut short, it leaves the old leaderboard."""
    from alembic import command  # takes longer to import than most commands to run
    from alembic.config import Config

    with as_store_errors(database.place), database.engine.connect() as connection:
        if database.place.sqlite:
            # A migration may rebuild a table, and dropping the old one would follow its references.
            # Inside a transaction SQLite ignores this pragma, so it goes first, past SQLAlchemy.
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            _one_at_a_time(connection)
            config = Config()
            config.set_main_option("script_location", str(migrations).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        connection.invalidate()  # the next connection checks references again


def _one_at_a_time(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
