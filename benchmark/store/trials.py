"""Putting stored chunks together again: one trial table out of many observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array, Coded, Trials
from benchmark.contracts.trials import Column, Columns, coded, held, narrowed
from benchmark.errors import StoreError
from benchmark.stack_columns import stacked_codes
from benchmark.store import schema
from benchmark.store.codec import damaged, decode_codes
from benchmark.store.queries import stimuli
from benchmark.store.sql import batches, fetched, row_digest

Table = dict[str, Column]
BYTES = 8 * 2**20  # of encoded chunks that are in memory at once; one observation's, if it has more
LARGEST = 2**30  # bytes of one observation's columns: no suite stores a tenth of it


@dataclass(frozen=True)
class Shown:
    """A stimulus set's name, and the names and labels of its images."""

    name: str
    columns: Mapping[str, Coded]


Sets = dict[str, Shown]


def trials(connection: sa.Connection, keys: Sequence[str], missing: Mapping[str, str], known: Sets) -> Trials:
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
    for digest in {row.stimuli for row in observed.values()} - known.keys():
        known[digest] = _shown(connection, digest)
    sizes = _sizes(connection, list(observed))
    for some in _portions(keys, [sizes.get(key, 0) for key in keys]):
        stored = _chunks(connection, sorted({*some} & sizes.keys()))
        for key in some:
            row = observed[key]
            answers, index = _answers(key, stored.get(key, []))
            shown = known[row.stimuli]
            yield _labelled(answers, index, shown, row.role, row.condition) if len(index) else {}


def _shown(connection: sa.Connection, digest: str) -> Shown:
    """A stimulus set, its names and labels coded once for all blocks that show it."""
    record = stimuli(connection, digest)
    names = Coded(np.array(record.ids), np.arange(len(record.ids)))
    labels = {name: coded(values) for name, values in record.labels.items()}
    return Shown(record.name, {"stimulus": names, **labels})


def _observations(connection: sa.Connection, keys: Sequence[str]) -> dict[str, Any]:
    """key -> its row. Raises StoreError on an unknown key."""
    table = schema.OBSERVATIONS
    found: dict[str, Any] = {}
    for some in batches(keys):
        columns = (table.c.key, table.c.stimuli, table.c.role, table.c.condition)
        query = sa.select(*columns).where(table.c.key.in_(some))
        found |= {row.key: row for row in fetched(connection, query)}
    for key in keys:
        if key not in found:
            raise StoreError(f"the leaderboard has no observation {key}")
    return found


def _sizes(connection: sa.Connection, keys: Sequence[str]) -> dict[str, int]:
    """Observation -> bytes of its chunks; those that have none are left out."""
    table = schema.CHUNKS
    found: dict[str, int] = {}
    for some in batches(keys):
        size = sa.func.sum(sa.func.length(table.c.payload))
        query = sa.select(table.c.observation, size).where(table.c.observation.in_(some))
        rows = connection.execute(query.group_by(table.c.observation))
        found |= {key: int(size) for key, size in rows}
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


def _chunks(connection: sa.Connection, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Observation -> its chunks, in order, without those beyond what settled it."""
    table, settled = schema.CHUNKS, schema.SETTLED
    found: dict[str, list[Any]] = {}
    for some in batches(keys):
        query = (
            sa.select(table)
            .join(settled, settled.c.observation == table.c.observation, isouter=True)
            .where(table.c.observation.in_(some))
            .where(sa.or_(settled.c.n.is_(None), table.c.start < settled.c.n))
            .order_by(table.c.observation, table.c.start)
        )
        for row in fetched(connection, query):
            found.setdefault(row.observation, []).append(row)
    return found


def chunk_columns(row: Any) -> Table:
    """The columns of a row of `chunks`. Raises StoreError if it is not what was stored there."""
    what = f"chunk {row.position} of observation {row.observation}"
    columns = decode_codes(bytes(row.payload), row.n, what)
    if row_digest(schema.CHUNKS, row._mapping) != row.checksum:
        raise damaged(what, "its checksum does not fit its place and its content")
    return columns


def _answers(key: str, rows: Iterable[Any]) -> tuple[Table, Array]:
    """What was observed and the positions of those trials in the stimuli."""
    parts, index, size = [], [], 0
    for row in rows:
        parts.append(chunk_columns(row))
        index.append(np.arange(row.start, row.start + row.n))
        size += sum(np.asarray(_held(values)).nbytes for values in parts[-1].values())
        if size > LARGEST:
            raise damaged(f"observation {key}", f"its chunks inflate to more than {LARGEST} bytes")
    if not parts:
        return {}, np.empty(0, dtype=np.int64)
    return dict(held(_union(parts))), np.concatenate(index)


def _held(values: Column) -> Array:
    return values.codes if isinstance(values, Coded) else values


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
