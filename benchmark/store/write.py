"""Inserting rows. Each function is one step inside a caller's transaction;
none updates anything."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Observer, Score, Stimuli
from benchmark.display import masked
from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.codec import encode
from benchmark.store.json_columns import dump
from benchmark.store.questions import batches
from benchmark.store.rows import IMPORTED_KINDS, Chunk, Observation, Outcome, ScoreSet
from benchmark.store.score_rules import fault
from benchmark.store.sql import insert_new, insert_one, now, storable
from benchmark.store.table_rows import recipe_tags

#: Columns of every trial table that the store itself fills in.
RESERVED = ("role", "stimulus")
#: A label column "condition" (one set, many conditions) stands for the block's condition; answers may not carry it.
OBSERVED_RESERVED = (*RESERVED, "condition")


def begin_run(connection: sa.Connection, command: str, environment: Mapping[str, Any]) -> int:
    """A run's id. Equal environments share one row."""
    content, digest = dump(environment), environment_digest(environment)
    row = {"digest": digest, "content": content, "created": now()}
    insert_new(connection, schema.ENVIRONMENTS, [row])
    table = schema.ENVIRONMENTS
    found = connection.scalar(sa.select(table.c.id).where(table.c.digest == digest))
    return insert_one(
        connection,
        schema.RUNS,
        {"command": storable(masked(command)), "environment": found, "started": now()},
    )


def environment_digest(environment: Mapping[str, Any]) -> str:
    """What equal environments have in common."""
    return hashlib.sha256(dump(environment).encode()).hexdigest()


def end_run(connection: sa.Connection, run: int, status: str, note: str) -> None:
    """The end of a run; a second end of one run is ignored."""
    row = {"run": run, "status": status, "note": storable(masked(note)), "ended": now()}
    insert_new(connection, schema.RUN_ENDS, [row])


def put_observer(connection: sa.Connection, observer: Observer) -> int:
    """The observer's id; its name now stands for this identity and card."""
    identity = {"name": observer.name, "kind": observer.kind, "identity": observer.identity}
    insert_new(connection, schema.OBSERVERS, [{**identity, "created": now()}])
    table = schema.OBSERVERS
    matches = [table.c[name] == value for name, value in identity.items()]
    found = int(connection.execute(sa.select(table.c.id).where(*matches)).scalar_one())
    card = dump(observer.card)
    if _registered(connection, observer.name) != (found, card):
        row = {
            "observer": found,
            "training": dump(recipe_tags(observer.card)),
            "card": card,
            "created": now(),
        }
        insert_one(connection, schema.REGISTRATIONS, row)
    return found


def _registered(connection: sa.Connection, name: str) -> tuple[int, str] | None:
    """What a name stands for at present."""
    registrations, observers = schema.REGISTRATIONS, schema.OBSERVERS
    row = connection.execute(
        sa.select(registrations.c.observer, registrations.c.card)
        .join(observers, observers.c.id == registrations.c.observer)
        .where(observers.c.name == name)
        .order_by(registrations.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else (int(row[0]), str(row[1]))


def stimuli_row(stimuli: Stimuli) -> dict[str, Any]:
    """The row of a stimulus set: names and labels, no images."""
    n = len(stimuli)
    columns: dict[str, Array] = {"stimulus": np.array(stimuli.ids, dtype=object)}
    for name, values in stimuli.labels.items():
        if name in RESERVED:
            raise StoreError(f"stimulus set '{stimuli.name}': '{name}' cannot name a label column")
        if len(values) != n:
            raise StoreError(
                f"stimulus set '{stimuli.name}': label '{name}' has {len(values)} values for "
                f"{n} images"
            )
        columns[name] = values
    return {
        "digest": stimuli.digest,
        "name": stimuli.name,
        "space": stimuli.space,
        "n": n,
        "whole": stimuli.whole,
        "origin": stimuli.origin,
        "labels": dump(list(stimuli.labels)),
        "created": now(),
        "columns": encode(columns),
    }


def put_observation(connection: sa.Connection, run: int, observation: Observation) -> None:
    """An observation, unless its key is there."""
    texts = ("key", "suite", "space", "stimuli", "role", "condition", "presentation", "transform")
    row: dict[str, Any] = {name: str(getattr(observation, name)) for name in texts}
    row |= {name: int(getattr(observation, name)) for name in ("observer", "version", "n")}
    row |= {"run": run, "created": now(), "details": dump(observation.details)}
    insert_new(connection, schema.OBSERVATIONS, [row])


def encode_chunk(chunk: Chunk) -> dict[str, Any]:
    """A chunk's own part of its row. StoreError on unequal lengths or reserved names."""
    lengths = {name: len(values) for name, values in chunk.columns.items()}
    what = f"chunk {chunk.index} of observation {chunk.key}"
    if len(set(lengths.values())) != 1:
        raise StoreError(f"{what}: columns of unequal length: {lengths or 'none at all'}")
    if taken := sorted(set(lengths) & set(OBSERVED_RESERVED)):
        raise StoreError(f"{what}: the names {', '.join(taken)} belong to the trial table itself")
    n = next(iter(lengths.values()))
    return {
        "position": int(chunk.index),
        "start": int(chunk.start),
        "n": n,
        "payload": encode(chunk.columns),
    }


def put_chunks(
    connection: sa.Connection, run: int, chunks: Sequence[tuple[Chunk, dict[str, Any]]]
) -> None:
    """Encoded chunks, in a fixed order: writers of the same rows then never wait in a ring."""
    known = _observed(connection, {chunk.key for chunk, _ in chunks})
    rows = []
    for chunk, row in sorted(chunks, key=lambda pair: (pair[0].key, pair[0].index)):
        if chunk.key not in known:
            raise StoreError(f"chunk {chunk.index}: there is no observation {chunk.key}")
        observation, n, labels = known[chunk.key]
        _check_place(chunk, row["n"], n, labels)
        rows.append({**row, "observation": observation, "run": run})
    insert_new(connection, schema.CHUNKS, rows)


def assert_trials(
    connection: sa.Connection, run: int, keys: Sequence[str], instead_of: Collection[str]
) -> None:
    """Observations count from now on; scores of imported observers made of others are withdrawn."""
    known = _observed(connection, set(keys))
    if lost := [key for key in keys if key not in known]:
        raise StoreError(f"there is no observation {lost[0]} to assert")
    rows = [{"observation": known[key][0], "run": run, "created": now()} for key in keys]
    for row in rows:  # one by one: the order counts
        insert_one(connection, schema.ASSERTIONS, row)
    table, owner = schema.SCORE_SETS, schema.OBSERVERS
    for key in sorted(instead_of):
        query = (
            sa.select(table.c.id)
            .join(owner, owner.c.id == table.c.observer)
            .where(owner.c.kind.in_(IMPORTED_KINDS), table.c.observations.contains(dump(key)))
        )
        sets = [
            {"score_set": one, "run": run, "created": now()} for one in connection.scalars(query)
        ]
        insert_new(connection, schema.WITHDRAWN, sets)


def settle(connection: sa.Connection, run: int, key: str, n: int) -> None:
    """An observation is over with its first `n` trials; a second time is ignored."""
    table = schema.OBSERVATIONS
    found = connection.scalar(sa.select(table.c.id).where(table.c.key == key))
    if found is None:
        raise StoreError(f"there is no observation {key} to settle")
    row = {"observation": int(found), "run": run, "n": n, "created": now()}
    insert_new(connection, schema.SETTLED, [row])


def _observed(connection: sa.Connection, keys: set[str]) -> dict[str, tuple[int, int, str]]:
    """key -> (id, trials, label columns as JSON)."""
    table, stimuli = schema.OBSERVATIONS, schema.STIMULI
    found: dict[str, tuple[int, int, str]] = {}
    for some in batches(sorted(keys)):
        query = (
            sa.select(table.c.key, table.c.id, table.c.n, stimuli.c.labels)
            .join(stimuli, stimuli.c.digest == table.c.stimuli)
            .where(table.c.key.in_(some))
        )
        found |= {
            key: (int(one), int(n), labels) for key, one, n, labels in connection.execute(query)
        }
    return found


def _check_place(chunk: Chunk, rows: int, n: int, labels: str) -> None:
    what = f"chunk {chunk.index} of observation {chunk.key}"
    if chunk.index < 0 or chunk.start < 0 or chunk.start + rows > n:
        raise StoreError(f"{what}: trials {chunk.start} to {chunk.start + rows} of {n}")
    if taken := [name for name in chunk.columns if dump(name) in labels]:
        raise StoreError(f"{what}: '{taken[0]}' is a label column of its stimuli")


def put_scores(
    connection: sa.Connection, run: int, made: ScoreSet, scores: Sequence[Mapping[str, Any]]
) -> int:
    """A score set and its rows; its id."""
    row = {
        "observer": made.observer,
        "suite": made.suite,
        "version": made.version,
        "space": made.space,
        "code": made.code,
        "run": run,
        "created": now(),
        "stimuli": dump(made.stimuli),
        "observations": dump(list(made.keys)),
    }
    number = insert_one(connection, schema.SCORE_SETS, row)
    insert_new(connection, schema.SCORES, [{**score, "score_set": number} for score in scores])
    return number


def score_row(position: int, score: Score) -> dict[str, Any]:
    """A score's row. StoreError on numbers that no score has (`score_rules`)."""
    why = fault(score)
    if why:
        raise StoreError(f"score '{score.metric}': {why}")
    numbers = {name: getattr(score, name) for name in ("value", "low", "high", "level")}
    row: dict[str, Any] = {
        name: None if number is None else float(number) for name, number in numbers.items()
    }
    texts = ("metric", "condition", "role", "reason", "method")
    row |= {name: str(getattr(score, name)) for name in texts}
    row |= {"n": int(score.n), "excluded": int(score.excluded), "position": position}
    return row | {"flags": dump([str(flag) for flag in score.flags])}


def put_outcome(connection: sa.Connection, outcome: Outcome) -> None:
    """How a piece of work ended."""
    texts = {name: storable(getattr(outcome, name)) for name in ("reason", "detail")}
    insert_one(connection, schema.OUTCOMES, {**vars(outcome), **texts, "created": now()})
