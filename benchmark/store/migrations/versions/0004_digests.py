"""Keys are digests, rows have checksums, an import replaces its source.

A new version of each table is built beside the old one, and its rows are copied with their new keys. A later change of
the tables must freeze today's `schema` in this file."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from benchmark.store import schema
from benchmark.store.check import all_rows
from benchmark.store.queries import scores_digest, trials_digest
from benchmark.store.sql import dump, insert_new, sealed

revision = "0004"
down_revision = "0003"

#: The old tables; each refers to earlier ones alone.
_ORDER = (
    *("meta", "environments", "runs", "run_ends", "observers", "registrations", "stimuli"),
    *("observations", "chunks", "settled", "assertions", "score_sets", "scores", "withdrawn"),
    "outcomes",
)
Ids = dict[Any, str]


def upgrade() -> None:
    """Brings all rows over, and drops the old tables."""
    connection = op.get_bind()
    old = _put_aside(connection)
    schema.METADATA.create_all(connection)

    def bring(table: sa.Table, **ids: Ids) -> Ids:
        """Bring the rows of a table over; number -> digest of those that had a number. ids: column -> the keys that the
        rows which it refers to have now."""
        keys: Ids = {}
        for row in _rows(connection, old[table.name]):
            number = row.pop("id", None)
            row |= {name: known[row[name]] for name, known in ids.items() if row[name] is not None}
            moved = sealed(table, row)
            keys[number] = moved.get("id", "")
            insert_new(connection, table, [{c.name: moved[c.name] for c in table.c}])
        return keys

    insert_new(connection, schema.META, list(_rows(connection, old["meta"])))
    runs = bring(schema.RUNS, environment=bring(schema.ENVIRONMENTS))
    observers = bring(schema.OBSERVERS)
    bring(schema.RUN_ENDS, run=runs)
    bring(schema.REGISTRATIONS, observer=observers)
    bring(schema.STIMULI)
    keys: Ids = {row["id"]: row["key"] for row in _rows(connection, old["observations"])}
    bring(schema.OBSERVATIONS, observer=observers, run=runs)
    for table in (schema.CHUNKS, schema.SETTLED):
        bring(table, observation=keys, run=runs)
    _imports(connection, old, keys, runs)
    sets = _score_sets(connection, old, observers, runs)
    bring(schema.WITHDRAWN, score_set=sets, run=runs)
    bring(schema.OUTCOMES, observer=observers, run=runs)
    for name in reversed(_ORDER):
        op.drop_table(f"old_{name}")


def _put_aside(connection: sa.Connection) -> dict[str, sa.Table]:
    """The old tables under other names, as are their indexes, whose names the new ones take."""
    look = sa.inspect(connection)
    postgres = connection.dialect.name == "postgresql"
    names = [name for name in look.get_table_names() if name != "alembic_version"]
    for name in names:
        indexes = [str(index["name"]) for index in look.get_indexes(name)]
        if postgres:
            indexes += [str(rule["name"]) for rule in look.get_unique_constraints(name)]
            indexes.append(str(look.get_pk_constraint(name)["name"]))
        for index in sorted({*indexes}):
            op.execute(
                f'ALTER INDEX "{index}" RENAME TO "old_{index}"' if postgres else f'DROP INDEX IF EXISTS "{index}"'
            )
        op.rename_table(name, f"old_{name}")
    described = sa.MetaData()
    described.reflect(connection, only=[f"old_{name}" for name in names], resolve_fks=False)
    return {name: described.tables[f"old_{name}"] for name in names}


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    return (dict(row._mapping) for row in all_rows(connection, table))


def _imports(connection: sa.Connection, old: dict[str, sa.Table], keys: Ids, runs: Ids) -> None:
    """For each source, the observations that counted: for an observer's experiment and prompt, the one asserted
    last."""
    observations = {row["id"]: row for row in _rows(connection, old["observations"])}
    last: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for row in _rows(connection, old["assertions"]):
        observation = observations[row["observation"]]
        details = json.loads(observation["details"])
        subject = observation["observer"], observation["role"], details.get("prompt", "")
        last.setdefault(str(details.get("source", "imported")), {})[subject] = row
    for source, counting in last.items():
        newest = max(counting.values(), key=lambda row: (row["created"], row["id"]))
        observed = dump(sorted(keys[row["observation"]] for row in counting.values()))
        row = {"source": source, "run": runs[newest["run"]], "created": newest["created"], "observations": observed}
        insert_new(connection, schema.IMPORTS, [sealed(schema.IMPORTS, row)])


def _score_sets(connection: sa.Connection, old: dict[str, sa.Table], observers: Ids, runs: Ids) -> Ids:
    """Copy score sets with their scores, bound to them and to the stored trials."""
    sets: Ids = {}
    scores = old["scores"]
    for row in _rows(connection, old["score_sets"]):
        number = row.pop("id")
        query = sa.select(scores).where(scores.c.score_set == number).order_by(scores.c.position)
        own = [dict(score._mapping) for score in connection.execute(query)]
        row |= {"observer": observers[row["observer"]], "run": runs[row["run"]], "scores": scores_digest(own)}
        row = sealed(schema.SCORE_SETS, {**row, "trials": trials_digest(connection, json.loads(row["observations"]))})
        sets[number] = row["id"]
        insert_new(connection, schema.SCORE_SETS, [row])
        insert_new(connection, schema.SCORES, [{**score, "score_set": row["id"]} for score in own])
    return sets
