"""What was made of trials: what imported ones count, scores, outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from benchmark.store import schema
from benchmark.store.database import Database
from benchmark.store.merging.blocks import Numbers
from benchmark.store.rows import IMPORTED_KINDS
from benchmark.store.sql import fetched, insert_new, insert_one

_Subject = tuple[int, str, str]  # observer (ours), experiment, prompt as JSON


def merge_assertions(source: sa.Connection, target: Database, numbers: Numbers) -> list[_Subject]:
    """What their imported trials count here: all where nothing of an observer's experiment is here, else only what
    counts here already. Returns those of whom other answers count here.
    """
    theirs = _asserted(source, numbers)
    conflicts = []
    with target.writing() as connection:
        ours = _asserted(connection, None)
        for subject, rows in theirs.items():
            here = {row["key"] for row in ours.get(subject, ())}
            if here and not {row["key"] for row in rows} <= here:
                conflicts.append(subject)
            if here:
                continue
            for row in rows:  # one by one: the order counts
                at = schema.OBSERVATIONS.c
                query = sa.select(at.id).where(at.key == row["key"])
                made = {"observation": connection.execute(query).scalar_one()}
                made |= {"run": numbers.runs[row["run"]], "created": row["created"]}
                insert_one(connection, schema.ASSERTIONS, made)
    return conflicts


def _asserted(
    connection: sa.Connection, numbers: Numbers | None
) -> dict[_Subject, list[Mapping[str, Any]]]:
    """(observer as the target numbers it, experiment, details) -> its assertions, oldest first."""
    table, observed = schema.ASSERTIONS, schema.OBSERVATIONS
    columns = [observed.c[name] for name in ("key", "observer", "role", "details")]
    query = (
        sa.select(table.c.run, table.c.created, *columns)
        .join(observed, observed.c.id == table.c.observation)
        .order_by(table.c.id)
    )
    found: dict[_Subject, list[Mapping[str, Any]]] = {}
    for row in fetched(connection, query):
        if numbers is None or numbers.wanted(row.observer, row.key):
            observer = row.observer if numbers is None else numbers.observers[row.observer]
            subject = (observer, row.role, _prompt(row.details))
            found.setdefault(subject, []).append(row._mapping)
    return found


def _prompt(details: str) -> str:
    from benchmark.store.json_columns import parsed

    return str(parsed(details, dict).get("prompt", ""))


def merge_scores(source: sa.Connection, target: Database, numbers: Numbers) -> int:
    """Their score sets of observers that were run, where nothing is scored here of the same; how many came.

    Which observations make a score is known by them. Scores of imported observers are made anew: they hang on all
    that was imported.
    """
    table, owner = schema.SCORE_SETS, schema.OBSERVERS
    query = (
        sa.select(table)
        .join(owner, owner.c.id == table.c.observer)
        .where(owner.c.kind.not_in(IMPORTED_KINDS))
        .order_by(table.c.id)
    )
    came = 0
    with target.reading() as connection:
        known = {_made_of(row._mapping) for row in fetched(connection, query)}
    for row in fetched(source, query):
        if row.observer not in numbers.observers:
            continue
        made = {**row._mapping, "observer": numbers.observers[row.observer]}
        if _made_of(made) in known:
            continue
        scores = schema.SCORES
        rows = fetched(source, sa.select(scores).where(scores.c.score_set == row.id))
        made["run"] = numbers.runs[row.run]
        del made["id"]
        with target.writing() as connection:
            number = insert_one(connection, table, made)
            insert_new(connection, scores, [{**one._mapping, "score_set": number} for one in rows])
        came += 1
    return came


def _made_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("observer", "suite", "version", "space", "stimuli", "observations")
    return tuple(row[name] for name in names)


def merge_outcomes(source: sa.Connection, target: Database, numbers: Numbers) -> None:
    """How work ended, each once, and none before what ended later here."""
    table = schema.OUTCOMES
    query = sa.select(table).order_by(table.c.id)
    with target.writing() as connection:
        ours = [row._mapping for row in fetched(connection, query)]
        known = {_ended(row) for row in ours}
        latest = {_work(row): row["created"] for row in ours}
        rows = []
        for row in fetched(source, query):
            if row.observer is not None and row.observer not in numbers.observers:
                continue
            moved = {name: value for name, value in row._mapping.items() if name != "id"}
            moved["run"] = numbers.runs[row.run]
            if row.observer is not None:
                moved["observer"] = numbers.observers[row.observer]
            late = moved["created"] >= latest.get(_work(moved), "")
            if _ended(moved) not in known and (late or moved["status"] == "partial"):
                rows.append(moved)
        _in_order(connection, rows)


def _in_order(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:  # one by one: the newest has the highest number
        insert_one(connection, schema.OUTCOMES, row)


def _work(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("observer_name", "suite", "space"))


def _ended(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*_work(row), row["run"], row["status"], row["created"])
