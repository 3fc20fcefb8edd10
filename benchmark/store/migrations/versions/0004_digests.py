"""Keys are digests, rows are sealed, an import replaces its source.

Each table is made anew beside the old one, and its rows are brought over with the keys that they have now. A later
change of the tables freezes here what `schema` says today.
"""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from benchmark.store import schema
from benchmark.store.queries import scores_digest, trials_digest
from benchmark.store.sql import dump, insert_new, row_digest, sealed

revision = "0004"
down_revision = "0003"

_PAGE = 500
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
    insert_new(connection, schema.META, [dict(row) for row in _rows(connection, old["meta"])])
    environments = _sealed(connection, old, schema.ENVIRONMENTS, {})
    runs = _sealed(connection, old, schema.RUNS, {"environment": environments})
    observers = _sealed(connection, old, schema.OBSERVERS, {})
    _keyed(connection, old, schema.RUN_ENDS, {"run": runs})
    _sealed(connection, old, schema.REGISTRATIONS, {"observer": observers})
    _keyed(connection, old, schema.STIMULI, {})
    keys: Ids = {row["id"]: row["key"] for row in _rows(connection, old["observations"], "id", "key")}
    _keyed(connection, old, schema.OBSERVATIONS, {"observer": observers, "run": runs})
    for table in (schema.CHUNKS, schema.SETTLED):
        _keyed(connection, old, table, {"observation": keys, "run": runs})
    _imports(connection, old, keys, runs)
    sets = _score_sets(connection, old, {"observer": observers, "run": runs})
    _keyed(connection, old, schema.WITHDRAWN, {"score_set": sets, "run": runs})
    _sealed(connection, old, schema.OUTCOMES, {"observer": observers, "run": runs})
    for name in reversed(_ORDER):
        op.drop_table(f"old_{name}")


def _put_aside(connection: sa.Connection) -> dict[str, sa.Table]:
    """The old tables under other names, as are their indexes, whose names the new ones take."""
    look = sa.inspect(connection)
    postgres = connection.dialect.name == "postgresql"
    names = [name for name in look.get_table_names() if name != "alembic_version"]
    for name in names:
        indexes = [str(one["name"]) for one in look.get_indexes(name)]
        if postgres:
            indexes += [str(one["name"]) for one in look.get_unique_constraints(name)]
            indexes.append(str(look.get_pk_constraint(name)["name"]))
        for index in sorted({*indexes}):
            op.execute(
                f'ALTER INDEX "{index}" RENAME TO "old_{index}"' if postgres else f'DROP INDEX IF EXISTS "{index}"'
            )
        op.rename_table(name, f"old_{name}")
    described = sa.MetaData()
    described.reflect(connection, only=[f"old_{name}" for name in names], resolve_fks=False)
    return {name: described.tables[f"old_{name}"] for name in names}


def _rows(connection: sa.Connection, table: sa.Table, *names: str) -> Iterator[dict[str, Any]]:
    """All rows in the order of the key, a page at a time."""
    keys = list(table.primary_key.columns)
    wanted = [table.c[name] for name in names] or list(table.c)
    query = sa.select(*wanted).order_by(*keys).limit(1 if "columns" in table.c else _PAGE)
    offset = sa.tuple_(*keys)
    page = connection.execute(query).all()
    while page:
        yield from (dict(row._mapping) for row in page)
        last = [page[-1]._mapping[key] for key in keys]
        page = connection.execute(query.where(offset > sa.tuple_(*last))).all()


def _moved(row: dict[str, Any], ids: dict[str, Ids]) -> dict[str, Any]:
    """The row with the keys that the rows which it refers to have now."""
    return row | {name: known[row[name]] for name, known in ids.items() if row[name] is not None}


def _sealed(connection: sa.Connection, old: dict[str, sa.Table], table: sa.Table, ids: dict[str, Ids]) -> Ids:
    """Bring the rows of a table over that had a number; number -> digest."""
    found: Ids = {}
    for row in _rows(connection, old[table.name]):
        number = row.pop("id")
        made = sealed(table, _moved(row, ids))
        found[number] = made["id"]
        insert_new(connection, table, [{c.name: made[c.name] for c in table.c}])
    return found


def _keyed(connection: sa.Connection, old: dict[str, sa.Table], table: sa.Table, ids: dict[str, Ids]) -> None:
    """Bring the rows of a table over whose key is its own."""
    for row in _rows(connection, old[table.name]):
        made = sealed(table, _moved(row, ids))
        insert_new(connection, table, [{c.name: made[c.name] for c in table.c}])


def _imports(connection: sa.Connection, old: dict[str, sa.Table], keys: Ids, runs: Ids) -> None:
    """Of each source what counted: of an observer's experiment, asked in one way, the observation asserted last."""
    observations = {
        row["id"]: row for row in _rows(connection, old["observations"], "id", "key", "observer", "role", "details")
    }
    last: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for row in _rows(connection, old["assertions"]):
        observation = observations[row["observation"]]
        details = json.loads(observation["details"])
        subject = observation["observer"], observation["role"], details.get("prompt", "")
        last.setdefault(str(details.get("source", "imported")), {})[subject] = row
    for source, counting in last.items():
        newest = max(counting.values(), key=lambda row: (row["created"], row["id"]))
        row = {
            "source": source,
            "run": runs[newest["run"]],
            "created": newest["created"],
            "observations": dump(sorted(keys[one["observation"]] for one in counting.values())),
        }
        insert_new(connection, schema.IMPORTS, [sealed(schema.IMPORTS, row)])


def _score_sets(connection: sa.Connection, old: dict[str, sa.Table], ids: dict[str, Ids]) -> Ids:
    """Bring score sets over with their scores, bound to them and to the trials that are here."""
    found: Ids = {}
    scores = old["scores"]
    for row in _rows(connection, old["score_sets"]):
        number = row.pop("id")
        query = sa.select(scores).where(scores.c.score_set == number).order_by(scores.c.position)
        mine = [dict(one._mapping) for one in connection.execute(query)]
        made = _moved(row, ids) | {
            "trials": trials_digest(connection, json.loads(row["observations"])),
            "scores": scores_digest(mine),
        }
        found[number] = row_digest(schema.SCORE_SETS, made)
        insert_new(connection, schema.SCORE_SETS, [{**made, "id": found[number]}])
        insert_new(connection, schema.SCORES, [{**one, "score_set": found[number]} for one in mine])
    return found
