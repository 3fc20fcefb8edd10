"""Observations and their chunks, from one leaderboard into another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array
from benchmark.store import schema
from benchmark.store.codec import decode, refuse_damage, unread
from benchmark.store.database import Database
from benchmark.store.questions import batches
from benchmark.store.sql import fetched, insert_new

LOAD = 50_000  # trials per transaction
#: What computing in another order moves: batch size, threads, another processor. Decisions do not move by it.
_NOISE = {"rtol": 1e-3, "atol": 1e-5}


@dataclass(frozen=True)
class Numbers:
    """Their numbers of observers and runs -> ours. keys: of the observations that are wanted (None: all)."""

    observers: Mapping[int, int]
    runs: Mapping[int, int]
    keys: frozenset[str] | None = None

    def wanted(self, observer: int, key: str) -> bool:
        """Whether their observation comes."""
        return observer in self.observers and (self.keys is None or key in self.keys)


@dataclass
class Counted:
    """New observations and trials, and trials that were here already."""

    observations: int = 0
    trials: int = 0
    known: int = 0


@dataclass(frozen=True)
class Difference:
    """Another answer to what is stored already: the observation's row, and how many of how many trials differ."""

    observation: Mapping[str, Any]
    differing: int
    compared: int


def merge_blocks(
    source: sa.Connection, target: Database, numbers: Numbers, counted: Counted
) -> Iterator[Difference]:
    """Bring in observations, chunks, and what settled them; yields those whose answers differ from what is here.

    Of these nothing comes in: an observation's chunks are all of one kind.
    """
    for load in _loads(source, numbers):
        with target.writing() as connection:
            before = _known(connection, [row["key"] for row in load])
            rows = [_moved(row, numbers) for row in load if row["key"] not in before]
            insert_new(connection, schema.OBSERVATIONS, rows)
            here = _known(connection, [row["key"] for row in load])
            ids = {row["id"]: here[row["key"]] for row in load}
            theirs, ours = _chunks(source, list(ids)), _chunks(connection, list(ids.values()))
            for row in load:
                mine = ours.get(ids[row["id"]], {})
                found = _compared(theirs.get(row["id"], {}), mine)
                if found[0]:
                    yield Difference(row, *found)
                    del ids[row["id"]]
            new = [
                {**chunk, "observation": ids[number], "run": numbers.runs[chunk["run"]]}
                for number, chunks in theirs.items()
                if number in ids
                for place, chunk in chunks.items()
                if place not in ours.get(ids[number], {})
            ]
            for chunk in new:
                what = f"chunk {chunk['position']} of an observation"
                refuse_damage(unread(chunk["payload"], chunk["n"], what))
            insert_new(connection, schema.CHUNKS, new)
            _settle(source, connection, ids, numbers)
            counted.observations += len(rows)
            fresh = sum(chunk["n"] for chunk in new)
            counted.trials += fresh
            counted.known += sum(c["n"] for m in theirs.values() for c in m.values()) - fresh


def _loads(source: sa.Connection, numbers: Numbers) -> Iterator[list[Mapping[str, Any]]]:
    """Their observations of merged observers in the order of storing, some trials at a time."""
    table, last = schema.OBSERVATIONS, 0
    load: list[Mapping[str, Any]] = []
    trials = 0
    while True:
        query = sa.select(table).where(table.c.id > last).order_by(table.c.id).limit(1000)
        rows = fetched(source, query)
        for row in rows:
            if numbers.wanted(row.observer, row.key):
                load.append(row._mapping)
                trials += row.n
            if trials >= LOAD:
                yield load
                load, trials = [], 0
        if not rows:
            break
        last = rows[-1].id
    if load:
        yield load


def _known(connection: sa.Connection, keys: Sequence[str]) -> dict[str, int]:
    table = schema.OBSERVATIONS
    found: dict[str, int] = {}
    for some in batches(keys):
        query = sa.select(table.c.key, table.c.id).where(table.c.key.in_(some))
        found |= {key: int(number) for key, number in connection.execute(query)}
    return found


def _moved(row: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    changed = {name: value for name, value in row.items() if name != "id"}
    changed["observer"] = numbers.observers[row["observer"]]
    changed["run"] = numbers.runs[row["run"]]
    return changed


def _chunks(
    connection: sa.Connection, observations: Sequence[int]
) -> dict[int, dict[int, dict[str, Any]]]:
    """observation -> position -> row."""
    table = schema.CHUNKS
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for some in batches(observations):
        query = sa.select(table).where(table.c.observation.in_(some))
        for row in fetched(connection, query):
            found.setdefault(row.observation, {})[row.position] = dict(row._mapping)
    return found


def _compared(
    theirs: Mapping[int, Mapping[str, Any]], ours: Mapping[int, Mapping[str, Any]]
) -> tuple[int, int]:
    """How many trials differ, of how many that both have."""
    differing = compared = 0
    for place in theirs.keys() & ours.keys():
        there, here = theirs[place], ours[place]
        compared += int(here["n"])
        if bytes(there["payload"]) != bytes(here["payload"]):
            differing += _differing(there, here)
    return differing, compared


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> int:
    """Trials of a chunk that are answered otherwise, beyond what computing in another order moves."""
    theirs, ours = decode(there["payload"], "a chunk"), decode(here["payload"], "a chunk")
    if theirs.keys() != ours.keys() or (there["start"], there["n"]) != (here["start"], here["n"]):
        return int(here["n"])
    other = np.zeros(here["n"], dtype=bool)
    for name, values in ours.items():
        if theirs[name].shape != values.shape:
            return int(here["n"])
        other |= _unequal(theirs[name], values)
    return int(other.sum())


def _unequal(theirs: Array, ours: Array) -> Array:
    """[n] bool: values of a column that differ, along the first axis."""
    if ours.dtype.kind == "f" and theirs.dtype.kind == "f":
        found = ~np.isclose(theirs, ours, equal_nan=True, **_NOISE)
    else:
        found = theirs != ours
    return np.asarray(found.reshape(len(ours), -1).any(axis=1))


def _settle(
    source: sa.Connection, target: sa.Connection, ids: Mapping[int, int], numbers: Numbers
) -> None:
    table = schema.SETTLED
    for some in batches(list(ids)):
        query = sa.select(table).where(table.c.observation.in_(some))
        rows = [
            {
                **row._mapping,
                "observation": ids[row.observation],
                "run": numbers.runs[row.run],
            }
            for row in fetched(source, query)
        ]
        insert_new(target, table, rows)
