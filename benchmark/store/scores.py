"""Reading scores: the newest of everything, and the history of one metric."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from benchmark.store import schema
from benchmark.store.read import current
from benchmark.store.rows import ScoreRow, ScoreSet
from benchmark.store.sql import batches, dump

_PLAIN = ("metric", "condition", "role", "value", "reason", "low", "high", "level", "method")
_COUNTS = ("n", "excluded")
#: With more names than this the filter runs here instead of in the data base.
_MANY = 500


def latest_scores(
    connection: sa.Connection,
    suite: str | None,
    metrics: Collection[str] | None,
    observers: Collection[str] | None,
    space: str | None,
) -> list[ScoreRow]:
    """Of each (observer name, suite, space, stimuli): the newest set of the newest version."""
    ranked = _ranked_sets(suite, observers, space)
    sets = ranked.alias("sets")
    newest = sa.select(sets).where(sets.c.place == 1).order_by(sets.c.name, sets.c.id)
    found = [row for row in connection.execute(newest) if not observers or row.name in observers]
    chosen = sa.select(sets.c.id).where(sets.c.place == 1)
    return _rows(connection, found, chosen, metrics)


def _ranked_sets(
    suite: str | None, observers: Collection[str] | None, space: str | None
) -> sa.Select[Any]:
    """Score sets of current observers, with their place: 1 is the one to show."""
    table, names = schema.SCORE_SETS, current()
    place = sa.func.row_number().over(
        partition_by=(names.c.name, table.c.suite, table.c.space, table.c.stimuli),
        order_by=(table.c.version.desc(), table.c.id.desc()),
    )
    query = (
        sa.select(*_set_columns(names, names.c.training), place.label("place"))
        .join(names, names.c.observer == table.c.observer)
    )  # fmt: skip
    if suite is not None:
        query = query.where(table.c.suite == suite)
    if space is not None:
        query = query.where(table.c.space == space)
    if observers is not None and len(observers) <= _MANY:
        query = query.where(names.c.name.in_(sorted(observers)))
    return query


def _set_columns(names: Any, training: Any) -> list[Any]:
    table = schema.SCORE_SETS
    own = [table.c[name] for name in ("id", "suite", "version", "space", "created", "stimuli")]
    return [*own, names.c.name, names.c.kind, training]


def has_scores(connection: sa.Connection, made: ScoreSet) -> bool:
    """Whether the newest set of this observer, suite, space and stimuli was made like this."""
    table = schema.SCORE_SETS
    query = (
        sa.select(table.c.code, table.c.observations, table.c.version)
        .where(table.c.observer == made.observer, table.c.suite == made.suite)
        .where(table.c.space == made.space, table.c.stimuli == dump(made.stimuli))
        .order_by(table.c.version.desc(), table.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return row is not None and tuple(row) == (made.code, dump(list(made.keys)), made.version)


def history(connection: sa.Connection, observer: str, suite: str, metric: str) -> list[ScoreRow]:
    """Every score that a name ever had in a metric, oldest first, whatever its identity then."""
    table, names, registrations = schema.SCORE_SETS, schema.OBSERVERS, schema.REGISTRATIONS
    newest = (
        sa.select(registrations.c.training)
        .where(registrations.c.observer == names.c.id)
        .order_by(registrations.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        sa.select(*_set_columns(names, newest.label("training")))
        .join(names, names.c.id == table.c.observer)
        .where(names.c.name == observer, table.c.suite == suite)
        .order_by(table.c.id)
    )
    found = connection.execute(query).all()
    rows: list[ScoreRow] = []
    for some in batches(found):
        rows += _rows(connection, some, [row.id for row in some], (metric,))
    return rows


def _rows(
    connection: sa.Connection,
    sets: Iterable[Any],
    chosen: Any,
    metrics: Collection[str] | None,
) -> list[ScoreRow]:
    """The scores of some sets, in the sets' order."""
    table = schema.SCORES
    names = ("score_set", "flags", *_PLAIN, *_COUNTS)
    query = (
        sa.select(*(table.c[name] for name in names))
        .where(table.c.score_set.in_(chosen))
        .order_by(table.c.score_set, table.c.position)
    )
    if metrics is not None:
        query = query.where(table.c.metric.in_(sorted(set(metrics))))
    scores: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        scores.setdefault(row[0], []).append(row)
    return [row for one in sets for row in _of_set(one, scores.get(one.id, ()))]


def _of_set(made: Any, scores: Iterable[Any]) -> Iterable[ScoreRow]:
    stimuli = _mapping(made.stimuli)
    shared = {
        "observer": made.name,
        "kind": made.kind,
        "training": _texts(made.training),
        "suite": made.suite,
        "version": made.version,
        "space": made.space,
        "created": made.created,
        "set_id": made.id,
    }
    for (
        _,
        flags,
        metric,
        condition,
        role,
        value,
        reason,
        low,
        high,
        level,
        method,
        n,
        out,
    ) in scores:
        yield _row(
            {
                **shared,
                "metric": metric,
                "condition": condition,
                "role": role,
                "stimuli": stimuli.get(role, ""),
                "value": value,
                "reason": reason,
                "low": low,
                "high": high,
                "level": level,
                "method": method,
                "n": n,
                "excluded": out,
                "flags": _texts(flags),
            }
        )


def _row(values: dict[str, Any]) -> ScoreRow:
    """ScoreRow(**values) without a guarded assignment per field: tables have 30,000 rows."""
    row = object.__new__(ScoreRow)
    row.__dict__.update(values)
    return row


@lru_cache(maxsize=1024)
def _mapping(text: str) -> dict[str, str]:
    return cast(dict[str, str], json.loads(text))


@lru_cache(maxsize=1024)
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
