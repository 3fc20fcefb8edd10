"""Where trials come from: runs, observers, stimulus sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from benchmark.store import schema
from benchmark.store.codec import is_digest, refuse_damage, unread
from benchmark.store.database import Database
from benchmark.store.json_columns import parsed
from benchmark.store.questions import batches
from benchmark.store.sql import fetched, insert_new, insert_one

Who = tuple[str, str]  # kind, identity
_OBSERVER = ("id", "name", "kind", "identity", "created")
_CARD = ("training", "card", "created")
#: Fields of a card that say where files lie; what is in them is part of the identity.
PLACES = ("weights", "labels")


@dataclass(frozen=True)
class Registered:
    """What a name stands for: kind and identity, and the row that says so, with the number of its observer."""

    who: Who
    observer: int
    row: Mapping[str, str]


@dataclass
class Names:
    """Observers of a leaderboard. ids: (name, kind, identity) -> number, in the order of storing."""

    ids: dict[tuple[str, str, str], int] = field(default_factory=dict)
    created: dict[int, str] = field(default_factory=dict)
    now: dict[str, Registered] = field(default_factory=dict)
    ever: dict[str, set[Who]] = field(default_factory=dict)

    def of(self, observers: Collection[int]) -> Names:
        """These observers alone."""
        ids = {who: number for who, number in self.ids.items() if number in observers}
        now = {name: there for name, there in self.now.items() if there.observer in observers}
        return Names(ids, self.created, now, self.ever)


def read_names(connection: sa.Connection) -> Names:
    """All observers, and what each name stands for now."""
    names, table, cards = Names(), schema.OBSERVERS, schema.REGISTRATIONS
    query = sa.select(*(table.c[name] for name in _OBSERVER)).order_by(table.c.id)
    known: dict[int, tuple[str, Who]] = {}
    for number, name, kind, identity, created in fetched(connection, query):
        names.ids[name, kind, identity] = number
        names.created[number] = created
        names.ever.setdefault(name, set()).add((kind, identity))
        known[number] = (name, (kind, identity))
    query = sa.select(cards.c.observer, *(cards.c[name] for name in _CARD)).order_by(cards.c.id)
    for row in fetched(connection, query):
        name, who = known[row.observer]
        names.now[name] = Registered(who, row.observer, dict(zip(_CARD, row[1:], strict=True)))
    return names


def strangers(theirs: Names, ours: Names) -> dict[str, tuple[Who, Who]]:
    """Names that stand for one observer there and for another here, neither of which the other side has ever known:
    name -> (theirs, ours).
    """
    found = {}
    for name, there in theirs.now.items():
        here = ours.now.get(name)
        if here is None or here.who == there.who:
            continue
        if here.who not in theirs.ever[name] and there.who not in ours.ever[name]:
            found[name] = (there.who, here.who)
    return found


def other_cards(theirs: Names, ours: Names) -> dict[str, list[str]]:
    """Names that stand for one observer in both, with other cards: name -> the fields that differ."""
    found = {}
    for name, there in theirs.now.items():
        here = ours.now.get(name)
        if here is None or here.who != there.who or here.row["card"] == there.row["card"]:
            continue
        mine, other = (parsed(one.row["card"], dict) for one in (here, there))
        fields = sorted(
            key for key in mine.keys() | other.keys() if mine.get(key) != other.get(key)
        )
        if told := [field for field in fields if field not in PLACES]:
            found[name] = told
    return found


def merge_observers(
    theirs: Names, ours: Names, target: Database, conflicts: Mapping[str, object]
) -> dict[int, int]:
    """Their number -> ours, without those in conflict. A name stands for what it was registered as last.

    An observer in conflict that has another name, too, comes under that.
    """
    others: dict[Who, int] = {}
    numbers: dict[int, int] = {}
    with target.writing() as connection:
        for (name, kind, identity), number in theirs.ids.items():
            if name in conflicts:
                continue
            fields = {"name": name, "kind": kind, "identity": identity}
            row = {**fields, "created": theirs.created[number]}
            insert_new(connection, schema.OBSERVERS, [row])
            table = schema.OBSERVERS
            query = sa.select(table.c.id).where(*(table.c[k] == v for k, v in fields.items()))
            numbers[number] = int(connection.execute(query).scalar_one())
            others[kind, identity] = numbers[number]
        for name, there in theirs.now.items():
            here = ours.now.get(name)
            newer = here is None or (
                here.who != there.who and here.row["created"] < there.row["created"]
            )
            if name not in conflicts and newer:
                kept = {"observer": numbers[there.observer], **there.row}
                insert_one(connection, schema.REGISTRATIONS, kept)
    for (name, kind, identity), number in theirs.ids.items():
        if name in conflicts and (kind, identity) in others:
            numbers[number] = others[kind, identity]
    return numbers


def merge_runs(source: sa.Connection, target: Database) -> dict[int, int]:
    """Their run -> ours, each with its command, environment and end. A run that is here already stays one."""
    runs, environments, ends = schema.RUNS, schema.ENVIRONMENTS, schema.RUN_ENDS
    own = [environments.c[name] for name in ("digest", "content", "created")]
    query = (
        sa.select(runs.c.id, runs.c.command, runs.c.started, *own)
        .join(environments, environments.c.id == runs.c.environment)
        .order_by(runs.c.id)
    )
    theirs = fetched(source, query)
    ended = {row.run: row for row in fetched(source, sa.select(ends))}
    numbers: dict[int, int] = {}
    with target.writing() as connection:
        known = {
            (row.command, row.started, row.digest): row.id for row in fetched(connection, query)
        }
        for row in theirs:
            kept = {"digest": row.digest, "content": row.content, "created": row.created}
            key = (row.command, row.started, row.digest)
            if key not in known:
                if not is_digest(row.digest, row.content):
                    damage = f"environment of run {row.id}: its content is not what its digest says"
                    refuse_damage(iter([damage]))
                insert_new(connection, schema.ENVIRONMENTS, [kept])
                at = sa.select(environments.c.id).where(environments.c.digest == row.digest)
                run = {"command": row.command, "started": row.started}
                run["environment"] = connection.scalar(at)
                known[key] = insert_one(connection, runs, run)
            numbers[row.id] = known[key]
            if row.id in ended:
                end = {**ended[row.id]._mapping, "run": known[key]}
                insert_new(connection, ends, [end])
    return numbers


def merge_stimuli(
    source: sa.Connection, target: Database, wanted: Collection[str] | None = None
) -> None:
    """Stimulus sets (all, or those of `wanted`) that are not here yet, one at a time: each names all of its images."""
    table = schema.STIMULI
    every = source.scalars(sa.select(table.c.digest).order_by(table.c.digest))
    digests = [digest for digest in every if wanted is None or digest in wanted]
    with target.reading() as connection:
        known = {
            digest
            for some in batches(digests)
            for digest in connection.scalars(
                sa.select(table.c.digest).where(table.c.digest.in_(some))
            )
        }
    for digest in digests:
        if digest not in known:
            (row,) = fetched(source, sa.select(table).where(table.c.digest == digest))
            refuse_damage(unread(row.columns, row.n, f"stimulus set '{row.name}' ({digest})"))
            with target.writing() as connection:
                insert_new(connection, table, [dict(row._mapping)])
