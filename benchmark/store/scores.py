"""Reading scores: the newest of everything."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

from benchmark.store import schema
from benchmark.store.read import current
from benchmark.store.rows import ScoreRow, ScoreSet, StimuliNote
from benchmark.store.score_rules import check
from benchmark.store.sql import batches, dump, fetched, named_texts, parsed, texts

#: Columns of `scores` that are fields of a ScoreRow.
_OWN = (
    *("metric", "condition", "role", "value", "reason", "low", "high"),
    *("level", "method", "n", "excluded", "flags"),
)
_KEY_ROOM = 200  # characters: more than one key (64) in its quotes


@dataclass(frozen=True)
class Wanted:
    """Which scores: None means all."""

    suite: str | None = None
    metrics: Collection[str] | None = None
    observers: Collection[str] | None = None
    space: str | None = None
    conditions: Collection[str] | None = None


def latest_scores(connection: sa.Connection, wanted: Wanted) -> list[ScoreRow]:
    """Of each (observer name, suite, space, stimuli): the newest set of the newest version."""
    newest: dict[tuple[str, str, str, str], Any] = {}
    keys: dict[tuple[str, str, str, str], list[str]] = {}
    names = None if wanted.observers is None else set(wanted.observers)
    for row in fetched(connection, _current_sets(wanted)):
        if names is not None and row.name not in names:
            continue
        group = (row.name, row.suite, row.space, row.stimuli)
        keys.setdefault(group, []).append(_first_key(row))
        best = newest.get(group)
        if best is None or (row.version, row.id) > (best.version, best.id):
            newest[group] = row
    found = sorted(newest.values(), key=lambda row: (row.name, row.id))
    replaced = {newest[group].id: earlier for group, earlier in keys.items() if len(earlier) > 1}
    return _rows(connection, found, wanted, replaced)


def _current_sets(wanted: Wanted) -> sa.Select[Any]:
    """The score sets of current observers."""
    table, names = schema.SCORE_SETS, current()
    columns = _set_columns(names, names.c.training)
    query = sa.select(*columns).join(names, names.c.observer == table.c.observer).where(_counts())
    if wanted.suite is not None:
        query = query.where(table.c.suite == wanted.suite)
    return query if wanted.space is None else query.where(table.c.space == wanted.space)


def _counts() -> sa.ColumnElement[bool]:
    """Whether a score set was not withdrawn."""
    return ~sa.exists().where(schema.WITHDRAWN.c.score_set == schema.SCORE_SETS.c.id)


def _set_columns(names: Any, training: Any) -> list[Any]:
    table = schema.SCORE_SETS
    own = [table.c[name] for name in ("id", "suite", "version", "space", "created", "stimuli")]
    start = sa.func.substr(table.c.observations, 1, _KEY_ROOM, type_=sa.Text).label("first_key")
    return [*own, names.c.name, names.c.kind, training, start]


def has_scores(connection: sa.Connection, made: ScoreSet) -> bool:
    """Whether the newest set of this observer, suite, space and stimuli was made like this."""
    table = schema.SCORE_SETS
    query = (
        sa.select(table.c.code, table.c.observations, table.c.version)
        .where(table.c.observer == made.observer, table.c.suite == made.suite)
        .where(table.c.space == made.space, table.c.stimuli == dump(made.stimuli), _counts())
        .order_by(table.c.version.desc(), table.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return row is not None and tuple(row) == (made.code, dump(list(made.keys)), made.version)


def score_sets(connection: sa.Connection, suite: str) -> list[ScoreSet]:
    """What `latest_scores` shows of a suite, as the sets that were scored."""
    table, names = schema.SCORE_SETS, current()
    columns = ("observer", "suite", "version", "space", "code", "stimuli", "observations")
    query = (
        sa.select(*(table.c[name] for name in columns))
        .join(names, names.c.observer == table.c.observer)
        .where(table.c.suite == suite, _counts())
        .order_by(table.c.version, table.c.id)
    )
    newest: dict[tuple[int, str, str], ScoreSet] = {}
    for row in fetched(connection, query):
        stimuli, keys = _mapping(row.stimuli), texts(row.observations)
        made = ScoreSet(row.observer, row.suite, row.version, row.space, row.code, stimuli, keys)
        newest[row.observer, row.space, row.stimuli] = made
    return list(newest.values())


def role_sets(connection: sa.Connection, suite: str) -> dict[str, Mapping[str, str]]:
    """Digest of a collection -> role -> digest, for all that was scored under a suite."""
    column = schema.SCORE_SETS.c
    query = sa.select(column.stimuli).where(column.suite == suite).distinct()
    return {collection_digest(text): _mapping(text) for (text,) in fetched(connection, query)}


def suites(connection: sa.Connection) -> list[str]:
    """Names of the suites that have scores."""
    table = schema.SCORE_SETS
    return sorted(name for (name,) in fetched(connection, sa.select(table.c.suite).distinct()))


def _rows(
    connection: sa.Connection,
    sets: Sequence[Any],
    wanted: Wanted,
    replaced: Mapping[int, Sequence[str]],
) -> list[ScoreRow]:
    """The scores of some sets, in the sets' order. replaced: set -> first observations of all that it was made by."""
    table = schema.SCORES
    query = sa.select(*(table.c[name] for name in (*_OWN, "score_set")))
    for column, values in (("metric", wanted.metrics), ("condition", wanted.conditions)):
        if values is not None:
            query = query.where(table.c[column].in_(sorted(set(values))))
    keys = [_first_key(one) for one in sets]
    policies = _policies(connection, [*keys, *chain.from_iterable(replaced.values())])
    rows: list[ScoreRow] = []
    for some in batches(zip(sets, keys, strict=True)):  # of a big board only a batch is held twice
        scores = _scores(connection, query, [one.id for one, _ in some])
        for one, key in some:
            policy = policies.get(key, "")
            others = {policies.get(other, "") for other in replaced.get(one.id, ())} - {policy, ""}
            rows += _of_set(one, scores.get(one.id, ()), policy, tuple(sorted(others)))
    return rows


def _scores(
    connection: sa.Connection, query: sa.Select[Any], sets: Sequence[int]
) -> dict[int, list[Any]]:
    """Score set -> its scores, in the order of storing."""
    table = schema.SCORES
    batch = query.where(table.c.score_set.in_(sets))
    found = fetched(connection, batch.order_by(table.c.score_set, table.c.position))
    check(found)
    scores: dict[int, list[Any]] = {}
    for row in found:
        scores.setdefault(row[-1], []).append(row)
    return scores


def _first_key(made: Any) -> str:
    """The first observation of a set: the observer's own, from the beginning of a JSON list of texts."""
    parts = made.first_key.split('"', 2)
    return parts[1] if len(parts) == 3 else ""


def _policies(connection: sa.Connection, keys: Iterable[str]) -> dict[str, str]:
    """Observation -> how it was run, in words; imported ones are left out."""
    table = schema.OBSERVATIONS
    found: dict[str, str] = {}
    for some in batches(sorted(set(keys) - {""})):
        query = sa.select(table.c.key, table.c.details).where(table.c.key.in_(some))
        found |= {row.key: _policy(row.details) for row in fetched(connection, query)}
    return found


@lru_cache(maxsize=1024)
def _policy(details: str) -> str:
    how = parsed(details, dict).get("policy")
    if not how:
        return ""
    compiled = " compiled" if how.get("compile") else ""
    return f"{how.get('device')} {how.get('precision')}{compiled}, seed {how.get('seed')}"


def _of_set(
    made: Any, scores: Iterable[Any], policy: str, replaced: tuple[str, ...]
) -> Iterable[ScoreRow]:
    stimuli, whole = _mapping(made.stimuli), collection_digest(made.stimuli)
    shared = {
        "observer": made.name,
        "kind": made.kind,
        "training": _texts(made.training),
        "suite": made.suite,
        "version": made.version,
        "space": made.space,
        "created": made.created,
        "set_id": made.id,
        "policy": policy,
        "replaced": replaced,
    }
    for score in scores:
        values = {
            **shared,
            **dict(zip(_OWN, score, strict=False)),
        }  # the set's id comes last and is left out
        values["flags"] = _texts(values["flags"])
        values["stimuli"] = stimuli.get(values["role"], "") if values["role"] else whole
        yield _row(values)


def _row(values: dict[str, Any]) -> ScoreRow:
    """ScoreRow(**values) without a guarded assignment per field: tables have 30,000 rows."""
    row = object.__new__(ScoreRow)
    object.__setattr__(row, "__dict__", values)
    return row


@lru_cache(maxsize=1024)
def collection_digest(text: str) -> str:
    """Identity of all sets of a score set together (JSON of role -> digest): what a score of no role is on."""
    digests = list(_mapping(text).values())
    return digests[0] if len(digests) == 1 else hashlib.sha256(text.encode()).hexdigest()


def collections(connection: sa.Connection, notes: Mapping[str, StimuliNote]) -> list[StimuliNote]:
    """Score sets' collections of several stimulus sets, described like one set."""
    table = schema.SCORE_SETS
    found = []
    for (text,) in fetched(connection, sa.select(table.c.stimuli).distinct()):
        parts = [notes[digest] for digest in _mapping(text).values() if digest in notes]
        if len(parts) > 1:
            name = ", ".join(sorted({part.name for part in parts}))
            name = name if len(parts) <= 3 else f"{len(parts)} stimulus sets"
            n = sum(part.n for part in parts)
            whole = sum(part.whole or part.n for part in parts)
            digest = collection_digest(text)
            painted = "; ".join(sorted({part.painted for part in parts} - {""}))
            origin = painted or "collection"
            found.append(StimuliNote(digest, name, parts[0].space, n, whole, origin))
    return found


@lru_cache(maxsize=1024)
def _mapping(text: str) -> dict[str, str]:
    return named_texts(text)


@lru_cache(maxsize=1024)
def _texts(text: str) -> tuple[str, ...]:
    return texts(text)
