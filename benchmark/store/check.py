"""Inspect a leaderboard, check its integrity, and free unused disk space."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa

from benchmark.failures import StoreError
from benchmark.store import schema
from benchmark.store.codec import decode
from benchmark.store.connection import Database, connect
from benchmark.store.db_errors import as_store_errors, no_leaderboard, retry
from benchmark.store.location import parse_location
from benchmark.store.queries import chunk_columns, incomplete, newest_imports, scores_digest, trials_digest
from benchmark.store.rows import fault
from benchmark.store.sql import fetched, parsed, row_digest, seal_column, texts
from benchmark.store.versions import revision

_PAGE = 200  # rows that are in memory at once: chunks are large
_SHOWN = 20  # problems of one kind that are told one by one


@dataclass(frozen=True, kw_only=True)
class Status:
    """Facts on a leaderboard."""

    place: str
    server: str
    revision: str  # of its schema
    newest: str  # schema of this gestaltbench
    size: int  # bytes on disk
    counts: dict[str, int]  # rows by table, and "trials"
    open_runs: int  # runs without an end, running or killed
    incomplete: int  # observations that lack trials


def database_status(url_or_path: str) -> Status:
    """Describe a leaderboard of any version without changing it. Raises StoreError."""
    location = parse_location(url_or_path)

    def described(connection: sa.Connection) -> Status:
        stored = revision(connection, location)
        if stored is None:
            raise no_leaderboard(location.shown)
        names, count = set(sa.inspect(connection).get_table_names()), sa.select(sa.func.count())
        tables = [table for table in schema.METADATA.sorted_tables if table.name in names]
        counts = {table.name: int(connection.execute(count.select_from(table)).scalar_one()) for table in tables}
        trials = sa.select(sa.func.coalesce(sa.func.sum(schema.CHUNKS.c.n), 0))
        counts["trials"] = int(connection.execute(trials).scalar_one())
        program = "PostgreSQL" if connection.dialect.name == "postgresql" else "SQLite"
        return Status(
            place=location.shown,
            server=f"{program} {'.'.join(map(str, connection.dialect.server_version_info or ()))}",
            revision=stored,
            newest=schema.HEAD,
            size=_size(connection),
            counts=counts,
            open_runs=counts["runs"] - counts["run_ends"],
            incomplete=len(incomplete(connection)) if stored == schema.HEAD else 0,
        )

    with closing(connect(location, write=False, create=False)) as database:
        return database.read(described)


def _size(connection: sa.Connection) -> int:
    if connection.dialect.name == "postgresql":
        query = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(connection.execute(query).scalar_one())
    pages, page = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return int(pages) * int(page)


def free_space(database: Database) -> tuple[int, int]:
    """Return unused space to the disk, and refresh the statistics of the query planner; bytes before and after."""
    sqlite = database.location.server is None
    steps = ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)") if sqlite else ("VACUUM ANALYZE",)

    def work() -> None:
        with as_store_errors(database.location), database.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            for step in steps:
                connection.exec_driver_sql(step)

    before = database.read(_size)
    retry(work, database.location.shown)
    return before, database.read(_size)


def problems(connection: sa.Connection) -> list[str]:
    """Return the faults of a leaderboard, a line each: pages, keys, references, checksums, contents."""
    faults = []
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        faults += [f"SQLite: {line}" for line in pages.all() if line != "ok"]
    kinds = {"rule": rules(connection)}
    for table in schema.METADATA.sorted_tables:
        if table is not schema.SCORES:  # what a score set's digest binds
            rows = map(partial(row_problems, table), all_rows(connection, table))
            kinds[table.name] = chain.from_iterable(rows)
    kinds |= {"score set": _score_sets(connection), "trials": iter(dict.fromkeys(_lost(connection)))}
    for what, lines in kinds.items():
        faults += islice(lines, _SHOWN)
        if more := sum(1 for _ in lines):
            faults.append(f"{more} more problems of this kind ({what} ...)")
    return faults


def rules(connection: sa.Connection) -> Iterator[str]:
    """Yield repeated keys, references to missing rows (of copies without constraints), and trials of two chunks."""
    for table in schema.METADATA.sorted_tables:
        keys = list(table.primary_key.columns)
        query = sa.select(*keys).group_by(*keys).having(sa.func.count() > 1)
        for row in connection.execute(query).all():
            yield f"{table.name}: the key {', '.join(map(str, row))} occurs more than once"
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            target, child = key.column.table.alias("target"), key.parent
            owner = target.c[key.column.name]
            query = sa.select(sa.func.count()).select_from(table.join(target, owner == child, isouter=True))
            if n := int(connection.execute(query.where(child.is_not(None), owner.is_(None))).scalar_one()):
                yield f"{table.name}.{child.name}: {n} rows refer to {key.column.table.name} that are not there"
    chunks = schema.CHUNKS.c
    before = sa.func.max(chunks.start + chunks.n).over(
        partition_by=chunks.observation, order_by=chunks.position, rows=(None, -1)
    )
    ends = sa.select(chunks.observation, chunks.position, chunks.start, before.label("before")).subquery()
    for row in connection.execute(sa.select(ends).where(ends.c.start < ends.c.before)):
        yield f"chunk {row.position} of observation {row.observation}: an earlier chunk has its trials, too"


def all_rows(connection: sa.Connection, table: sa.Table) -> Iterator[Any]:
    """Yield all rows of a table in the order of its key, a page at a time."""
    page = 1 if table is schema.STIMULI else _PAGE  # a stimulus set names all of its images
    query = sa.select(table).order_by(*table.primary_key.columns)
    yield from connection.execute(query, execution_options={"yield_per": page})


def row_problems(table: sa.Table, row: Any) -> Iterator[str]:
    """Yield the faults of one row: its checksum, its types, its contents. Nothing is assumed of a foreign row."""
    keys = [str(row._mapping[column]) for column in table.primary_key.columns]
    what = f"chunk {keys[1]} of observation {keys[0]}" if table is schema.CHUNKS else f"{table.name} {' '.join(keys)}"
    try:
        name = seal_column(table)
        if name is not None and row._mapping[name] != row_digest(table, row._mapping):
            yield f"{what}: its content is not what its {name} says"
        elif table is schema.CHUNKS:
            chunk_columns(row)
        elif table is schema.STIMULI:
            decode(bytes(row.columns), row.n, f"stimulus set '{row.name}' ({row.digest})")
        for column in (column for column in table.c if column.info["json"]):
            parsed(row._mapping[column.name], column.info["json"])
    except StoreError as error:
        yield str(error).partition(". Restore")[0]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        yield f"{what}: {error}"


def _score_sets(connection: sa.Connection) -> Iterator[str]:
    """Yield score sets whose scores or trials are not those that were stored with them."""
    for row in all_rows(connection, schema.SCORE_SETS):
        what = f"score set {row.id} ({row.suite})"
        scores = connection.execute(sa.select(schema.SCORES).where(schema.SCORES.c.score_set == row.id)).all()
        yield from (f"score '{score.metric}' of {what}: {why}" for score in scores if (why := fault(score)))
        if scores_digest([dict(score._mapping) for score in scores]) != row.scores:
            yield f"{what}: its scores are not those that were stored"
        try:
            if row.trials and trials_digest(connection, texts(row.observations)) != row.trials:
                yield f"{what}: trials that it was made of are altered or gone"
        except ValueError as error:
            yield f"{what}: {error}"


def _lost(connection: sa.Connection) -> Iterator[str]:
    """Yield newest imports whose observations are gone, and trials that lack the scores of a run that finished."""
    sets, outcomes = schema.SCORE_SETS.c, schema.OUTCOMES.c
    here = {*connection.scalars(sa.select(schema.OBSERVATIONS.c.key))}
    with suppress(ValueError):  # what is no list of texts is named with its row
        for name, row in newest_imports(connection).items():
            if lost := {*texts(row.observations)} - here:
                yield f"import of '{name}': {len(lost)} of its observations are not there"
    scored: dict[tuple[str, ...], list[set[str]]] = defaultdict(list)
    for row in fetched(connection, sa.select(sets.observer, sets.suite, sets.space, sets.observations)):
        scored[row.observer, row.suite, row.space].append({*texts(row.observations)})
    known = here - incomplete(connection).keys()
    for row in fetched(connection, sa.select(schema.OUTCOMES).where(outcomes.status == "done", outcomes.detail != "")):
        keys = {*parsed(row.detail, dict).get("observations", ())}  # what a merge left out has none
        if keys <= known and not any(keys <= made for made in scored[row.observer, row.suite, row.space]):
            yield f"'{row.observer_name}' under {row.suite}: trials without their scores (`bench run` makes them again)"
