"""A leaderboard as a data base: what is in it, whether it is sound, and its room on disk given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from benchmark.store import questions, schema
from benchmark.store.codec import is_digest, unread
from benchmark.store.database import Database, connect
from benchmark.store.engine import Asked, told
from benchmark.store.place import locate, no_leaderboard
from benchmark.store.questions import revision
from benchmark.store.score_rules import fault

_PAGE = 200  # chunks that are in memory at once
_ROOM = 20  # problems of one kind that are told one by one


@dataclass(frozen=True)
class Status:
    """What a leaderboard is. revision: of its schema, newest: of this program's; size: bytes on disk; counts: rows by
    table, and "trials"; open_runs: runs without an end, going on or killed; incomplete: observations that lack trials.
    """

    place: str
    server: str
    revision: str
    newest: str
    size: int
    counts: dict[str, int]
    open_runs: int
    incomplete: int


def status(url_or_path: str) -> Status:
    """What a leaderboard of any version is; nothing is changed. Raises StoreError."""
    database = connect(locate(url_or_path), write=False, create=False)
    try:
        with database.reading() as connection:
            found = revision(Asked(connection), database.place.shown)
            if found is None:
                raise no_leaderboard(database.place.shown)
            there = set(sa.inspect(connection).get_table_names())
            tables = [table for table in schema.METADATA.sorted_tables if table.name in there]
            counts = {one.name: _count(connection, one) for one in tables}
            trials = sa.select(sa.func.coalesce(sa.func.sum(schema.CHUNKS.c.n), 0))
            counts["trials"] = int(connection.execute(trials).scalar_one())
            return Status(
                place=database.place.shown,
                server=_server(connection),
                revision=found,
                newest=questions.HEAD,
                size=_size(connection),
                counts=counts,
                open_runs=counts["runs"] - counts["run_ends"],
                incomplete=_incomplete(connection) if "settled" in there else 0,
            )
    finally:
        database.close()


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _server(connection: sa.Connection) -> str:
    version = connection.dialect.server_version_info or ()
    name = "PostgreSQL" if connection.dialect.name == "postgresql" else "SQLite"
    return f"{name} {'.'.join(map(str, version))}"


def _size(connection: sa.Connection) -> int:
    """Bytes, without a log that is not yet part of it."""
    if connection.dialect.name == "postgresql":
        query = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(connection.execute(query).scalar_one())
    pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    return pages * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def incomplete(connection: sa.Connection, failed: bool) -> dict[str, str]:
    """Key -> suite of each observation that lacks trials. failed: also where its observer has failed since."""
    observed, outcomes = schema.OBSERVATIONS, schema.OUTCOMES
    query = _lacking("key", "suite")
    if not failed:
        since = [
            *(outcomes.c[name] == observed.c[name] for name in ("observer", "suite", "space")),
            outcomes.c.status == "failed",
            outcomes.c.created >= observed.c.created,
        ]
        query = query.where(~sa.exists().where(*since))
    return {row.key: row.suite for row in connection.execute(query)}


def _incomplete(connection: sa.Connection) -> int:
    rows = _lacking("id").subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one())


def _lacking(*columns: str) -> sa.Select[Any]:
    observed, chunks, settled = schema.OBSERVATIONS, schema.CHUNKS, schema.SETTLED
    stored = (
        sa.select(chunks.c.observation, sa.func.sum(chunks.c.n).label("n"))
        .group_by(chunks.c.observation)
        .subquery()
    )
    wanted = sa.func.coalesce(settled.c.n, observed.c.n)
    return (
        sa.select(*(observed.c[name] for name in columns))
        .join(stored, stored.c.observation == observed.c.id, isouter=True)
        .join(settled, settled.c.observation == observed.c.id, isouter=True)
        .where(sa.func.coalesce(stored.c.n, 0) < wanted)
    )


def vacuum(database: Database) -> tuple[int, int]:
    """Give room that nothing uses back to the disk, and refresh what queries are planned by; bytes before and after."""
    with database.reading() as connection:
        before = _size(connection)
    sqlite = database.place.sqlite
    steps = (
        ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)") if sqlite else ("VACUUM ANALYZE",)
    )
    with told(database.place), database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        for step in steps:
            connection.exec_driver_sql(step)
    with database.reading() as connection:
        return before, _size(connection)


def problems(database: Database) -> Iterator[str]:
    """What is wrong with a leaderboard, a line each: rows, references, counts, digests. Reads all of it once."""
    with database.reading() as connection:
        if database.place.sqlite:
            for (line,) in connection.exec_driver_sql("PRAGMA integrity_check").all():
                if line != "ok":
                    yield f"SQLite: {line}"
        yield from _some("row refers", _orphans(connection))
        yield from _some("chunk", _chunks(connection))
        yield from _some("stimulus set", _stimuli(connection))
        yield from _some("environment", _environments(connection))
        yield from _some("score", _scores(connection))


def _some(what: str, found: Iterator[str]) -> Iterator[str]:
    """The first problems of a kind, and the number of the others."""
    more = 0
    for number, line in enumerate(found):
        if number < _ROOM:
            yield line
        else:
            more += 1
    if more:
        yield f"{more} more problems of this kind ({what} ...)"


def _orphans(connection: sa.Connection) -> Iterator[str]:
    """References to rows that are not there."""
    for table in schema.METADATA.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
            target, child = key.column.table.alias("target"), key.parent
            owner = target.c[key.column.name]
            query = (
                sa.select(sa.func.count())
                .select_from(table.join(target, owner == child, isouter=True))
                .where(child.is_not(None), owner.is_(None))
            )
            if n := int(connection.execute(query).scalar_one()):
                yield f"{table.name}.{child.name}: {n} rows refer to {key.column.table.name} that are not there"


def _chunks(connection: sa.Connection) -> Iterator[str]:
    """Chunks that cannot be read, hold another number of trials than they say, or lie over one another."""
    table, observed = schema.CHUNKS, schema.OBSERVATIONS
    columns = [table.c[name] for name in ("observation", "position", "start", "n", "payload")]
    query = (
        sa.select(*columns, observed.c.key, observed.c.n.label("whole"))
        .join(observed, observed.c.id == table.c.observation)
        .order_by(table.c.observation, table.c.position)
        .limit(_PAGE)
    )
    last: tuple[int, int] = (0, -1)
    end = 0
    while rows := connection.execute(_after(query, last)).all():
        for row in rows:
            what = f"chunk {row.position} of observation {row.key}"
            end = end if row.observation == last[0] else 0
            if row.start < end or row.start + row.n > row.whole:
                yield f"{what}: trials {row.start} to {row.start + row.n} of {row.whole}, after {end}"
            end, last = row.start + row.n, (row.observation, row.position)
            yield from unread(row.payload, row.n, what)


def _after(query: sa.Select[Any], last: Sequence[int]) -> sa.Select[Any]:
    table = schema.CHUNKS.c
    later = sa.and_(table.observation == last[0], table.position > last[1])
    return query.where(sa.or_(table.observation > last[0], later))


def _stimuli(connection: sa.Connection) -> Iterator[str]:
    table = schema.STIMULI
    digests = connection.scalars(sa.select(table.c.digest).order_by(table.c.digest)).all()
    for digest in digests:  # one at a time: each names all of its images
        row = connection.execute(sa.select(table).where(table.c.digest == digest)).one()
        yield from unread(row.columns, row.n, f"stimulus set '{row.name}' ({digest})")


def _environments(connection: sa.Connection) -> Iterator[str]:
    table = schema.ENVIRONMENTS
    for row in connection.execute(sa.select(table)):
        if not is_digest(row.digest, row.content):
            yield f"environment {row.id}: its content is not what its digest says"


def _scores(connection: sa.Connection) -> Iterator[str]:
    table = schema.SCORES
    for row in connection.execute(sa.select(table).execution_options(yield_per=5000)):
        if why := fault(row):
            yield f"score '{row.metric}' of set {row.score_set}: {why}"
