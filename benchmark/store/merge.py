"""One leaderboard brought into another. Keys are digests, so what both have is one row: new rows are inserted, known
ones ignored, and what contradicts something that is here is named and left out.

Every step may be made again, so a merge that was cut short is simply repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import Array
from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.check import all_rows, row_problems
from benchmark.store.codec import decode
from benchmark.store.connection import Database
from benchmark.store.place import same_place
from benchmark.store.queries import imported_keys, scores_digest, stored_scores, trials_digest
from benchmark.store.rows import IMPORTED_KINDS
from benchmark.store.sql import batches, fetched, insert_new, parsed, sealed, texts
from benchmark.store.write import put_import, withdraw
from registry.errors import some_of

LOAD = 50_000  # trials per transaction
#: What computing in another order moves: batch size, threads, another processor. Decisions do not move by it.
_NOISE = {"rtol": 1e-3, "atol": 1e-5}
#: Fields of a card that say where files lie; what is in them is part of the identity.
_PLACES = ("weights", "labels")
_SHOWN = 6  # conditions in a line

Change = Callable[[Any], Mapping[str, Any] | None]


@dataclass
class Merged:
    """What one leaderboard brought: new observations and trials, trials that were here already (`known`), score sets
    that came as they were. conflicts: what was left out, a line each.
    """

    place: str
    observations: int = 0
    trials: int = 0
    known: int = 0
    scores: int = 0
    conflicts: list[str] = field(default_factory=list)


@dataclass
class _Names:
    """Observers of a leaderboard: all rows by id; by name what it stands for now (its newest registration), and the
    ids of all that it ever stood for."""

    rows: dict[str, Any] = field(default_factory=dict)
    now: dict[str, Any] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Difference:
    """Another answer to what is stored already: the observation's row, and how many of how many trials differ."""

    observation: Any
    differing: int
    compared: int


def merge(source: Database, target: Database) -> Merged:
    """Bring all rows of `source` into `target`; `source` is read only. Raises StoreError."""
    done = Merged(source.place.shown)
    if same_place(source.place, target.place):
        raise StoreError(f"{done.place} cannot be merged into itself")
    with source.reading() as connection:
        theirs, ours = _read_names(connection), target.read(_read_names)
        strangers = _strangers(theirs, ours)
        observers = _taken(theirs, strangers)
        done.conflicts += _stranger_lines(strangers, theirs, ours, done.place)
        done.conflicts += _card_lines(theirs, ours, done.place)
        for table in (schema.ENVIRONMENTS, schema.RUNS, schema.RUN_ENDS, schema.STIMULI):
            _copy(connection, target, table)
        _copy(connection, target, schema.OBSERVERS, lambda row: row if row.name not in strangers else None)
        _copy(connection, target, schema.REGISTRATIONS, _new_card(theirs, ours, strangers))
        merging = _Merging(connection, target, observers, done)
        done.conflicts += _difference_lines(list(merging.blocks()), theirs, done.place)
        done.conflicts += _import_lines(connection, target, done.place)
        _copy(connection, target, schema.IMPORTS)
        target.change(withdraw)
        _merge_scores(connection, target, theirs, observers, done)
        _copy(connection, target, schema.OUTCOMES, _owned(schema.OUTCOMES, observers))
    return done


def merge_observations(source: Database, target: Database, keys: Collection[str], run: str) -> None:
    """Bring in the observations of these keys, with their observers and stimuli, as work of `run`. Imported ones count
    beside those that do already."""
    observed = schema.OBSERVATIONS.c
    with source.reading() as connection:
        query = sa.select(observed.observer, observed.stimuli)
        rows = [
            row for some in batches(sorted(keys)) for row in fetched(connection, query.where(observed.key.in_(some)))
        ]
        owners, sets = {row.observer for row in rows}, {row.stimuli for row in rows}
        _copy(connection, target, schema.OBSERVERS, lambda row: row if row.id in owners else None)
        _copy(connection, target, schema.REGISTRATIONS, lambda row: row if row.observer in owners else None)
        _copy(connection, target, schema.STIMULI, lambda row: row if row.digest in sets else None)
        own = {owner: owner for owner in owners}
        merging = _Merging(connection, target, own, Merged(source.place.shown), run, {*keys})
        list(merging.blocks())
        theirs = _newest_imports(connection)
        with target.writing() as here:
            counting = imported_keys(here).keys()
            ours = {name: {*one} & counting for name, one in _newest_imports(here).items()}
            for name, imported in theirs.items():
                if wanted := {*imported} & {*keys}:
                    put_import(here, run, name, wanted | ours.get(name, set()))


# Observers: who is who.


def _read_names(connection: sa.Connection) -> _Names:
    names, cards = _Names(), schema.REGISTRATIONS
    for row in fetched(connection, sa.select(schema.OBSERVERS)):
        names.rows[row.id] = row
        names.ever.setdefault(row.name, set()).add(row.id)
    query = sa.select(cards).order_by(cards.c.created, cards.c.id)
    for row in fetched(connection, query):
        names.now[names.rows[row.observer].name] = row
    return names


def _strangers(theirs: _Names, ours: _Names) -> set[str]:
    """Names that stand for one observer there and for another here, neither of which the other side has ever known."""
    return {
        name
        for name, there in theirs.now.items()
        if (here := ours.now.get(name)) is not None
        and here.observer not in theirs.ever[name]
        and there.observer not in ours.ever[name]
    }


def _taken(theirs: _Names, strangers: Collection[str]) -> dict[str, str]:
    """Their observer's id -> its id here. One whose name is a stranger's comes under its other name, if it has one."""
    named = {(row.kind, row.identity): row.id for row in theirs.rows.values() if row.name not in strangers}
    taken = {}
    for number, row in theirs.rows.items():
        here = number if row.name not in strangers else named.get((row.kind, row.identity))
        if here is not None:
            taken[number] = here
    return taken


def _new_card(theirs: _Names, ours: _Names, strangers: Collection[str]) -> Change:
    """Their registrations, but for other cards of what a name stands for here."""

    def change(row: Any) -> Any:
        name = theirs.rows[row.observer].name
        here = ours.now.get(name)
        known = here is not None and here.observer == row.observer
        return None if known or name in strangers else row

    return change


def _owned(table: sa.Table, observers: Mapping[str, str]) -> Change:
    """Rows of observers that come, under the ids that those have here."""

    def change(row: Any) -> Any:
        if row.observer is None or observers.get(row.observer) == row.observer:
            return row
        here = observers.get(row.observer)
        return here and sealed(table, {**row._mapping, "observer": here})

    return change


def _copy(source: sa.Connection, target: Database, table: sa.Table, change: Change = lambda row: row) -> None:
    """Insert the rows of a table that are not here yet, as `change` gives them (None: it is left out)."""
    (key,) = table.primary_key.columns
    for page in batches(all_rows(source, table), 1 if table is schema.STIMULI else 200):
        with target.writing() as connection:
            query = sa.select(key).where(key.in_([row._mapping[key] for row in page]))
            known = {*connection.scalars(query)}
            new = [row for row in page if row._mapping[key] not in known]
            changed = [(row, change(row)) for row in new]
            for row, made in changed:
                if made is not None:
                    _refuse(row_problems(table, row))
            rows = [getattr(made, "_mapping", made) for _, made in changed if made is not None]
            insert_new(connection, table, [dict(row) for row in rows])


def _refuse(problems: Iterable[str]) -> None:
    """Raises StoreError on the first problem: damage is not spread from one leaderboard to another."""
    for line in problems:
        raise StoreError(
            f"nothing is merged from a damaged leaderboard: {line}. `bench db check --db FILE` says what else is wrong"
        )


# Observations and their chunks.


@dataclass(frozen=True)
class _Merging:
    """Where observations go. run: whose work they become (None: their own runs'); keys: those wanted (None: all)."""

    source: sa.Connection
    target: Database
    observers: Mapping[str, str]
    done: Merged
    run: str | None = None
    keys: Collection[str] | None = None

    def blocks(self) -> Iterator[_Difference]:
        """Bring in observations, chunks, and what settled them; yields those whose answers differ from what is here.
        Of these nothing comes in: an observation's chunks are all of one kind.
        """
        for load in self._loads():
            with self.target.writing() as connection:
                yield from self._load(connection, {row.key: row for row in load})

    def _loads(self) -> Iterator[list[Any]]:
        """Their observations of observers that come, some trials at a time."""
        load: list[Any] = []
        for row in all_rows(self.source, schema.OBSERVATIONS):
            if row.observer in self.observers and (self.keys is None or row.key in self.keys):
                _refuse(row_problems(schema.OBSERVATIONS, row))
                load.append(row)
            if sum(one.n for one in load) >= LOAD or len(load) >= 1000:
                yield load
                load = []
        if load:
            yield load

    def _load(self, connection: sa.Connection, rows: dict[str, Any]) -> Iterator[_Difference]:
        table = schema.OBSERVATIONS
        query = sa.select(table.c.key, table.c.details)
        known = {
            key: details
            for some in batches(rows)
            for key, details in connection.execute(query.where(table.c.key.in_(some)))
        }
        new = [self._moved(table, row) for key, row in rows.items() if key not in known]
        insert_new(connection, table, new)
        theirs, ours = _chunks(self.source, list(rows)), _chunks(connection, list(rows))
        for key, row in list(rows.items()):
            differing, compared = _compared(theirs.get(key, {}), ours.get(key, {}))
            if key in known and _other_canary(row.details, known[key]):
                differing = compared = row.n
            if differing:
                yield _Difference(row, differing, compared)
                del rows[key]
        chunks = [row for key in rows for place, row in theirs.get(key, {}).items() if place not in ours.get(key, {})]
        for chunk in chunks:
            _refuse(row_problems(schema.CHUNKS, chunk))
        insert_new(connection, schema.CHUNKS, [self._moved(schema.CHUNKS, row) for row in chunks])
        ended = schema.SETTLED
        for some in batches(rows):
            settled = fetched(self.source, sa.select(ended).where(ended.c.observation.in_(some)))
            insert_new(connection, ended, [self._moved(ended, row) for row in settled])
        fresh = sum(row.n for row in chunks)
        self.done.observations += len(new)
        self.done.trials += fresh
        self.done.known += sum(r.n for chunks in theirs.values() for r in chunks.values()) - fresh

    def _moved(self, table: sa.Table, row: Any) -> dict[str, Any]:
        """The row with the observer and the run that it has here."""
        made = {**row._mapping, "run": self.run or row.run}
        if "observer" in made:
            made["observer"] = self.observers[row.observer]
        return sealed(table, made)


def _other_canary(theirs: str, ours: str) -> bool:
    """Whether the network gave other canary answers there than here: then even other chunks of a block do not mix."""
    from registry.determinism_checks import canaries_differ  # torch, which reading a leaderboard does without

    there, here = (str(parsed(text, dict).get("canary", "")) for text in (theirs, ours))
    return bool(there and here and there != here) and canaries_differ(there, here)


def _chunks(connection: sa.Connection, keys: Sequence[str]) -> dict[str, dict[int, Any]]:
    """observation -> position -> row."""
    table = schema.CHUNKS
    found: dict[str, dict[int, Any]] = {}
    for some in batches(keys):
        for row in fetched(connection, sa.select(table).where(table.c.observation.in_(some))):
            found.setdefault(row.observation, {})[row.position] = row
    return found


def _compared(theirs: Mapping[int, Any], ours: Mapping[int, Any]) -> tuple[int, int]:
    """How many trials differ, of how many that both have."""
    differing = compared = 0
    for place in theirs.keys() & ours.keys():
        there, here = theirs[place], ours[place]
        compared += here.n
        if there.checksum != here.checksum or bytes(there.payload) != bytes(here.payload):
            _refuse(row_problems(schema.CHUNKS, there))
            differing += _differing(there, here)
    return differing, compared


def _differing(there: Any, here: Any) -> int:
    """Trials of a chunk that are answered otherwise, beyond what computing in another order moves."""
    theirs, ours = (decode(bytes(one.payload), one.n, "a chunk") for one in (there, here))
    if theirs.keys() != ours.keys() or (there.start, there.n) != (here.start, here.n):
        return int(here.n)
    other = np.zeros(here.n, dtype=bool)
    for name, values in ours.items():
        if theirs[name].shape != values.shape:
            return int(here.n)
        other |= _unequal(theirs[name], values)
    return int(other.sum())


def _unequal(theirs: Array, ours: Array) -> Array:
    """[n] bool: values of a column that differ, along the first axis."""
    if ours.dtype.kind == "f" and theirs.dtype.kind == "f":
        found = ~np.isclose(theirs, ours, equal_nan=True, **_NOISE)
    else:
        found = theirs != ours
    return np.asarray(found.reshape(len(ours), -1).any(axis=1))


# What was made of trials.


def _newest_imports(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    """Source -> the observations that its newest import brought."""
    table = schema.IMPORTS
    rows = fetched(connection, sa.select(table).order_by(table.c.created, table.c.id))
    return {row.source: texts(row.observations) for row in rows}


def _merge_scores(
    source: sa.Connection, target: Database, theirs: _Names, observers: Mapping[str, str], done: Merged
) -> None:
    """Their score sets of observers that were run, where nothing is scored here of the same, and the trials that they
    were made of are those that are here. Scores of imported observers are made anew: they rest on all imports.
    """
    table, own = schema.SCORE_SETS, _owned(schema.SCORE_SETS, observers)
    parts = ("observer", "suite", "version", "space", "stimuli", "observations")
    with target.reading() as connection:
        known = {*map(tuple, fetched(connection, sa.select(*(table.c[name] for name in parts))))}
    for row in all_rows(source, table):
        made = own(row)
        if theirs.rows[row.observer].kind in IMPORTED_KINDS or made is None:
            continue
        made = dict(getattr(made, "_mapping", made))
        if tuple(made[name] for name in parts) in known:
            continue
        _refuse(row_problems(table, row))
        scores = stored_scores(source, row.id)
        if scores_digest(scores) != row.scores:
            _refuse([f"score set {row.id}: its scores are not those that were stored"])
        with target.writing() as connection:
            if row.trials and trials_digest(connection, texts(row.observations)) != row.trials:
                continue
            insert_new(connection, table, [made])
            rows = [{**score, "score_set": made["id"]} for score in scores]
            insert_new(connection, schema.SCORES, rows)
        done.scores += 1


# Conflicts, in words.


def _stranger_lines(strangers: Collection[str], theirs: _Names, ours: _Names, place: str) -> Iterator[str]:
    for name in sorted(strangers):
        rows = (side.rows[side.now[name].observer] for side in (theirs, ours))
        there, here = (f"{row.kind} {row.identity[:12]}" for row in rows)
        yield (
            f"'{name}' stands for another observer in {place} ({there}) than here ({here}), with other weights, "
            "preprocessing or code: nothing of it came. To have both, rename one (`bench models rename`), run it into "
            "its own leaderboard, where its answers are stored already, and merge again"
        )


def _card_lines(theirs: _Names, ours: _Names, place: str) -> Iterator[str]:
    for name, there in sorted(theirs.now.items()):
        here = ours.now.get(name)
        if here is None or here.observer != there.observer or here.card == there.card:
            continue
        mine, other = (parsed(row.card, dict) for row in (here, there))
        fields = [key for key in sorted(mine.keys() | other.keys()) if mine.get(key) != other.get(key)]
        if shown := [key for key in fields if key not in _PLACES]:
            yield (
                f"'{name}' is the same observer in {place} with another card ({', '.join(shown)} differ): the card "
                "that is here stays, its trials came"
            )


def _difference_lines(found: list[_Difference], theirs: _Names, place: str) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for one in found:
        row = one.observation
        block = f"{row.role} {row.condition}".strip() + f" {one.differing} of {one.compared}"
        groups.setdefault((theirs.rows[row.observer].name, row.suite), []).append(block)
    for (name, suite), blocks in groups.items():
        yield (
            f"'{name}' under {suite}: {place} answers the same trials otherwise ({some_of(blocks, _SHOWN)}): "
            "those that are here stay. Either a machine computes otherwise, or the network does not answer twice alike"
        )


def _import_lines(source: sa.Connection, target: Database, place: str) -> Iterator[str]:
    theirs, ours = _newest_imports(source), target.read(_newest_imports)
    for name in sorted(theirs.keys() & ours.keys()):
        if set(theirs[name]) != set(ours[name]):
            yield (
                f"other trials of '{name}' were imported in {place} than here: the newer import counts. "
                "`bench import trials` of all its tables decides"
            )
