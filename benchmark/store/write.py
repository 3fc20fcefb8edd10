"""Inserting rows. Each function is one step inside a caller's transaction; none updates anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Observer, Score, Stimuli
from benchmark.display import masked
from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.codec import encode
from benchmark.store.queries import has, imported_keys, scores_digest, trials_digest
from benchmark.store.rows import IMPORTED, IMPORTED_KINDS, Chunk, Observation, Outcome, ScoreSet, fault, recipe_tags
from benchmark.store.sql import batches, dump, fetched, insert_new, later, now, sealed, storable, texts

#: Columns of every trial table that the store itself fills in.
RESERVED = ("role", "stimulus")
#: A label column "condition" (one set, many conditions) stands for the block's condition; answers may not carry it.
OBSERVED_RESERVED = (*RESERVED, "condition")


def environment_row(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an environment; equal ones share it."""
    return sealed(schema.ENVIRONMENTS, {"content": dump(environment), "created": now()})


def begin_run(connection: sa.Connection, command: str, environment: Mapping[str, Any]) -> str:
    """A run's id. environment: its row; its moment is the run's."""
    insert_new(connection, schema.ENVIRONMENTS, [environment])
    row = {"command": storable(masked(command)), "environment": environment["id"], "started": environment["created"]}
    row = sealed(schema.RUNS, row)
    insert_new(connection, schema.RUNS, [row])
    return str(row["id"])


def end_run(connection: sa.Connection, run: str, status: str, note: str = "") -> None:
    """The end of a run; a second end of one run is ignored."""
    row = {"run": run, "status": status, "note": storable(masked(note)), "ended": now()}
    insert_new(connection, schema.RUN_ENDS, [row])


def put_observer(connection: sa.Connection, observer: Observer) -> str:
    """The observer's id; its name now stands for this identity and card."""
    fields = {"name": observer.name, "kind": observer.kind, "identity": observer.identity}
    row = sealed(schema.OBSERVERS, {**fields, "created": now()})
    insert_new(connection, schema.OBSERVERS, [row])
    card, before = dump(observer.card), _registered(connection, observer.name)
    if before is None or (before.observer, before.card) != (row["id"], card):
        registration = {
            "observer": row["id"],
            "training": dump(recipe_tags(observer.card)),
            "card": card,
            "created": later(now(), before and before.created),
        }
        insert_new(connection, schema.REGISTRATIONS, [sealed(schema.REGISTRATIONS, registration)])
    return str(row["id"])


def _registered(connection: sa.Connection, name: str) -> Any:
    """What a name stands for at present."""
    registrations, observers = schema.REGISTRATIONS, schema.OBSERVERS
    return connection.execute(
        sa.select(registrations)
        .join(observers, observers.c.id == registrations.c.observer)
        .where(observers.c.name == name)
        .order_by(registrations.c.created.desc(), registrations.c.id.desc())
        .limit(1)
    ).first()


def stimuli_row(stimuli: Stimuli) -> dict[str, Any]:
    """The row of a stimulus set: names and labels, no images."""
    n = len(stimuli)
    columns: dict[str, Array] = {"stimulus": np.array(stimuli.ids, dtype=object)}
    for name, values in stimuli.labels.items():
        if name in RESERVED:
            raise StoreError(f"stimulus set '{stimuli.name}': '{name}' cannot name a label column")
        if len(values) != n:
            raise StoreError(f"stimulus set '{stimuli.name}': label '{name}' has {len(values)} values for {n} images")
        columns[name] = values
    row = {
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
    return sealed(schema.STIMULI, row)


def put_observation(connection: sa.Connection, run: str, observation: Observation) -> None:
    """An observation, unless its key is there."""
    plain = ("key", "observer", "suite", "space", "stimuli", "role", "condition", "presentation")
    row: dict[str, Any] = {name: str(getattr(observation, name)) for name in (*plain, "transform")}
    row |= {name: int(getattr(observation, name)) for name in ("version", "n")}
    row |= {"run": run, "created": now(), "details": dump(observation.details)}
    insert_new(connection, schema.OBSERVATIONS, [sealed(schema.OBSERVATIONS, row)])


def encode_chunk(chunk: Chunk) -> dict[str, Any]:
    """A chunk's row, but for its run. Raises StoreError on unequal lengths or reserved names."""
    lengths = {name: len(values) for name, values in chunk.columns.items()}
    what = f"chunk {chunk.index} of observation {chunk.key}"
    if len(set(lengths.values())) != 1:
        raise StoreError(f"{what}: columns of unequal length: {lengths or 'none at all'}")
    if taken := sorted(set(lengths) & set(OBSERVED_RESERVED)):
        raise StoreError(f"{what}: the names {', '.join(taken)} belong to the trial table itself")
    n = next(iter(lengths.values()))
    row = {
        "observation": chunk.key,
        "position": int(chunk.index),
        "start": int(chunk.start),
        "n": n,
        "payload": encode(chunk.columns),
    }
    return sealed(schema.CHUNKS, row)


def put_chunks(connection: sa.Connection, run: str, chunks: Sequence[tuple[Chunk, dict[str, Any]]]) -> None:
    """Encoded chunks, in a fixed order: writers of the same rows then never wait in a ring."""
    known = _observed(connection, {chunk.key for chunk, _ in chunks})
    rows = []
    for chunk, row in sorted(chunks, key=lambda pair: (pair[0].key, pair[0].index)):
        if chunk.key not in known:
            raise StoreError(f"chunk {chunk.index}: there is no observation {chunk.key}")
        _check_place(chunk, row["n"], *known[chunk.key])
        rows.append({**row, "run": run})
    insert_new(connection, schema.CHUNKS, rows)


def put_import(connection: sa.Connection, run: str, source: str, keys: Collection[str]) -> int:
    """These observations are what counts of a source from now on; how many of those before do not count any more."""
    known = _observed(connection, {*keys})
    if lost := sorted({*keys} - known.keys()):
        raise StoreError(f"there is no observation {lost[0]} to import")
    table = schema.IMPORTS
    query = sa.select(table).where(table.c.source == source)
    rows = fetched(connection, query.order_by(table.c.created.desc(), table.c.id.desc()).limit(1))
    content, before = dump(sorted({*keys})), rows[0] if rows else None
    if before is not None and before.observations == content:
        return 0
    created = later(now(), before and before.created)
    row = {"source": source, "run": run, "created": created, "observations": content}
    insert_new(connection, table, [sealed(table, row)])
    withdraw(connection)
    return len({*texts(before.observations)} - {*keys}) if before is not None else 0


def withdraw(connection: sa.Connection) -> None:
    """Scores of imported observers that were made of trials that do not count any more are not shown any more, as work
    of the newest import."""
    table, owner, observed = schema.SCORE_SETS, schema.OBSERVERS, schema.OBSERVATIONS
    query = sa.select(observed.c.key).where(observed.c.suite == IMPORTED)
    over = {key for (key,) in fetched(connection, query)} - imported_keys(connection).keys()
    if not over:
        return
    imports = schema.IMPORTS.c
    newest = sa.select(imports.run).order_by(imports.created.desc(), imports.id.desc()).limit(1)
    run = connection.scalar(newest)
    if run is None:  # an import that was cut short: nothing has ever counted
        return
    sets = (
        sa.select(table.c.id, table.c.observations)
        .join(owner, owner.c.id == table.c.observer)
        .where(owner.c.kind.in_(IMPORTED_KINDS))
        .where(~sa.exists().where(schema.WITHDRAWN.c.score_set == table.c.id))
    )
    rows = [
        {"score_set": number, "run": run, "created": now()}
        for number, keys in fetched(connection, sets)
        if not over.isdisjoint(texts(keys))
    ]
    insert_new(connection, schema.WITHDRAWN, rows)


def settle(connection: sa.Connection, run: str, key: str, n: int) -> None:
    """An observation is over with its first `n` trials; a second time is ignored."""
    if not _observed(connection, {key}):
        raise StoreError(f"there is no observation {key} to settle")
    row = {"observation": key, "run": run, "n": n, "created": now()}
    insert_new(connection, schema.SETTLED, [sealed(schema.SETTLED, row)])


def _observed(connection: sa.Connection, keys: set[str]) -> dict[str, tuple[int, str]]:
    """key -> (trials, label columns as JSON)."""
    table, stimuli = schema.OBSERVATIONS, schema.STIMULI
    found: dict[str, tuple[int, str]] = {}
    for some in batches(sorted(keys)):
        query = (
            sa.select(table.c.key, table.c.n, stimuli.c.labels)
            .join(stimuli, stimuli.c.digest == table.c.stimuli)
            .where(table.c.key.in_(some))
        )
        found |= {key: (int(n), labels) for key, n, labels in connection.execute(query)}
    return found


def _check_place(chunk: Chunk, rows: int, n: int, labels: str) -> None:
    what = f"chunk {chunk.index} of observation {chunk.key}"
    if chunk.index < 0 or chunk.start < 0 or chunk.start + rows > n:
        raise StoreError(f"{what}: trials {chunk.start} to {chunk.start + rows} of {n}")
    if taken := [name for name in chunk.columns if dump(name) in labels]:
        raise StoreError(f"{what}: '{taken[0]}' is a label column of its stimuli")


def put_scores(
    connection: sa.Connection, run: str, moment: str, made: ScoreSet, scores: Sequence[Mapping[str, Any]]
) -> str:
    """A score set and its rows; its id, which is bound to the rows and to the chunks that they were made of."""
    table = schema.SCORE_SETS
    row: dict[str, Any] = {
        **{name: getattr(made, name) for name in ("observer", "suite", "version", "space", "code")},
        "run": run,
        "created": moment,
        "trials": trials_digest(connection, made.keys),
        "scores": scores_digest(scores),
        "stimuli": dump(made.stimuli),
        "observations": dump(list(made.keys)),
    }
    row = _last(connection, table, row, ("observer", "suite", "space", "stimuli"))
    insert_new(connection, table, [row])
    number = str(row["id"])
    insert_new(connection, schema.SCORES, [{**score, "score_set": number} for score in scores])
    return number


def _last(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any], group: Sequence[str]) -> dict[str, Any]:
    """The row with its id, later than all of its group; a row that is there already (its transaction is made again) as
    it is."""
    made = sealed(table, row)
    if has(connection, table, "id", made["id"]):
        return made
    same = [table.c[name] == row[name] for name in group]
    newest = connection.scalar(sa.select(sa.func.max(table.c.created)).where(*same))
    return sealed(table, {**row, "created": later(row["created"], newest)})


def score_row(position: int, score: Score) -> dict[str, Any]:
    """A score's row. Raises StoreError on numbers that no score has."""
    if why := fault(score):
        raise StoreError(f"score '{score.metric}': {why}")
    numbers = {name: getattr(score, name) for name in ("value", "low", "high", "level")}
    row: dict[str, Any] = {
        # + 0.0: SQLite gives -0.0 back as 0.0
        name: None if number is None else float(number) + 0.0
        for name, number in numbers.items()
    }
    plain = ("metric", "condition", "role", "reason", "method")
    row |= {name: str(getattr(score, name)) for name in plain}
    row |= {"n": int(score.n), "excluded": int(score.excluded), "position": position}
    return row | {"flags": dump([str(flag) for flag in score.flags])}


def put_outcome(connection: sa.Connection, outcome: Outcome) -> None:
    """How a piece of work ended."""
    table = schema.OUTCOMES
    row = {**vars(outcome)} | {name: storable(getattr(outcome, name)) for name in ("reason", "detail")}
    insert_new(connection, table, [_last(connection, table, row, ("observer_name", "suite", "space"))])
