"""The tables of a leaderboard: made, or brought up to date.

Alembic is imported for an upgrade only: its import costs more than all of `bench rank`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmark.store import questions, schema
from benchmark.store.database import Database
from benchmark.store.engine import Asked, told
from benchmark.store.questions import APPLICATION, revision
from benchmark.store.sql import insert_new
from benchmark.version import __version__

_LOCK = 0x67657374  # any fixed number: PostgreSQL's lock for making or upgrading the tables


def create_tables(database: Database) -> None:
    """All tables in one transaction: of several processes that try, one makes them."""
    with database.writing() as connection:
        _one_at_a_time(connection)
        if revision(Asked(connection), database.place.shown) is not None:
            return
        for table in (schema.REVISION, *schema.METADATA.sorted_tables):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))
        insert_new(connection, schema.REVISION, [{"version_num": questions.HEAD}])
        facts = {
            "application": APPLICATION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "created by": __version__,
        }
        insert_new(
            connection, schema.META, [{"key": key, "value": value} for key, value in facts.items()]
        )


def upgrade(database: Database, migrations: Path) -> None:
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
