"""All steps of bringing one leaderboard into another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.database import Database
from benchmark.store.merging.blocks import Counted, Difference, Numbers, merge_blocks
from benchmark.store.merging.origins import (
    Who,
    merge_observers,
    merge_runs,
    merge_stimuli,
    other_cards,
    read_names,
    strangers,
)
from benchmark.store.merging.results import merge_assertions, merge_outcomes, merge_scores
from benchmark.store.place import same_place
from benchmark.store.questions import batches
from benchmark.store.sql import fetched
from registry.errors import some_of

_SHOWN = 6  # conditions in a line


@dataclass
class Merged:
    """What one leaderboard brought. scores: score sets that came as they were; conflicts: what was left out, a line
    each.
    """

    place: str
    counted: Counted = field(default_factory=Counted)
    scores: int = 0
    conflicts: list[str] = field(default_factory=list)


def merge(source: Database, target: Database) -> Merged:
    """Bring all rows of `source` into `target`; `source` is read only. Raises StoreError."""
    done = Merged(source.place.shown)
    if same_place(source.place, target.place):
        raise StoreError(f"{done.place} cannot be merged into itself")
    with source.reading() as connection:
        theirs = read_names(connection)
        with target.reading() as ours_now:
            ours = read_names(ours_now)
        foreign = strangers(theirs, ours)
        observers = merge_observers(theirs, ours, target, foreign)
        numbers = Numbers(observers, merge_runs(connection, target))
        merge_stimuli(connection, target)
        differing = list(merge_blocks(connection, target, numbers, done.counted))
        names = {number: name for (name, _, _), number in theirs.ids.items()}
        done.conflicts += [_stranger(name, whose, done.place) for name, whose in foreign.items()]
        done.conflicts += [
            _other_card(name, fields, done.place)
            for name, fields in other_cards(theirs, ours).items()
        ]
        done.conflicts += _differences(differing, names, done.place)
        doubted = merge_assertions(connection, target, numbers)
        done.conflicts += _doubts(target, doubted, done.place)
        done.scores = merge_scores(connection, target, numbers)
        merge_outcomes(connection, target, numbers)
    return done


def merge_some(source: Database, target: Database, keys: Collection[str], run: int) -> None:
    """Bring in the observations of these keys, with their observers, their stimuli and what imported ones count, as
    work of `run`."""
    observed = schema.OBSERVATIONS.c
    with source.reading() as connection:
        asked = sa.select(observed.observer, observed.stimuli)
        rows = [
            row
            for some in batches(sorted(keys))
            for row in fetched(connection, asked.where(observed.key.in_(some)))
        ]
        with target.reading() as ours_now:
            ours = read_names(ours_now)
        theirs = read_names(connection).of({row.observer for row in rows})
        observers = merge_observers(theirs, ours, target, {})
        numbers = Numbers(observers, defaultdict(lambda: run), frozenset(keys))
        merge_stimuli(connection, target, {row.stimuli for row in rows})
        list(merge_blocks(connection, target, numbers, Counted()))
        merge_assertions(connection, target, numbers)


def _stranger(name: str, whose: tuple[Who, Who], place: str) -> str:
    theirs, ours = (f"{kind} {identity[:12]}" for kind, identity in whose)
    return (
        f"'{name}' stands for another observer in {place} ({theirs}) than here ({ours}), with other weights, "
        "preprocessing or code: nothing of it came. To have both, rename one (`bench models rename`), run it into "
        "its own leaderboard, where its answers are stored already, and merge again"
    )


def _other_card(name: str, fields: list[str], place: str) -> str:
    return (
        f"'{name}' is the same observer in {place} with another card ({', '.join(fields)} differ): the card that is "
        "here stays, its trials came"
    )


def _differences(found: list[Difference], names: Mapping[int, str], place: str) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Difference]] = {}
    for one in found:
        row = one.observation
        groups.setdefault((names[row["observer"]], row["suite"]), []).append(one)
    for (name, suite), some in groups.items():
        blocks = [
            f"{one.observation['role']} {one.observation['condition']}".strip()
            + f" {one.differing} of {one.compared}"
            for one in some
        ]
        yield (
            f"'{name}' under {suite}: {place} answers the same trials otherwise ({some_of(blocks, _SHOWN)}): "
            "those that are here stay. Either a machine computes otherwise, or the network does not answer twice alike"
        )


def _doubts(target: Database, subjects: list[tuple[int, str, str]], place: str) -> Iterator[str]:
    if not subjects:
        return
    table = schema.OBSERVERS
    with target.reading() as connection:
        query = sa.select(table.c.id, table.c.name)
        names = {row.id: row.name for row in fetched(connection, query)}
    for observer, experiment, _prompt in subjects:
        yield (
            f"'{names[observer]}', {experiment}: other imported answers count in {place} than here: those here stay. "
            " `bench import trials` of the newer tables makes them count"
        )
