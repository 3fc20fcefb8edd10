"""Merge one leaderboard into another. Keys are digests, so common contents are one row: new rows are inserted, known
ones ignored, and contradictions are named and skipped.

A merge is one transaction of the target: one that is refused or interrupted changes nothing."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.check import all_rows, row_problems, rules
from benchmark.store.codec import decode
from benchmark.store.connection import Database
from benchmark.store.queries import imported_keys, newest_imports, scores_digest, stored_scores, trials_digest
from benchmark.store.rows import IMPORTED_KINDS
from benchmark.store.sql import batches, fetched, fetched_of, insert_new, parsed, sealed, texts
from benchmark.store.write import put_import, withdraw
from registry.errors import some_of

TOGETHER = 50  # observations whose chunks are in memory at once
#: What computing in another order moves: batch size, threads, another processor. Decisions do not move by it.
_NOISE = {"rtol": 1e-3, "atol": 1e-5}
#: Fields of a card that say where files lie; what is in them is part of the identity.
_PLACES = ("weights", "labels")
_SHOWN = 6  # conditions in a line

Row = Mapping[str, Any]


@dataclass(kw_only=True)
class Merged:
    """The result of merging one leaderboard: new observations and trials, trials known before (`known`), unchanged
    score sets. conflicts: skipped contents, a line each."""

    place: str
    observations: int = 0
    trials: int = 0
    known: int = 0
    scores: int = 0
    conflicts: list[str] = field(default_factory=list)


def merge(target: sa.Connection, sources: Iterable[Database]) -> list[Merged]:
    """Bring all rows of `sources` in, which are only read: all, or of a damaged one nothing of any. Raises
    StoreError."""
    return [_merge(source, target) for source in sources]


def _merge(source: Database, target: sa.Connection) -> Merged:
    done = Merged(place=source.location.shown)
    with source.reading() as connection:
        _refuse(rules(connection))  # a row that belongs to nothing would be left out in silence
        theirs, ours = _People(connection), _People(target)
        # Names that stand for one observer there and for another here, neither of which the other side has ever known.
        strangers = {
            name
            for name in theirs.now.keys() & ours.now.keys()
            if ours.now[name].observer not in theirs.rows and theirs.now[name].observer not in ours.rows
        }
        done.conflicts += _other_observers(theirs, ours, strangers, done.place)
        for table in (schema.ENVIRONMENTS, schema.RUNS, schema.RUN_ENDS, schema.STIMULI):
            _copy(connection, target, table)
        coming = {row.id: row for row in theirs.rows.values() if row.name not in strangers}
        carded = {row.observer for row in ours.now.values()}  # their cards here stay
        _copy(connection, target, schema.OBSERVERS, lambda row: row.id in coming)
        _copy(connection, target, schema.REGISTRATIONS, lambda row: row.observer in coming.keys() - carded)
        # One whose name is a stranger's comes under its other name, if it has one.
        named = {(row.kind, row.identity): row.id for row in coming.values()}
        observers = {
            row.id: row.id if row.id in coming else named[row.kind, row.identity]
            for row in theirs.rows.values()
            if (row.kind, row.identity) in named
        }
        done.conflicts += _copy_trials(connection, target, observers, done)
        done.conflicts += _other_imports(newest_imports(connection), newest_imports(target), done.place)
        _copy(connection, target, schema.IMPORTS)
        withdraw(target)
        # Scores of imported observers are made anew: they rest on all imports.
        networks = {number: observers[number] for number in observers if theirs.rows[number].kind not in IMPORTED_KINDS}
        _copy_scores(connection, target, networks, done)
        owned = {None: None, **observers}
        _copy(connection, target, schema.OUTCOMES, lambda row: row.observer in owned, owned)
    return done


def merge_observations(target: sa.Connection, source: Database, keys: Collection[str], run: str) -> None:
    """Bring in the observations of these keys, with their observers and stimuli, as work of `run`. Imported ones count
    beside those that do already."""
    observed, keys = schema.OBSERVATIONS.c, {*keys}
    with source.reading() as connection:
        rows = list(fetched_of(connection, sa.select(observed.observer, observed.stimuli), observed.key, keys))
        owners, sets = {row.observer for row in rows}, {row.stimuli for row in rows}
        _copy(connection, target, schema.OBSERVERS, lambda row: row.id in owners)
        _copy(connection, target, schema.REGISTRATIONS, lambda row: row.observer in owners)
        _copy(connection, target, schema.STIMULI, lambda row: row.digest in sets)
        own = {owner: owner for owner in owners}
        _copy_trials(connection, target, own, Merged(place=source.location.shown), run, keys)
        counting = imported_keys(target).keys()
        ours = {name: {*texts(row.observations)} & counting for name, row in newest_imports(target).items()}
        for name, row in newest_imports(connection).items():
            if wanted := {*texts(row.observations)} & keys:
                put_import(target, run, name, wanted | ours.get(name, set()))


class _People:
    """Observers of a leaderboard. rows: every registration of every name, by id; now: the newest registration by
    name."""

    def __init__(self, connection: sa.Connection) -> None:
        cards = schema.REGISTRATIONS
        self.rows = {row.id: row for row in fetched(connection, sa.select(schema.OBSERVERS))}
        newest = fetched(connection, sa.select(cards).order_by(cards.c.created, cards.c.id))
        self.now = {self.rows[row.observer].name: row for row in newest}


def _other_observers(theirs: _People, ours: _People, strangers: Collection[str], place: str) -> Iterator[str]:
    """Names that mean another observer in the two leaderboards, or the same one with another card."""
    for name in sorted(theirs.now.keys() & ours.now.keys()):
        there, here = theirs.now[name], ours.now[name]
        if name in strangers:
            owners = theirs.rows[there.observer], ours.rows[here.observer]
            said = [f"{owner.kind} {owner.identity[:12]}" for owner in owners]
            yield (
                f"'{name}' stands for another observer in {place} ({said[0]}) than here ({said[1]}), with other "
                "weights, preprocessing or code: nothing of it came. To have both, rename one (`bench models rename`), "
                "run it into its own leaderboard, where its answers are stored already, and merge again"
            )
        elif there.observer == here.observer and there.card != here.card:
            cards = [parsed(row.card, dict) for row in (there, here)]
            fields = sorted(cards[0].keys() | cards[1].keys())
            differing = [key for key in fields if cards[0].get(key) != cards[1].get(key) and key not in _PLACES]
            if differing:
                yield (
                    f"'{name}' is the same observer in {place} with another card ({', '.join(differing)} differ): the "
                    "card that is here stays, its trials came"
                )


def _other_imports(theirs: Mapping[str, Any], ours: Mapping[str, Any], place: str) -> Iterator[str]:
    for name in sorted(theirs.keys() & ours.keys()):
        if {*texts(theirs[name].observations)} != {*texts(ours[name].observations)}:
            yield (
                f"other trials of '{name}' were imported in {place} than here: the newer import counts. "
                "`bench import trials` of all its tables decides"
            )


def _copy(
    source: sa.Connection,
    target: sa.Connection,
    table: sa.Table,
    comes: Callable[[Any], bool] = lambda _: True,
    owners: Mapping[str | None, str | None] | None = None,
) -> None:
    """Insert the new rows of a table. comes: whether one is wanted; owners: observer's id in the source -> in the
    target."""
    (key,) = table.primary_key.columns
    for page in batches(all_rows(source, table), 1 if table is schema.STIMULI else 200):
        known = {*target.scalars(sa.select(key).where(key.in_([row._mapping[key] for row in page])))}
        new = [row for row in page if row._mapping[key] not in known and comes(row)]
        moved = [_moved(table, row, {"observer": owners[row.observer]} if owners else {}) for row in new]
        insert_new(target, table, moved)


def _moved(table: sa.Table, row: Any, change: Row) -> Row:
    """Return a source's row with the target's ids. Raises StoreError if it is damaged."""
    _refuse(row_problems(table, row))
    plain = dict(row._mapping)
    return sealed(table, {**plain, **change}) if any(plain[name] != value for name, value in change.items()) else plain


def _refuse(problems: Iterable[str]) -> None:
    """Raises StoreError on the first problem: damage is not spread from one leaderboard to another."""
    for line in problems:
        raise StoreError(
            f"nothing is merged, for a leaderboard is damaged: {line}. `bench db check` says what else is wrong"
        )


def _copy_trials(
    source: sa.Connection,
    target: sa.Connection,
    observers: Mapping[str, str],
    done: Merged,
    run: str | None = None,
    keys: Collection[str] | None = None,
) -> list[str]:
    """Import observations, chunks, and their settlements, some at a time; return a line on each observer and suite
    whose answers differ from the target's. Such observations are skipped, because an observation's chunks are all of
    one kind. observers: their id -> the target's id; run: the run that they become part of (None: their own runs');
    keys: those that are wanted (None: all)."""
    table, differing = schema.OBSERVATIONS, dict[tuple[str, str], list[str]]()
    wanted = (row for row in all_rows(source, table) if row.observer in observers and (keys is None or row.key in keys))

    def insert(into: sa.Table, rows: Iterable[Any]) -> None:
        moved = []
        for row in rows:
            owner = {"observer": observers[row.observer]} if into is table else {}
            moved.append(_moved(into, row, {"run": run or row.run, **owner}))
        insert_new(target, into, moved)

    for some in batches(wanted, TOGETHER):
        rows = {row.key: row for row in some}
        known = dict(fetched_of(target, sa.select(table.c.key, table.c.details), table.c.key, rows))
        insert(table, (row for key, row in rows.items() if key not in known))
        done.observations += len(rows.keys() - known.keys())
        theirs, ours = _chunks(source, rows), _chunks(target, rows)
        for key, row in list(rows.items()):
            both = [(chunk, ours[key][place]) for place, chunk in theirs[key].items() if place in ours[key]]
            differ, compared = sum(_differing(*pair) for pair in both), sum(here.n for _, here in both)
            if key in known and _other_canary(row.details, known[key]):
                differ = compared = row.n
            if differ:
                block = f"{row.role} {row.condition}".strip() + f" {differ} of {compared}"
                differing.setdefault((row.observer, row.suite), []).append(block)
                del rows[key]
        chunks = [row for key in rows for place, row in theirs[key].items() if place not in ours[key]]
        insert(schema.CHUNKS, chunks)
        settled = schema.SETTLED
        insert(settled, fetched_of(source, sa.select(settled), settled.c.observation, rows))
        fresh = sum(row.n for row in chunks)
        done.trials += fresh
        done.known += sum(row.n for stored in theirs.values() for row in stored.values()) - fresh
    names = dict(fetched(source, sa.select(schema.OBSERVERS.c.id, schema.OBSERVERS.c.name)))
    return [
        f"'{names[observer]}' under {suite}: {done.place} answers the same trials otherwise "
        f"({some_of(blocks, _SHOWN)}): those that are here stay. "
        "Either a machine computes otherwise, or the network does not answer twice alike"
        for (observer, suite), blocks in differing.items()
    ]


def _chunks(connection: sa.Connection, keys: Iterable[str]) -> dict[str, dict[int, Any]]:
    table = schema.CHUNKS
    chunks: dict[str, dict[int, Any]] = {key: {} for key in keys}
    for row in fetched_of(connection, sa.select(table), table.c.observation, chunks):
        chunks[row.observation][row.position] = row
    return chunks


def _other_canary(theirs: str, ours: str) -> bool:
    """Whether the network gave other canary answers there than here: then even other chunks of a block do not mix."""
    from registry.determinism_checks import canaries_differ  # torch, which reading a leaderboard does without

    there, here = (str(parsed(text, dict).get("canary", "")) for text in (theirs, ours))
    return bool(there and here and there != here) and canaries_differ(there, here)


def _differing(there: Any, here: Any) -> int:
    """Return the trials of a chunk that are answered otherwise, beyond what computing in another order moves."""
    if there.checksum == here.checksum and bytes(there.payload) == bytes(here.payload):
        return 0
    _refuse(row_problems(schema.CHUNKS, there))
    theirs, ours = (decode(bytes(row.payload), row.n, "a chunk") for row in (there, here))
    both = theirs.keys() & ours.keys()  # a version of the suite may keep more than one before it
    shapes = [{name: columns[name].shape for name in both} for columns in (theirs, ours)]
    if not both or shapes[0] != shapes[1] or (there.start, there.n) != (here.start, here.n):
        return int(here.n)
    other = np.zeros(here.n, dtype=bool)
    for name in both:
        values = ours[name]
        numbers = values.dtype.kind == theirs[name].dtype.kind == "f"
        same = np.isclose(theirs[name], values, equal_nan=True, **_NOISE) if numbers else theirs[name] == values
        other |= ~same.reshape(len(values), -1).all(axis=1)
    return int(other.sum())


def _copy_scores(source: sa.Connection, target: sa.Connection, observers: Mapping[str, str], done: Merged) -> None:
    """Import the score sets of these observers, if the target has no scores of the same and holds exactly their
    trials."""
    table = schema.SCORE_SETS
    parts = ("observer", "suite", "version", "space", "stimuli", "observations")
    known = {*map(tuple, fetched(target, sa.select(*(table.c[name] for name in parts))))}
    for row in all_rows(source, table):
        if row.observer not in observers:
            continue
        owner = {"observer": observers[row.observer]}
        if tuple({**row._mapping, **owner}[name] for name in parts) in known:
            continue
        moved = _moved(table, row, owner)
        scores = stored_scores(source, row.id)
        if scores_digest(scores) != row.scores:
            _refuse([f"score set {row.id}: its scores are not those that were stored"])
        if row.trials and trials_digest(target, texts(row.observations)) != row.trials:
            if trials_digest(source, texts(row.observations)) != row.trials:
                lost = f"score set {row.id} ({row.suite}) of {done.place} is left out"
                done.conflicts.append(f"{lost}: trials that it was made of are altered or gone there")
            continue
        insert_new(target, table, [moved])
        insert_new(target, schema.SCORES, [{**score, "score_set": moved["id"]} for score in scores])
        done.scores += 1
