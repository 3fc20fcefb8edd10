"""Queries for stimuli, observations, outcomes and provenance.
Each runs in a caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.json_columns import parsed
from benchmark.store.rows import Outcome
from benchmark.store.sql import fetched

_OBSERVED = (
    "key",
    "suite",
    "version",
    "space",
    "stimuli",
    "role",
    "condition",
    "presentation",
    "transform",
    "n",
    "created",
)


def _mappings(connection: sa.Connection, query: sa.Select[Any]) -> list[sa.RowMapping]:
    return [row._mapping for row in fetched(connection, query)]


def has(connection: sa.Connection, table: sa.Table, column: str, value: str) -> bool:
    """Whether a table has a row with this value."""
    query = sa.select(sa.literal(1)).where(table.c[column] == value)
    return connection.scalar(query) is not None


def chunks(connection: sa.Connection, key: str) -> set[int]:
    """Which chunks of an observation are stored."""
    table, observations = schema.CHUNKS, schema.OBSERVATIONS
    query = (
        sa.select(table.c.position)
        .join(observations, observations.c.id == table.c.observation)
        .where(observations.c.key == key)
    )
    return {int(position) for position in connection.scalars(query)}


def complete(connection: sa.Connection, key: str) -> bool:
    """Whether every trial of an observation is stored, or as many as it was settled with; False where it is
    unknown.
    """
    table, observations, settled = schema.CHUNKS, schema.OBSERVATIONS, schema.SETTLED
    wanted = sa.func.coalesce(settled.c.n, observations.c.n)
    query = (
        sa.select(wanted, sa.func.coalesce(sa.func.sum(table.c.n), 0))
        .select_from(observations)
        .join(table, table.c.observation == observations.c.id, isouter=True)
        .join(settled, settled.c.observation == observations.c.id, isouter=True)
        .where(observations.c.key == key)
        .group_by(observations.c.id, observations.c.n, settled.c.n)
    )
    row = connection.execute(query).first()
    return row is not None and int(row[0]) <= int(row[1])


def outcomes(
    connection: sa.Connection, observer: str | None, suite: str | None, latest: bool
) -> list[Outcome]:
    """Outcomes, oldest first; `latest`: only the newest of each (observer name, suite, space)."""
    table = schema.OUTCOMES
    query = sa.select(table).order_by(table.c.id)
    if observer is not None:
        query = query.where(table.c.observer_name == observer)
    if suite is not None:
        query = query.where(table.c.suite == suite)
    if latest:
        work = (table.c.observer_name, table.c.suite, table.c.space)
        query = query.where(table.c.id.in_(sa.select(sa.func.max(table.c.id)).group_by(*work)))
    found = _mappings(connection, query)
    return [Outcome(**{k: v for k, v in row.items() if k != "id"}) for row in found]


def run_notes(connection: sa.Connection) -> list[tuple[str, str]]:
    """Status and note of all runs that have ended."""
    table = schema.RUN_ENDS
    query = sa.select(table.c.status, table.c.note).order_by(table.c.run)
    return [(status, note) for status, note in fetched(connection, query)]


def provenance(connection: sa.Connection, set_id: int) -> dict[str, Any]:
    """Where a score set came from: its own run, and every run that computed its trials. Each observation says whose
    it is ("observer": the name at the time; "identity")."""
    table, observed, owner = schema.SCORE_SETS, schema.OBSERVATIONS, schema.OBSERVERS
    row = next(iter(_mappings(connection, sa.select(table).where(table.c.id == set_id))), None)
    if row is None:
        raise StoreError(f"the leaderboard has no score set {set_id}")
    keys = parsed(row["observations"], list)
    found: dict[str, dict[str, Any]] = {}
    for key in keys:
        columns = [observed.c[name] for name in ("id", *_OBSERVED, "details")]
        query = (
            sa.select(*columns, owner.c.name.label("observer"), owner.c.identity)
            .join(owner, owner.c.id == observed.c.observer)
            .where(observed.c.key == key)
        )
        one = next(iter(_mappings(connection, query)), None)
        if one is not None:
            found[key] = dict(one) | {"details": parsed(one["details"], dict)}
            found[key]["runs"] = _runs_of(connection, found[key].pop("id"))
    runs = {number for one in found.values() for number in one["runs"]} | {row["run"]}
    light = ("suite", "version", "space", "code", "created")
    return {
        **_run(connection, row["run"]),
        **{name: row[name] for name in light},
        "stimuli": parsed(row["stimuli"], dict),
        "keys": keys,
        "observations": list(found.values()),
        "runs": {number: _run(connection, number) for number in sorted(runs)},
    }


def runs_of_sets(connection: sa.Connection) -> dict[int, tuple[int, ...]]:
    """Score set -> the runs that computed its trials, then its own, each once."""
    table, observed, chunks = schema.SCORE_SETS, schema.OBSERVATIONS, schema.CHUNKS
    query = (
        sa.select(observed.c.key, chunks.c.run)
        .join(chunks, chunks.c.observation == observed.c.id)
        .distinct()
        .order_by(chunks.c.run)
    )
    by_key: dict[str, list[int]] = {}
    for key, run in fetched(connection, query):
        by_key.setdefault(key, []).append(int(run))
    found = {}
    for number, run, keys in fetched(
        connection, sa.select(table.c.id, table.c.run, table.c.observations)
    ):
        trials = (one for key in parsed(keys, list) for one in by_key.get(key, ()))
        found[int(number)] = tuple(dict.fromkeys((*trials, int(run))))
    return found


def runs(connection: sa.Connection) -> dict[int, Mapping[str, Any]]:
    """Every run by its number, as `provenance` tells of it."""
    return {
        int(run): _run(connection, run) for run in connection.scalars(sa.select(schema.RUNS.c.id))
    }


def _runs_of(connection: sa.Connection, observation: int) -> list[int]:
    table = schema.CHUNKS
    query = sa.select(table.c.run).distinct().where(table.c.observation == observation)
    return sorted(int(run) for run in connection.scalars(query))


def _run(connection: sa.Connection, run: int) -> Mapping[str, Any]:
    runs, environments, ends = schema.RUNS, schema.ENVIRONMENTS, schema.RUN_ENDS
    query = (
        sa.select(runs.c.command, environments.c.content, runs.c.started)
        .add_columns(ends.c.status, ends.c.ended)
        .join(environments, environments.c.id == runs.c.environment)
        .join(ends, ends.c.run == runs.c.id, isouter=True)
        .where(runs.c.id == run)
    )
    ((command, environment, started, status, ended),) = fetched(
        connection, query, ("status", "ended")
    )
    return {
        "run": run,
        "command": command,
        "environment": parsed(environment, dict),
        "started": started,
        "status": status,
        "ended": ended,
    }
