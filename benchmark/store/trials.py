"""Putting stored chunks together again: one trial table out of many observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Trials
from benchmark.errors import StoreError
from benchmark.stack_columns import stacked
from benchmark.store import schema
from benchmark.store.codec import decode
from benchmark.store.read import stimuli
from benchmark.store.rows import StimuliRecord
from benchmark.store.sql import batches, fetched

Columns = dict[str, Array]
Payload = tuple[int, int, bytes]  # index on the chunk grid, first trial, encoded columns


def trials(connection: sa.Connection, keys: Sequence[str], missing: Mapping[str, str]) -> Trials:
    """The stored trials of the observations, in the order of the keys."""
    observed = _observations(connection, keys)
    sets = {digest: stimuli(connection, digest) for digest in {one[1] for one in observed.values()}}
    payloads = _payloads(connection, [one[0] for one in observed.values()])
    parts = []
    for key in keys:
        number, digest, role, condition = observed[key]
        answers, index = _answers(key, payloads.get(number, []))
        if len(index):
            parts.append(_labelled(answers, index, sets[digest], role, condition))
    return Trials(_union(parts) if parts else _nothing(), dict(missing))


def _observations(
    connection: sa.Connection, keys: Sequence[str]
) -> dict[str, tuple[int, str, str, str]]:
    """key -> (id, stimuli digest, role, condition). StoreError on an unknown key."""
    table = schema.OBSERVATIONS
    found: dict[str, tuple[int, str, str, str]] = {}
    for some in batches(keys):
        columns = (table.c.key, table.c.id, table.c.stimuli, table.c.role, table.c.condition)
        query = sa.select(*columns).where(table.c.key.in_(some))
        found |= {key: (int(one), *rest) for key, one, *rest in fetched(connection, query)}
    for key in keys:
        if key not in found:
            raise StoreError(f"the leaderboard has no observation {key}")
    return found


def _payloads(connection: sa.Connection, observations: Sequence[int]) -> dict[int, list[Payload]]:
    """observation -> its chunks, in order."""
    table = schema.CHUNKS
    found: dict[int, list[Payload]] = {}
    for some in batches(observations):
        columns = (table.c.observation, table.c.position, table.c.start, table.c.payload)
        query = (
            sa.select(*columns)
            .where(table.c.observation.in_(some))
            .order_by(table.c.observation, table.c.start)
        )
        for observation, position, start, payload in fetched(connection, query):
            found.setdefault(observation, []).append((position, start, payload))
    return found


def _answers(key: str, payloads: Iterable[Payload]) -> tuple[Columns, Array]:
    """What was observed and the positions of those trials in the stimuli."""
    parts, index = [], []
    for position, start, payload in payloads:
        columns = decode(payload, f"chunk {position} of observation {key}")
        parts.append(columns)
        index.append(np.arange(start, start + len(next(iter(columns.values())))))
    if not parts:
        return {}, np.empty(0, dtype=np.int64)
    return _union(parts), np.concatenate(index)


def _labelled(
    answers: Columns, index: Array, shown: StimuliRecord, role: str, condition: str
) -> Columns:
    n = len(index)
    columns: Columns = {"role": np.full(n, role), "condition": np.full(n, condition)}
    columns["stimulus"] = np.array(shown.ids)[index]
    columns |= {name: values[index] for name, values in shown.labels.items()}
    if taken := sorted(set(columns) & set(answers)):
        raise StoreError(f"'{taken[0]}' is both a label of '{shown.name}' and an observed column")
    return columns | answers


def _union(parts: Sequence[Columns]) -> Columns:
    try:
        return stacked(parts)
    except ValueError as error:
        raise StoreError(str(error)) from error


def _nothing() -> Columns:
    return {name: np.empty(0, dtype="<U1") for name in ("role", "condition", "stimulus")}
