"""Inserting rows. Each function is one step inside a caller's transaction; none updates anything. A row's `moment` is
taken before the transaction, so that one that is made again stores the same row."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Observer, Score, Stimuli
from benchmark.failures import StoreError
from benchmark.store import queries, schema
from benchmark.store.codec import encode
from benchmark.store.rows import IMPORTED, IMPORTED_KINDS, Chunk, Ending, Observation, ScoreSet, Work, card_tags, fault
from benchmark.store.sql import dump, fetched, insert_new, later, sealed, storable, texts
from registry.files import redacted

RESERVED = ("role", "stimulus")  # columns of every trial table that the store itself fills in


def begin_run(connection: sa.Connection, moment: str, command: str, environment: Mapping[str, Any]) -> str:
    """Store a run and return its id. command: as typed; environment: JSON-able (versions, device, ...)."""
    shared = _inserted(connection, schema.ENVIRONMENTS, {"content": dump(environment), "created": moment})
    row = {"command": storable(redacted(command)), "environment": shared, "started": moment}
    return _inserted(connection, schema.RUNS, row)


def _inserted(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> str:
    whole = sealed(table, row)
    insert_new(connection, table, [whole])
    return str(whole["id"])


def end_run(connection: sa.Connection, moment: str, run: str, status: str, note: str = "") -> None:
    """Store the end of a run; a second end of one run is ignored."""
    row = {"run": run, "status": status, "note": storable(redacted(note)), "ended": moment}
    insert_new(connection, schema.RUN_ENDS, [row])


def put_observer(connection: sa.Connection, moment: str, observer: Observer) -> str:
    """Return the observer's id; its name now refers to this identity and card."""
    names = {"name": observer.name, "kind": observer.kind, "identity": observer.identity}
    number = _inserted(connection, schema.OBSERVERS, {**names, "created": moment})
    registrations, observers = schema.REGISTRATIONS, schema.OBSERVERS
    before = connection.execute(
        sa.select(registrations)
        .join(observers, observers.c.id == registrations.c.observer)
        .where(observers.c.name == observer.name)
        .order_by(registrations.c.created.desc(), registrations.c.id.desc())
        .limit(1)
    ).first()
    card = dump(observer.card)
    if before is None or (before.observer, before.card) != (number, card):
        row = {"observer": number, "training": dump(card_tags(observer.card)), "card": card}
        _inserted(connection, registrations, {**row, "created": later(moment, before.created if before else None)})
    return number


def stimuli_row(moment: str, stimuli: Stimuli) -> dict[str, Any]:
    """Return the row of a stimulus set: names and labels, no images."""
    n = len(stimuli)
    columns: dict[str, Array] = {"stimulus": np.array(stimuli.ids, dtype=object)}
    for name, values in stimuli.labels.items():
        if name in RESERVED:
            raise StoreError(f"stimulus set '{stimuli.name}': '{name}' cannot name a label column")
        if len(values) != n:
            raise StoreError(f"stimulus set '{stimuli.name}': label '{name}' has {len(values)} values for {n} images")
        columns[name] = values
    row = {name: getattr(stimuli, name) for name in ("digest", "name", "space", "whole", "origin")}
    row |= {"n": n, "labels": dump(list(stimuli.labels)), "created": moment, "columns": encode(columns)}
    return sealed(schema.STIMULI, row)


def put_observation(connection: sa.Connection, moment: str, run: str, observation: Observation) -> None:
    """Store an observation, unless its key exists."""
    plain = ("key", "observer", "suite", "space", "stimuli", "role", "condition", "presentation", "transform")
    row: dict[str, Any] = {name: str(getattr(observation, name)) for name in plain}
    row |= {name: int(getattr(observation, name)) for name in ("version", "n")}
    row |= {"run": run, "created": moment, "details": dump(observation.details)}
    insert_new(connection, schema.OBSERVATIONS, [sealed(schema.OBSERVATIONS, row)])


def encode_chunk(chunk: Chunk) -> dict[str, Any]:
    """Return a chunk's row, but for its run. Raises StoreError on columns of unequal length."""
    lengths = {name: len(values) for name, values in chunk.columns.items()}
    if len(set(lengths.values())) != 1:
        raise StoreError(f"observation {chunk.key}: columns of unequal length: {lengths or 'none at all'}")
    row = {"observation": chunk.key, "position": int(chunk.index), "start": int(chunk.start)}
    row |= {"n": next(iter(lengths.values())), "payload": encode(chunk.columns)}
    return sealed(schema.CHUNKS, row)


def put_chunks(connection: sa.Connection, run: str, chunks: Iterable[Mapping[str, Any]]) -> None:
    """Insert encoded chunks in a fixed order: writers of the same rows then never wait in a ring."""
    ordered = sorted(chunks, key=itemgetter("observation", "position"))
    insert_new(connection, schema.CHUNKS, [{**row, "run": run} for row in ordered])


def put_import(connection: sa.Connection, moment: str, run: str, source: str, keys: Collection[str]) -> int:
    """Let only these observations count for a source from now on; return how many earlier ones no longer count."""
    content, before = dump(sorted({*keys})), queries.newest_imports(connection).get(source)
    if before is not None and before.observations == content:
        return 0
    created = later(moment, before and before.created)
    row = {"source": source, "run": run, "created": created, "observations": content}
    _inserted(connection, schema.IMPORTS, row)
    withdraw(connection, moment)
    return len({*texts(before.observations)} - {*keys}) if before is not None else 0


def withdraw(connection: sa.Connection, moment: str) -> None:
    """Hide scores of imported observers that were made of trials that no longer count, as work of the newest import."""
    table, owner, observed = schema.SCORE_SETS, schema.OBSERVERS, schema.OBSERVATIONS
    query = sa.select(observed.c.key).where(observed.c.suite == IMPORTED)
    over = {key for (key,) in fetched(connection, query)} - queries.imported_keys(connection).keys()
    imports = list(queries.newest_imports(connection).values())
    if not over or not imports:  # none: an import that was cut short, nothing has ever counted
        return
    sets = (
        sa.select(table.c.id, table.c.observations)
        .join(owner, owner.c.id == table.c.observer)
        .where(owner.c.kind.in_(IMPORTED_KINDS))
        .where(~sa.exists().where(schema.WITHDRAWN.c.score_set == table.c.id))
    )
    rows = [
        {"score_set": number, "run": imports[-1].run, "created": moment}
        for number, keys in fetched(connection, sets)
        if not over.isdisjoint(texts(keys))
    ]
    insert_new(connection, schema.WITHDRAWN, rows)


def settle(connection: sa.Connection, moment: str, run: str, key: str, n: int) -> None:
    """End an observation with its first `n` trials; a second time is ignored."""
    row = {"observation": key, "run": run, "n": n, "created": moment}
    insert_new(connection, schema.SETTLED, [sealed(schema.SETTLED, row)])


def put_scores(connection: sa.Connection, moment: str, run: str, target: ScoreSet, scores: Sequence[Score]) -> str:
    """Store a score set, bound to its rows and its chunks, and return its id. Raises StoreError on faults."""
    rows = list[dict[str, Any]]()
    for position, score in enumerate(scores):
        if why := fault(score):
            raise StoreError(f"score '{score.metric}': {why}")
        row: dict[str, Any] = {"position": position, "flags": dump([str(flag) for flag in score.flags])}
        for name in ("value", "low", "high", "level"):
            number = getattr(score, name)
            row[name] = None if number is None else float(number) + 0.0  # SQLite gives -0.0 back as 0.0
        row |= {name: str(getattr(score, name)) for name in ("metric", "condition", "role", "reason", "method")}
        rows.append(row | {"n": int(score.n), "excluded": int(score.excluded)})
    digest = queries.scores_digest(rows)
    # Two processes that end at the same moment have made the same scores.
    twin = queries.newest_like(connection, target) if queries.has_scores(connection, target) else None
    if twin is not None and queries.scores_digest(queries.stored_scores(connection, twin)) == digest:
        return twin
    whole = {
        **{name: getattr(target, name) for name in ("observer", "suite", "version", "space", "code")},
        "run": run,
        "created": moment,
        "trials": queries.trials_digest(connection, target.keys),
        "scores": digest,
        "stimuli": dump(target.stimuli),
        "observations": dump(list(target.keys)),
    }
    stored = _insert_last(connection, schema.SCORE_SETS, whole, ("observer", "suite", "space", "stimuli"))
    insert_new(connection, schema.SCORES, [{**row, "score_set": stored} for row in rows])
    return stored


def _insert_last(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any], group: Sequence[str]) -> str:
    """Insert a row as the newest of its group and return its id. An existing row (a repeated transaction) stays."""
    number = str(sealed(table, row)["id"])
    if queries.has(connection, table, "id", number):
        return number
    same = [table.c[name] == row[name] for name in group]
    newest = connection.scalar(sa.select(sa.func.max(table.c.created)).where(*same))
    return _inserted(connection, table, {**row, "created": later(row["created"], newest)})


def put_outcome(
    connection: sa.Connection,
    moment: str,
    run: str,
    observer: str | None,
    work: Work,
    status: Ending,
    reason: str = "",
    detail: str = "",
) -> None:
    """Store how work (observer's name, suite, space) ended. reason: one line; detail: e.g. a traceback."""
    row = {"run": run, "observer": observer, "status": status, "created": moment}
    row |= {"reason": storable(reason), "detail": storable(detail)}
    row |= zip(("observer_name", "suite", "space"), work, strict=True)
    _insert_last(connection, schema.OUTCOMES, row, ("observer_name", "suite", "space"))
