"""Merge one leaderboard into another. Keys are digests, so common contents are one row: new rows are inserted, known
ones ignored, and contradictions are named and skipped. A merge that is refused or interrupted changes nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.failures import StoreError
from benchmark.store import queries, schema
from benchmark.store.check import all_rows, row_problems, rules
from benchmark.store.codec import decode
from benchmark.store.connection import Database
from benchmark.store.rows import IMPORTED_KINDS, ObserverRow
from benchmark.store.sql import batches, dump, fetched, fetched_of, insert_new, now, sealed, texts
from benchmark.store.write import put_import, withdraw
from registry.user_errors import some_of

TOGETHER = 50  # observations whose chunks are in memory at once
#: What computing in another order moves: batch size, threads, another processor. Decisions do not move by it.
_NOISE = {"rtol": 1e-3, "atol": 1e-5}
_PLACES = ("weights", "labels")  # fields of a card that say where files lie; what is in them is part of the identity
_SHOWN = 6  # conditions in a line
Row = Mapping[str, Any]


@dataclass(kw_only=True)
class Merged:
    """The result of merging one leaderboard. known: trials that were here; scores: unchanged score sets."""

    place: str
    observations: int = 0
    trials: int = 0
    known: int = 0
    scores: int = 0
    conflicts: list[str] = field(default_factory=list)  # skipped contents, a line each


def merge_leaderboard(target: sa.Connection, source: Database) -> Merged:
    """Copy all rows of `source`, which is only read. Raises StoreError if it is damaged."""
    done = Merged(place=source.location.shown)
    with source.reading() as connection:
        _refuse(rules(connection))  # a row that belongs to nothing would be left out in silence
        sides = connection, target
        ever, here_ever = ({row.id: row for row in queries.observer_rows(side, latest=False)} for side in sides)
        current, here_current = ({row.name: row for row in queries.observer_rows(side)} for side in sides)
        # Names that stand for one observer there and for another here, neither of which the other side has ever known.
        strangers = {
            name
            for name in current.keys() & here_current.keys()
            if here_current[name].id not in ever and current[name].id not in here_ever
        }
        done.conflicts += _other_observers(current, here_current, strangers, done.place)
        coming = {row.id for row in ever.values() if row.name not in strangers}
        # The trials of a stranger come under its other name, if it has one (`bench models rename` gives it one).
        named = {(row.kind, row.identity): row.id for row in ever.values() if row.id in coming}
        alike = ((row.id, named.get((row.kind, row.identity))) for row in ever.values())
        owners = {number: number if number in coming else other for number, other in alike if other}
        copy = _Copy(source=connection, target=target, done=done, owners=owners)
        for table in (schema.ENVIRONMENTS, schema.RUNS, schema.RUN_ENDS, schema.STIMULI):
            copy.rows(table)
        copy.rows(schema.OBSERVERS, id=coming)
        # The card of an observer that is known here stays.
        copy.rows(schema.REGISTRATIONS, observer=coming - {row.id for row in here_current.values()})
        copy.trials(row for row in all_rows(connection, schema.OBSERVATIONS) if row.observer in owners)
        copy.imports()
        # Scores of imported observers are made anew: they rest on all imports.
        copy.scores({number for number in owners if ever[number].kind not in IMPORTED_KINDS})
        copy.rows(schema.OUTCOMES, observer={None, *owners})
    return done


def merge_observations(target: sa.Connection, source: Database, keys: Collection[str], run: str) -> None:
    """Copy these observations with all they rest on as work of `run`; imported ones count beside the others."""
    observed, keys = schema.OBSERVATIONS, {*keys}
    with source.reading() as connection:
        rows = list(fetched_of(connection, sa.select(observed), observed.c.key, keys))
        owners = {row.observer for row in rows}
        copy = _Copy(source=connection, target=target, done=Merged(place=source.location.shown))
        copy.rows(schema.OBSERVERS, id=owners)
        copy.rows(schema.REGISTRATIONS, observer=owners)
        copy.rows(schema.STIMULI, digest={row.stimuli for row in rows})
        copy.run = run
        copy.trials(rows)
        counting = queries.imported_keys(target).keys()
        ours = {name: {*texts(row.observations)} & counting for name, row in queries.newest_imports(target).items()}
        for name, row in queries.newest_imports(connection).items():
            if wanted := {*texts(row.observations)} & keys:
                put_import(target, now(), run, name, wanted | ours.get(name, set()))


def _other_observers(
    theirs: Mapping[str, ObserverRow], ours: Mapping[str, ObserverRow], strangers: Collection[str], place: str
) -> Iterator[str]:
    """Describe names that mean another observer in the two leaderboards, or the same one with another card."""
    for name in sorted(theirs.keys() & ours.keys()):
        there, here = theirs[name], ours[name]
        if name in strangers:
            said = [f"{owner.kind} {owner.identity[:12]}" for owner in (there, here)]
            yield (
                f"'{name}' stands for another observer in {place} ({said[0]}) than here ({said[1]}), with other "
                "weights, preprocessing or code: nothing of it came. To have both, rename one (`bench models rename`), "
                "run it into its own leaderboard, where its answers are stored already, and merge again"
            )
        elif there.id == here.id:
            fields = sorted((there.card.keys() | here.card.keys()) - {*_PLACES})
            if differing := [key for key in fields if there.card.get(key) != here.card.get(key)]:
                yield (
                    f"'{name}' is the same observer in {place} with another card ({', '.join(differing)} differ): the "
                    "card that is here stays, its trials came"
                )


def _refuse(problems: Iterable[str]) -> None:
    for line in problems:
        raise StoreError(f"nothing is merged, for a leaderboard is damaged: {line}. `bench db check` lists faults")


@dataclass(kw_only=True)
class _Copy:
    """Copies rows of one leaderboard into another."""

    source: sa.Connection
    target: sa.Connection
    done: Merged
    owners: Mapping[str, str] = field(default_factory=dict)  # observer's id there -> here
    run: str | None = None  # of which rows become part

    def rows(self, table: sa.Table, **wanted: Collection[str | None]) -> None:
        """Insert the new rows of a table. wanted: column -> the values with which a row comes."""
        rows = (
            row for row in all_rows(self.source, table) if all(row._mapping[name] in wanted[name] for name in wanted)
        )
        for page in batches(rows, 1 if table is schema.STIMULI else 200):
            self.insert(table, page)

    def insert(self, table: sa.Table, rows: Iterable[Any], **changed: Any) -> list[Row]:
        """Insert checked rows and return them."""
        new: list[Row] = []
        for row in rows:
            _refuse(row_problems(table, row))
            plain = dict(row._mapping)
            moved = plain | ({"run": self.run} if self.run else {}) | changed
            if plain.get("observer") in self.owners:
                moved["observer"] = self.owners[plain["observer"]]
            new.append(plain if moved == plain else sealed(table, moved))
        insert_new(self.target, table, new)
        return new

    def trials(self, wanted: Iterable[Any]) -> None:
        """Insert observations with chunks and settlements; skip those answered otherwise here, with a line on each."""
        table, settled, done = schema.OBSERVATIONS.c, schema.SETTLED, self.done
        differing = defaultdict[tuple[str, str], list[str]](list)
        for some in batches(wanted, TOGETHER):
            rows = {row.key: row for row in some}
            known = {key for (key,) in fetched_of(self.target, sa.select(table.key), table.key, rows)}
            self.insert(schema.OBSERVATIONS, (row for key, row in rows.items() if key not in known))
            done.observations += len(rows.keys() - known)
            theirs, ours = _chunks(self.source, rows), _chunks(self.target, rows)
            for key, row in list(rows.items()):
                both = [
                    (chunk, ours[key][position]) for position, chunk in theirs[key].items() if position in ours[key]
                ]
                differ, compared = sum(_differing(*pair) for pair in both), sum(here.n for _, here in both)
                if differ:
                    block = f"{row.role} {row.condition}".strip()
                    differing[row.observer, row.suite].append(f"{block} {differ} of {compared}")
                    del rows[key]
            new = [row for key in rows for position, row in theirs[key].items() if position not in ours[key]]
            self.insert(schema.CHUNKS, new)
            self.insert(settled, fetched_of(self.source, sa.select(settled), settled.c.observation, rows))
            done.trials += sum(row.n for row in new)
            done.known += sum(row.n for key in theirs for row in theirs[key].values()) - sum(row.n for row in new)
        names = dict(fetched(self.source, sa.select(schema.OBSERVERS.c.id, schema.OBSERVERS.c.name)))
        done.conflicts += (
            f"'{names[observer]}' under {suite}: {done.place} answers the same trials otherwise "
            f"({some_of(blocks, _SHOWN)}): those that are here stay. "
            "Either a machine computes otherwise, or the network does not answer twice alike"
            for (observer, suite), blocks in differing.items()
        )

    def imports(self) -> None:
        """Insert imports with those of their observations that came; scores that rest on others are withdrawn."""
        theirs, ours = queries.newest_imports(self.source), queries.newest_imports(self.target)
        for name in sorted(theirs.keys() & ours.keys()):
            if {*texts(theirs[name].observations)} != {*texts(ours[name].observations)}:
                self.done.conflicts.append(
                    f"other trials of '{name}' were imported in {self.done.place} than here: the newer import counts. "
                    "`bench import trials` of all its tables decides"
                )
        here = {*self.target.scalars(sa.select(schema.OBSERVATIONS.c.key))}
        for row in all_rows(self.source, schema.IMPORTS):
            kept = [key for key in texts(row.observations) if key in here]
            self.insert(schema.IMPORTS, [row], observations=dump(kept))
        withdraw(self.target, now())

    def scores(self, observers: Collection[str]) -> None:
        """Insert the score sets of these observers, unless the target has them or holds other trials."""
        table = schema.SCORE_SETS
        parts = ("observer", "suite", "version", "space", "stimuli", "observations")
        known = {*map(tuple, fetched(self.target, sa.select(*(table.c[name] for name in parts))))}
        for row in (row for row in all_rows(self.source, table) if row.observer in observers):
            if tuple({**row._mapping, "observer": self.owners[row.observer]}[name] for name in parts) in known:
                continue
            scores, keys = queries.stored_scores(self.source, row.id), texts(row.observations)
            if queries.scores_digest(scores) != row.scores:
                _refuse([f"score set {row.id}: its scores are not those that were stored"])
            if row.trials and queries.trials_digest(self.target, keys) != row.trials:
                if queries.trials_digest(self.source, keys) != row.trials:
                    lost = f"score set {row.id} ({row.suite}) of {self.done.place} is left out"
                    self.done.conflicts.append(f"{lost}: trials that it was made of are altered or gone there")
                continue
            (moved,) = self.insert(table, [row])
            insert_new(self.target, schema.SCORES, [{**score, "score_set": moved["id"]} for score in scores])
            self.done.scores += 1


def _chunks(connection: sa.Connection, keys: Iterable[str]) -> dict[str, dict[int, Any]]:
    chunks: dict[str, dict[int, Any]] = {key: {} for key in keys}
    for row in fetched_of(connection, sa.select(schema.CHUNKS), schema.CHUNKS.c.observation, chunks):
        chunks[row.observation][row.position] = row
    return chunks


def _differing(there: Any, here: Any) -> int:
    """Count the trials of a chunk that are answered otherwise, beyond what computing in another order moves."""
    if there.checksum == here.checksum and bytes(there.payload) == bytes(here.payload):
        return 0
    _refuse(row_problems(schema.CHUNKS, there))
    theirs, ours = (decode(bytes(row.payload), row.n, "a chunk") for row in (there, here))
    both = theirs.keys() & ours.keys()  # a version of the suite may keep more than one before it
    if not both or (there.start, there.n) != (here.start, here.n):
        return int(here.n)
    other = np.zeros(here.n, dtype=bool)
    for name in both:
        a, b = theirs[name], ours[name]
        if a.shape != b.shape:
            return int(here.n)
        numbers = a.dtype.kind == b.dtype.kind == "f"
        same = np.isclose(a, b, equal_nan=True, **_NOISE) if numbers else a == b
        other |= ~same.reshape(len(b), -1).all(axis=1)
    return int(other.sum())
