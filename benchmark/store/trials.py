"""Putting stored chunks together again: one trial table out of many observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Coded, Trials
from benchmark.contracts.columns import Column, Columns, coded, held, narrowed
from benchmark.errors import StoreError
from benchmark.stack_columns import stacked_codes
from benchmark.store import schema
from benchmark.store.codec import decode_codes
from benchmark.store.engine import Asked
from benchmark.store.observed import stimuli
from benchmark.store.questions import batches
from benchmark.store.sql import fetched

Table = dict[str, Column]
Payload = tuple[int, int, bytes]  # index on the chunk grid, first trial, encoded columns
BYTES = 8 * 2**20  # of encoded chunks that are in memory at once; one observation's, if it has more


@dataclass(frozen=True)
class Shown:
    """A stimulus set's name, and the names and labels of its images."""

    name: str
    columns: Mapping[str, Coded]


Sets = dict[str, Shown]


def trials(
    connection: sa.Connection, keys: Sequence[str], missing: Mapping[str, str], known: Sets
) -> Trials:
    """The stored trials of the observations, in the order of the keys. known: sets that were read before, by digest;
    those that are read are put there.
    """
    parts = [part for part in _parts(connection, keys, known) if part]
    return Trials(_union(parts) if parts else Columns(_nothing()), dict(missing))


def each(connection: sa.Connection, keys: Sequence[str], known: Sets) -> list[Trials]:
    """The stored trials of each of the observations, apart."""
    return [Trials(Columns(part or _nothing())) for part in _parts(connection, keys, known)]


def _parts(connection: sa.Connection, keys: Sequence[str], known: Sets) -> Iterator[Table]:
    """The trials of each observation; {} where there are none."""
    observed = _observations(connection, keys)
    for digest in {one[1] for one in observed.values()} - known.keys():
        known[digest] = _shown(connection, digest)
    sizes = _sizes(connection, [one[0] for one in observed.values()])
    for some in _portions(keys, [sizes.get(observed[key][0], 0) for key in keys]):
        payloads = _payloads(connection, sorted({observed[key][0] for key in some} & sizes.keys()))
        for key in some:
            number, digest, role, condition = observed[key]
            answers, index = _answers(key, payloads.get(number, []))
            yield _labelled(answers, index, known[digest], role, condition) if len(index) else {}


def _shown(connection: sa.Connection, digest: str) -> Shown:
    """A stimulus set, its names and labels coded once for all blocks that show it."""
    record = stimuli(Asked(connection), digest)
    names = Coded(np.array(record.ids), np.arange(len(record.ids)))
    labels = {name: coded(values) for name, values in record.labels.items()}
    return Shown(record.name, {"stimulus": names, **labels})


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


def _sizes(connection: sa.Connection, observations: Sequence[int]) -> dict[int, int]:
    """Observation -> bytes of its chunks; those that have none are left out."""
    table = schema.CHUNKS
    found: dict[int, int] = {}
    for some in batches(observations):
        size = sa.func.sum(sa.func.length(table.c.payload))
        query = sa.select(table.c.observation, size).where(table.c.observation.in_(some))
        rows = connection.execute(query.group_by(table.c.observation))
        found |= {int(observation): int(size) for observation, size in rows}
    return found


def _portions(keys: Sequence[str], sizes: Sequence[int]) -> Iterator[list[str]]:
    """The keys in portions of at most `BYTES`, or of one."""
    portion: list[str] = []
    held = 0
    for key, size in zip(keys, sizes, strict=True):
        if portion and held + size > BYTES:
            yield portion
            portion, held = [], 0
        portion.append(key)
        held += size
    if portion:
        yield portion


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


def _answers(key: str, payloads: Iterable[Payload]) -> tuple[Table, Array]:
    """What was observed and the positions of those trials in the stimuli."""
    parts, index = [], []
    for position, start, payload in payloads:
        columns = decode_codes(payload, f"chunk {position} of observation {key}")
        parts.append(columns)
        index.append(np.arange(start, start + len(next(iter(columns.values())))))
    if not parts:
        return {}, np.empty(0, dtype=np.int64)
    return dict(held(_union(parts))), np.concatenate(index)


def _labelled(answers: Table, index: Array, shown: Shown, role: str, condition: str) -> Table:
    n = len(index)
    columns: Table = {"role": _same(role, n), "condition": _same(condition, n)}
    columns |= {
        name: Coded(values.words, narrowed(values.codes[index], len(values.words)))
        for name, values in shown.columns.items()
    }
    if taken := sorted(set(columns) & set(answers)):
        raise StoreError(f"'{taken[0]}' is both a label of '{shown.name}' and an observed column")
    return columns | answers


def _same(text: str, n: int) -> Coded:
    return Coded(np.array([text]), np.zeros(n, dtype=np.uint8))


def _union(parts: Sequence[Table]) -> Columns:
    try:
        return stacked_codes(parts)
    except ValueError as error:
        raise StoreError(str(error)) from error


def _nothing() -> dict[str, Array]:
    return {name: np.empty(0, dtype="<U1") for name in ("role", "condition", "stimulus")}
