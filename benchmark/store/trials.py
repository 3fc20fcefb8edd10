"""Putting stored chunks together again: one trial table out of many observations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Coded, Trials
from benchmark.contracts.trials import Column, Columns, coded, held, narrowed, stacked_codes
from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.codec import decode_codes
from benchmark.store.db_errors import damaged
from benchmark.store.queries import counting_chunks, stimuli
from benchmark.store.sql import batches, fetched_of, row_digest

Table = dict[str, Column]
TOGETHER = 50  # observations whose encoded chunks are in memory at once
LARGEST = 2**30  # bytes of one observation's columns: no suite stores a tenth of it


#: Digest of a stimulus set -> names and labels of its images, coded once for all blocks that show it.
Sets = dict[str, dict[str, Coded]]


def trials(connection: sa.Connection, keys: Sequence[str], missing: Mapping[str, str], known: Sets) -> Trials:
    """The stored trials of the observations, in the order of the keys. known: sets that were read before, by digest;
    those that are read are put there."""
    parts = [part for part in _parts(connection, keys, known) if part]
    nothing = {name: np.empty(0, dtype="<U1") for name in ("role", "condition", "stimulus")}
    return Trials(_union(parts) if parts else nothing, dict(missing))


def _parts(connection: sa.Connection, keys: Sequence[str], known: Sets) -> Iterator[Table]:
    """The trials of each observation; {} where there are none."""
    table, chunks = schema.OBSERVATIONS.c, schema.CHUNKS.c
    query: sa.Select[Any] = sa.select(table.key, table.stimuli, table.role, table.condition)
    observed = {row.key: row for row in fetched_of(connection, query, table.key, keys)}
    for key in keys:
        if key not in observed:
            raise StoreError(f"the leaderboard has no observation {key}")
    for digest in {row.stimuli for row in observed.values()} - known.keys():
        record = stimuli(connection, digest)
        names = Coded(np.array(record.ids), np.arange(len(record.ids)))
        labels = {name: coded(values) for name, values in record.labels.items()}
        known[digest] = {"stimulus": names, **labels}
    chunks_query = counting_chunks(*chunks).order_by(chunks.observation, chunks.start)
    for some in batches(keys, TOGETHER):
        rows: dict[str, list[Any]] = {}
        for row in fetched_of(connection, chunks_query, chunks.observation, some):
            rows.setdefault(row.observation, []).append(row)
        for key in some:
            yield _labelled(observed[key], rows.pop(key, []), known[observed[key].stimuli])


def chunk_columns(row: Any) -> Table:
    """The columns of a row of `chunks`. Raises StoreError if it is not what was stored there."""
    what = f"chunk {row.position} of observation {row.observation}"
    columns = decode_codes(bytes(row.payload), row.n, what)
    if row_digest(schema.CHUNKS, row._mapping) != row.checksum:
        raise damaged(what, "its checksum does not fit its place and its content")
    return columns


def _labelled(observation: Any, chunks: Sequence[Any], shown: Mapping[str, Coded]) -> Table:
    """The answers in an observation's chunks, with role, condition, and the names and labels of the images."""
    if not chunks:
        return {}
    parts: list[Table] = []
    size = 0
    for row in chunks:
        parts.append(chunk_columns(row))
        size += sum((part.codes if isinstance(part, Coded) else part).nbytes for part in parts[-1].values())
        if size > LARGEST:
            raise damaged(f"observation {observation.key}", f"its chunks inflate to more than {LARGEST} bytes")
    answers = held(_union(parts))
    index = np.concatenate([np.arange(row.start, row.start + row.n) for row in chunks])
    columns: Table = {
        name: Coded(np.array([text]), np.zeros(len(index), dtype=np.uint8))
        for name, text in (("role", observation.role), ("condition", observation.condition))
    }
    for name, labels in shown.items():
        columns[name] = Coded(labels.words, narrowed(labels.codes[index], len(labels.words)))
    if taken := sorted(columns.keys() & answers.keys()):
        raise StoreError(f"'{taken[0]}' of observation {observation.key} is both a label and an observed column")
    return {**columns, **answers}


def _union(parts: Sequence[Table]) -> Columns:
    try:
        return stacked_codes(parts)
    except ValueError as error:
        raise StoreError(str(error)) from error
