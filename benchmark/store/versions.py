"""A leaderboard's schema: made, brought up to date, or refused where a newer program wrote it.

Alembic is imported for an upgrade only: its import costs more than all of `bench rank`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.engine import Database, told
from benchmark.store.place import no_leaderboard
from benchmark.store.sql import insert_new
from benchmark.version import __version__

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x67657374  # any fixed number: PostgreSQL's lock for making or upgrading the tables


def prepare(database: Database, migrations: Path = MIGRATIONS, *, create: bool = True) -> None:
    """Makes sure that the data base has this program's tables.
    StoreError where it cannot have them."""
    shown = database.place.shown
    with database.reading() as connection:
        found = revision(connection, shown)
    if found == schema.HEAD:
        return
    if found is None and not (database.write and create):
        raise no_leaderboard(shown)
    if found is None:
        _create(database)
    elif found > schema.HEAD:
        raise StoreError(
            f"the leaderboard {shown} was written by a newer gestaltbench (schema {found}; this is "
            f"{__version__} with schema {schema.HEAD}): pip install --upgrade gestaltbench"
        )
    elif not database.write:
        raise StoreError(
            f"the leaderboard {shown} was written by an older gestaltbench (schema {found}, now "
            f"{schema.HEAD}): `bench db upgrade` brings it up to date"
        )
    else:
        _upgrade(database, migrations)


def revision(connection: sa.Connection, shown: str) -> str | None:
    """The schema's number, None for an empty data base.
    StoreError where it is another program's."""
    tables = set(sa.inspect(connection).get_table_names())
    if not tables:
        return None
    if {schema.META.name, schema.REVISION.name} <= tables:
        owner = sa.select(schema.META.c.value).where(schema.META.c.key == "application")
        if connection.scalar(owner) == schema.APPLICATION:
            return _number(connection.scalar(sa.select(schema.REVISION.c.version_num)))
    some = ", ".join(sorted(tables)[:3])
    raise StoreError(
        f"{shown} is the data base of another program (tables {some}, ...): name another with "
        "`--db`"
    )


def _number(found: object) -> str:
    """A schema's number: four digits. ValueError on what is none."""
    if not isinstance(found, str) or not re.fullmatch("[0-9]{4}", found):
        raise ValueError(f"schema {found!r}")
    return found


def _create(database: Database) -> None:
    """All tables in one transaction: of several processes that try, one makes them."""
    with database.writing() as connection:
        _one_at_a_time(connection)
        if revision(connection, database.place.shown) is not None:
            return
        for table in (schema.REVISION, *schema.METADATA.sorted_tables):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))
        insert_new(connection, schema.REVISION, [{"version_num": schema.HEAD}])
        facts = {
            "application": schema.APPLICATION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "created by": __version__,
        }
        insert_new(
            connection, schema.META, [{"key": key, "value": value} for key, value in facts.items()]
        )


def _upgrade(database: Database, migrations: Path) -> None:
    """All missing migrations in one transaction: cut short, it leaves the old leaderboard."""
    from alembic import command
    from alembic.config import Config

    with told(database.place), database.engine.connect() as connection:
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
