"""A leaderboard's schema: made, brought up to date, or refused where a newer program wrote it.

Alembic is imported for an upgrade only: its import costs more than all of `bench rank`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmark.errors import StoreError
from benchmark.store import questions
from benchmark.store.database import Database, connect
from benchmark.store.place import Place, no_leaderboard
from benchmark.store.questions import revision
from benchmark.version import __version__
from registry.files import is_file

MIGRATIONS = Path(__file__).parent / "migrations"


def require_own_file(place: Place, *, create: bool) -> None:
    """StoreError where a file is another program's, or none: opened for writing it would be given a write-ahead log."""
    if place.path is None or not is_file(place.path):
        return
    database = connect(place, write=False, create=create)
    try:
        with database.asking() as reader:
            if revision(reader, place.shown) is None and not create:
                raise no_leaderboard(place.shown)
    finally:
        database.close()


def prepare(database: Database, migrations: Path = MIGRATIONS, *, create: bool = True) -> None:
    """Makes sure that the data base has this program's tables.
    StoreError where it cannot have them."""
    shown = database.place.shown
    with database.asking() as reader:
        found = revision(reader, shown)
    if found == questions.HEAD:
        return
    if found is None and not (database.write and create):
        raise no_leaderboard(shown)
    if found is None:
        from benchmark.store.making import create_tables

        create_tables(database)
    elif found > questions.HEAD:
        raise StoreError(
            f"the leaderboard {shown} was written by a newer gestaltbench (schema {found}; this is "
            f"{__version__} with schema {questions.HEAD}): pip install --upgrade gestaltbench"
        )
    elif not database.write:
        raise StoreError(
            f"the leaderboard {shown} was written by an older gestaltbench (schema {found}, now "
            f"{questions.HEAD}): `bench db upgrade --db {shlex.quote(shown)}` brings it up to date"
        )
    else:
        from benchmark.store.making import upgrade

        upgrade(database, migrations)
