"""What is read: observers, stimulus sets, observations, scores, outcomes, provenance. Each query runs in a caller's
transaction, and every value is held against the type that the schema states."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from sys import intern
from typing import Any

import sqlalchemy as sa

from benchmark.contracts import Score
from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.codec import decode
from benchmark.store.rows import (
    IMPORTED,
    ObserverNote,
    ObserverRow,
    Outcome,
    ScoreRow,
    ScoreSet,
    StimuliNote,
    StimuliRecord,
    StoredObservation,
    check_scores,
)
from benchmark.store.sql import batches, check_types, digest_of, dump, fetched, named_texts, parsed, texts

_OBSERVERS, _CARDS, _STIMULI = schema.OBSERVERS.c, schema.REGISTRATIONS.c, schema.STIMULI.c
_OBSERVED, _CHUNKS, _SETTLED = schema.OBSERVATIONS.c, schema.CHUNKS.c, schema.SETTLED.c
_SETS, _SCORES, _OUTCOMES = schema.SCORE_SETS.c, schema.SCORES.c, schema.OUTCOMES.c
_KEY_ROOM = 200  # characters: more than one key (64) in its quotes


# Observers and stimulus sets. Names are sorted here, for a server's order of names is that of its language.


def _registered(latest: bool = True) -> sa.FromClause:
    """What each observer name stands for now: its newest registration, and whose that is. Without `latest` the newest
    registration of every observer there ever was."""
    group = _OBSERVERS.name if latest else _OBSERVERS.id
    place = sa.func.row_number().over(partition_by=group, order_by=(_CARDS.created.desc(), _CARDS.id.desc()))
    ranked = (
        sa.select(_CARDS.id, place.label("place"))
        .join(schema.OBSERVERS, _OBSERVERS.id == _CARDS.observer)
        .subquery("ranked")
    )
    # As a list of ids: joined, SQLite looks through all of them for each score set.
    newest = _CARDS.id.in_(sa.select(ranked.c.id).where(ranked.c.place == 1))
    return schema.REGISTRATIONS.join(schema.OBSERVERS, sa.and_(_OBSERVERS.id == _CARDS.observer, newest))


def observers(
    connection: sa.Connection, latest: bool = True, column: str | None = None, wanted: Collection[str] = ()
) -> list[ObserverRow]:
    """Observers by name: what each name stands for now, or (`latest=False`) ever stood for. column, wanted: those with
    one of at most `BATCH` values there."""
    query = sa.select(
        *(_OBSERVERS[name] for name in ("id", "name", "kind", "identity")), _CARDS.card, _OBSERVERS.created
    ).select_from(_registered(latest))
    if column is not None:
        query = query.where(_OBSERVERS[column].in_(list(wanted)))
    rows = sorted(fetched(connection, query.order_by(_OBSERVERS.created)), key=itemgetter(1))
    return [
        ObserverRow(number, name, kind, identity, parsed(card, dict), created)
        for number, name, kind, identity, card, created in rows
    ]


def observer_notes(connection: sa.Connection) -> list[ObserverNote]:
    """What each name stands for now, by name, without cards: of 10,000 those take longer than the table."""
    query = sa.select(_OBSERVERS.name, _OBSERVERS.kind, _OBSERVERS.identity)
    rows = fetched(connection, query.select_from(_registered()))
    return [ObserverNote(*row) for row in sorted(map(tuple, rows))]


def former_names(connection: sa.Connection) -> frozenset[str]:
    """What today's networks were called before, as their cards say."""
    # as JSON is written here, whatever else the card says
    query = sa.select(_CARDS.card).where(_CARDS.card.like('%"formerly":["%'))
    cards = [parsed(card, dict) for (card,) in fetched(connection, query.select_from(_registered()))]
    return frozenset(str(name) for card in cards for name in card.get("formerly") or ())


def stimuli_names(connection: sa.Connection) -> list[StimuliNote]:
    """All stimulus sets, by name."""
    names = ("digest", "name", "space", "n", "whole", "origin")
    rows = fetched(connection, sa.select(*(_STIMULI[name] for name in names)))
    return [StimuliNote(*row) for row in sorted(rows, key=itemgetter(1, 0))]


def stimuli(connection: sa.Connection, digest: str) -> StimuliRecord:
    """One stimulus set. Raises StoreError if it is unknown or damaged."""
    rows = fetched(connection, sa.select(schema.STIMULI).where(_STIMULI.digest == digest))
    if not rows:
        raise StoreError(f"the leaderboard has no stimulus set with digest {digest}")
    row = rows[0]
    columns = decode(row.columns, row.n, f"stimulus set '{row.name}' ({digest})")
    ids = tuple(columns.pop("stimulus").tolist())
    return StimuliRecord(row.name, digest, row.space, ids, columns, row.whole, row.origin)


# Observations: what was asked, what is stored of it.


def observations(
    connection: sa.Connection, *, observer: str | None = None, suite: str | None = None
) -> list[StoredObservation]:
    """Observations of current observers, by name, the oldest first; two names of one identity share them. Of imported
    ones those that the newest import of their source brought, in the order of the imports."""
    owners = schema.OBSERVERS.alias("owners")
    same = sa.and_(owners.c.identity == _OBSERVERS.identity, owners.c.kind == _OBSERVERS.kind)
    asked = ("suite", "version", "space", "stimuli", "role", "condition", "presentation")
    query = sa.select(
        _OBSERVED.key,
        _OBSERVERS.id.label("observer"),
        *(_OBSERVED[name] for name in (*asked, "transform", "n", "details")),
        _OBSERVERS.name.label("observer_name"),
        _OBSERVED.created,
    ).select_from(_registered().join(owners, same).join(schema.OBSERVATIONS, _OBSERVED.observer == owners.c.id))
    if observer is not None:
        query = query.where(_OBSERVERS.name == observer)
    if suite is not None:
        query = query.where(_OBSERVED.suite == suite)
    counting = imported_keys(connection) if suite in (None, IMPORTED) else {}
    rows = [row for row in fetched(connection, query) if row.suite != IMPORTED or row.key in counting]
    ways: dict[str, Mapping[str, Any]] = {}  # most were asked in one of a few ways
    made = []
    for row in sorted(rows, key=lambda row: (row.observer_name, counting.get(row.key, 0), row.created)):
        stated = dict(row._mapping)
        if row.details not in ways:
            ways[row.details] = parsed(row.details, dict)
        made.append(StoredObservation(**stated | {"details": ways[row.details]}))
    return made


def imported_keys(connection: sa.Connection) -> dict[str, int]:
    """Key of each imported observation that counts -> the place of its import among the newest of all sources."""
    newest: dict[str, Any] = {}
    table = schema.IMPORTS
    for row in fetched(connection, sa.select(table).order_by(table.c.created, table.c.id)):
        newest.pop(row.source, None)
        newest[row.source] = row
    return {key: place for place, row in enumerate(newest.values()) for key in texts(row.observations)}


def has(connection: sa.Connection, table: sa.Table, column: str, value: str) -> bool:
    """Whether a table has a row with this value."""
    query = sa.select(sa.literal(1)).where(table.c[column] == value)
    return connection.scalar(query) is not None


def chunks(connection: sa.Connection, key: str) -> set[int]:
    """Which chunks of an observation are stored."""
    return set(connection.scalars(sa.select(_CHUNKS.position).where(_CHUNKS.observation == key)))


def trials_digest(connection: sa.Connection, keys: Sequence[str]) -> str:
    """Digest of the chunks of some observations, those beyond what settled them left out; "" where none is here."""
    found = []
    for some in batches(sorted(set(keys))):
        query = (
            sa.select(_CHUNKS.checksum)
            .join(schema.SETTLED, _SETTLED.observation == _CHUNKS.observation, isouter=True)
            .where(_CHUNKS.observation.in_(some))
            .where(sa.or_(_SETTLED.n.is_(None), _CHUNKS.start < _SETTLED.n))
        )
        found += [checksum for (checksum,) in fetched(connection, query)]
    return digest_of(sorted(found)) if found else ""


def incomplete(connection: sa.Connection, *, failed: bool = True) -> dict[str, str]:
    """Key -> suite of each observation that lacks trials. failed: also where its observer has failed since."""
    stored = sa.select(_CHUNKS.observation, sa.func.sum(_CHUNKS.n).label("n")).group_by(_CHUNKS.observation).subquery()
    query = (
        sa.select(_OBSERVED.key, _OBSERVED.suite)
        .select_from(schema.OBSERVATIONS)
        .join(stored, stored.c.observation == _OBSERVED.key, isouter=True)
        .join(schema.SETTLED, _SETTLED.observation == _OBSERVED.key, isouter=True)
        .where(sa.func.coalesce(stored.c.n, 0) < sa.func.coalesce(_SETTLED.n, _OBSERVED.n))
    )
    if not failed:
        since = [
            *(_OUTCOMES[name] == _OBSERVED[name] for name in ("observer", "suite", "space")),
            _OUTCOMES.status == "failed",
            _OUTCOMES.created >= _OBSERVED.created,
        ]
        query = query.where(~sa.exists().where(*since))
    return {row.key: row.suite for row in fetched(connection, query)}


def complete(connection: sa.Connection, key: str) -> bool:
    """Whether every trial of an observation is stored, or as many as settled it; False if it is unknown."""
    query = (
        sa.select(sa.func.coalesce(_SETTLED.n, _OBSERVED.n), sa.func.coalesce(sa.func.sum(_CHUNKS.n), 0))
        .select_from(schema.OBSERVATIONS)
        .join(schema.CHUNKS, _CHUNKS.observation == _OBSERVED.key, isouter=True)
        .join(schema.SETTLED, _SETTLED.observation == _OBSERVED.key, isouter=True)
        .where(_OBSERVED.key == key)
        .group_by(_OBSERVED.key, _OBSERVED.n, _SETTLED.n)
    )
    row = connection.execute(query).first()
    return row is not None and int(row[0]) <= int(row[1])


def outcomes(
    connection: sa.Connection, *, observer: str | None = None, suite: str | None = None, latest: bool = True
) -> list[Outcome]:
    """Outcomes, oldest first; `latest`: only the newest of each (observer name, suite, space)."""
    query = sa.select(*(_OUTCOMES[name] for name in Outcome.__dataclass_fields__))
    query = query.order_by(_OUTCOMES.created, _OUTCOMES.id)
    if observer is not None:
        query = query.where(_OUTCOMES.observer_name == observer)
    if suite is not None:
        query = query.where(_OUTCOMES.suite == suite)
    if latest:
        work = (_OUTCOMES.observer_name, _OUTCOMES.suite, _OUTCOMES.space)
        place = sa.func.row_number().over(partition_by=work, order_by=(_OUTCOMES.created.desc(), _OUTCOMES.id.desc()))
        newest = sa.select(_OUTCOMES.id, place.label("place")).subquery("newest")
        wanted = sa.and_(newest.c.id == _OUTCOMES.id, newest.c.place == 1)
        query = query.select_from(schema.OUTCOMES.join(newest, wanted))
    return [Outcome(*row) for row in fetched(connection, query)]


# Score sets: what was scored, of which trials.


def _counts() -> sa.ColumnElement[bool]:
    """Whether a score set was not withdrawn."""
    return ~sa.exists().where(schema.WITHDRAWN.c.score_set == _SETS.id)


def newest_like(connection: sa.Connection, made: ScoreSet) -> str | None:
    """The id of the newest set of this observer, suite, space and stimuli if it was made like this."""
    query = (
        sa.select(_SETS.id, _SETS.code, _SETS.observations, _SETS.version)
        .where(
            _SETS.observer == made.observer,
            _SETS.suite == made.suite,
            _SETS.space == made.space,
            _SETS.stimuli == dump(made.stimuli),
            _counts(),
        )
        .order_by(_SETS.version.desc(), _SETS.created.desc(), _SETS.id.desc())
        .limit(1)
    )
    for number, *how in fetched(connection, query):
        return number if how == [made.code, dump(list(made.keys)), made.version] else None
    return None


def has_scores(connection: sa.Connection, made: ScoreSet) -> bool:
    """Whether `latest_scores` already shows this very set: nothing to score again."""
    return newest_like(connection, made) is not None


def score_sets(connection: sa.Connection, suite: str) -> list[ScoreSet]:
    """What `latest_scores` shows of a suite, as the sets that were scored."""
    names = ("observer", "suite", "version", "space", "code", "stimuli", "observations")
    query = (
        sa.select(*(_SETS[name] for name in names))
        .select_from(_registered().join(schema.SCORE_SETS, _SETS.observer == _OBSERVERS.id))
        .where(_SETS.suite == suite, _counts())
        .order_by(_SETS.version, _SETS.created, _SETS.id)
    )
    newest: dict[tuple[str, str, str], ScoreSet] = {}
    for observer, name, version, space, code, shown, keys in fetched(connection, query):
        made = ScoreSet(observer, name, version, space, code, role_digests(shown), texts(keys))
        newest[observer, space, shown] = made
    return list(newest.values())


def stored_scores(connection: sa.Connection, set_id: str) -> list[Mapping[str, Any]]:
    """The rows of a score set, in their order."""
    query = sa.select(schema.SCORES).where(_SCORES.score_set == set_id)
    return [row._mapping for row in fetched(connection, query.order_by(_SCORES.position))]


def scores_of(connection: sa.Connection, made: ScoreSet) -> list[Score]:
    """The scores of the newest set of this observer, suite, space and stimuli, if it was made like this."""
    number = newest_like(connection, made)
    rows = [] if number is None else stored_scores(connection, number)
    plain = [{**row, "flags": texts(row["flags"])} for row in rows]
    return [Score(**{one.name: row[one.name] for one in fields(Score)}) for row in plain]


def scores_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Digest of the rows of a score set, wherever they are stored."""
    names = [column.name for column in schema.SCORES.c if column.name != "score_set"]
    ordered = sorted(rows, key=itemgetter("position"))
    return digest_of(row[name] for row in ordered for name in names)


def _collections(connection: sa.Connection, suite: str | None = None) -> list[str]:
    query = sa.select(_SETS.stimuli).distinct().order_by(_SETS.stimuli)
    if suite is not None:
        query = query.where(_SETS.suite == suite)
    return [text for (text,) in fetched(connection, query)]


def role_sets(connection: sa.Connection, suite: str) -> dict[str, Mapping[str, str]]:
    """Digest of a collection -> role -> digest, for all that was scored under a suite."""
    return {collection_digest(one): role_digests(one) for one in _collections(connection, suite)}


def suites(connection: sa.Connection) -> list[str]:
    """Names of the suites that have scores."""
    return sorted(name for (name,) in fetched(connection, sa.select(_SETS.suite).distinct()))


def collections(connection: sa.Connection, notes: Mapping[str, StimuliNote]) -> list[StimuliNote]:
    """Score sets' collections of several stimulus sets, described like one set."""
    described = []
    for text in _collections(connection):
        parts = [notes[digest] for digest in role_digests(text).values() if digest in notes]
        if len(parts) > 1:
            name = ", ".join(sorted({part.name for part in parts}))
            name = name if len(parts) <= 3 else f"{len(parts)} stimulus sets"
            n = sum(part.n for part in parts)
            whole = sum(part.whole or part.n for part in parts)
            painted = "; ".join(sorted({part.painted for part in parts} - {""}))
            origin = painted or "collection"
            note = StimuliNote(collection_digest(text), name, parts[0].space, n, whole, origin)
            described.append(note)
    return described


@lru_cache(maxsize=1024)
def role_digests(text: str) -> dict[str, str]:
    """Role -> digest, from JSON."""
    return named_texts(text)


@lru_cache(maxsize=1024)
def collection_digest(text: str) -> str:
    """Identity of all sets of a score set together (JSON of role -> digest): what a score of no role is on."""
    digests = list(role_digests(text).values())
    return digests[0] if len(digests) == 1 else hashlib.sha256(text.encode()).hexdigest()


# The newest scores of everybody: what tables are made of.


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
    replaced: dict[tuple[str, str, str, str], list[str]] = {}
    for row in _current_sets(connection, wanted):
        group = (row.name, row.suite, row.space, row.stimuli)
        best = newest.setdefault(group, row)
        if best is row:
            continue
        replaced.setdefault(group, [_first_key(best)]).append(_first_key(row))
        if (row.version, row.created, row.id) > (best.version, best.created, best.id):
            newest[group] = row
    sets = sorted(newest.values(), key=lambda row: (row.name, row.created, row.id))
    earlier = {newest[group].id: keys for group, keys in replaced.items()}
    keys = [_first_key(row) for row in sets]
    policies = _policies(connection, [*keys, *chain.from_iterable(earlier.values())])
    rows: list[ScoreRow] = []
    for some in batches(zip(sets, keys, strict=True)):  # of a big board only a batch is held twice
        scores = _scores_of(connection, wanted, [row.id for row, _ in some])
        for row, key in some:
            policy = policies.get(key, "")
            others = {policies.get(other, "") for other in earlier.get(row.id, ())} - {policy, ""}
            rows += _score_rows(row, scores.get(row.id, ()), policy, tuple(sorted(others)))
    return rows


def _current_sets(connection: sa.Connection, wanted: Wanted) -> Iterator[Any]:
    """The score sets of current observers."""
    beginning = sa.func.substr(_SETS.observations, 1, _KEY_ROOM, type_=sa.Text)
    made = ("suite", "version", "space", "created", "id", "stimuli")
    query = (
        sa.select(
            _OBSERVERS.name, _OBSERVERS.kind, _CARDS.training, *(_SETS[name] for name in made), beginning.label("keys")
        )
        .select_from(_registered().join(schema.SCORE_SETS, _SETS.observer == _OBSERVERS.id))
        .where(_counts())
    )
    if wanted.suite is not None:
        query = query.where(_SETS.suite == wanted.suite)
    if wanted.space is not None:
        query = query.where(_SETS.space == wanted.space)
    names = None if wanted.observers is None else set(wanted.observers)
    yield from (row for row in fetched(connection, query) if names is None or row.name in names)


def _first_key(row: Any) -> str:
    """The first observation of a set: the observer's own."""
    parts = row.keys.split('"', 2)
    return parts[1] if len(parts) == 3 else ""


def _scores_of(connection: sa.Connection, wanted: Wanted, sets: Sequence[str]) -> dict[str, list[Any]]:
    """Score set -> its scores, in the order of storing."""
    query = sa.select(schema.SCORES).where(_SCORES.score_set.in_(sets))
    for column, some in ((_SCORES.metric, wanted.metrics), (_SCORES.condition, wanted.conditions)):
        if some is not None:
            query = query.where(column.in_(sorted(set(some))))
    found = fetched(connection, query.order_by(_SCORES.score_set, _SCORES.position))
    check_scores(found)
    scores: dict[str, list[Any]] = {}
    for row in found:
        scores.setdefault(row[0], []).append(row)
    return scores


def _policies(connection: sa.Connection, keys: Iterable[str]) -> dict[str, str]:
    """Observation -> how it was run, in words; imported ones are left out."""
    found: dict[str, str] = {}
    for some in batches(sorted(set(keys) - {""})):
        query = sa.select(_OBSERVED.key, _OBSERVED.details).where(_OBSERVED.key.in_(some))
        found |= {key: _policy(details) for key, details in fetched(connection, query)}
    return found


@lru_cache(maxsize=1024)
def _policy(details: str) -> str:
    how = parsed(details, dict).get("policy")
    if not how:
        return ""
    compiled = " compiled" if how.get("compile") else ""
    return f"{how.get('device')} {how.get('precision')}{compiled}, seed {how.get('seed')}"


def _score_rows(made: Any, scores: Iterable[Any], policy: str, replaced: tuple[str, ...]) -> Iterator[ScoreRow]:
    """The rows of a set. A text is held once: the driver makes it anew for each row."""
    shared = (made.name, made.kind, _tags(made.training), *made[3:8])
    digests = {**role_digests(made.stimuli), "": collection_digest(made.stimuli)}
    for row in scores:
        _, _, metric, on, role, value, why, low, high, level, method, n, left, flags = row
        stated = (digests.get(role, ""), _tags(flags), intern(metric), intern(on), intern(role))
        numbers = (value, intern(why), low, high, level, intern(method), n, left)
        yield ScoreRow._make((*shared, *stated, *numbers, policy, replaced))


@lru_cache(maxsize=1024)
def _tags(text: str) -> tuple[str, ...]:
    return texts(text)


# Provenance: which runs made what.


def run_notes(connection: sa.Connection) -> list[tuple[str, str]]:
    """Status and note of all runs that have ended, the oldest first."""
    table = schema.RUN_ENDS.c
    query = sa.select(table.status, table.note).order_by(table.ended, table.run)
    return [(status, note) for status, note in fetched(connection, query)]


def provenance(connection: sa.Connection, set_id: str) -> dict[str, Any]:
    """Where a score set came from: its own run, and every run that computed its trials. Each observation says whose
    it is ("observer": the name at the time; "identity")."""
    rows = fetched(connection, sa.select(schema.SCORE_SETS).where(_SETS.id == set_id))
    if not rows:
        raise StoreError(f"the leaderboard has no score set {set_id}")
    made = rows[0]
    keys = parsed(made.observations, list)
    observed = {row.key: row for row in _observed_with_owners(connection, keys)}
    computed: dict[str, list[str]] = {}
    for some in batches(sorted(observed)):
        query = sa.select(_CHUNKS.observation, _CHUNKS.run).distinct()
        for key, run in fetched(connection, query.where(_CHUNKS.observation.in_(some))):
            computed.setdefault(key, []).append(run)
    known = runs(connection, {made.run, *chain.from_iterable(computed.values())})
    order = {run: place for place, run in enumerate(known)}
    return {
        **known[made.run],
        **{name: getattr(made, name) for name in ("suite", "version", "space", "code", "created")},
        "stimuli": parsed(made.stimuli, dict),
        "keys": keys,
        "observations": [
            dict(observed[key]._mapping)
            | {
                "details": parsed(observed[key].details, dict),
                "runs": sorted(computed.get(key, ()), key=order.__getitem__),
            }
            for key in keys
            if key in observed
        ],
        "runs": known,
    }


def _observed_with_owners(connection: sa.Connection, keys: Sequence[str]) -> Iterator[Any]:
    names = ("key", "suite", "version", "space", "stimuli", "role", "condition", "presentation")
    columns = [_OBSERVED[name] for name in (*names, "transform", "n", "created", "details")]
    for some in batches(keys):
        query = (
            sa.select(*columns, _OBSERVERS.name.label("observer"), _OBSERVERS.identity)
            .join(schema.OBSERVERS, _OBSERVERS.id == _OBSERVED.observer)
            .where(_OBSERVED.key.in_(some))
        )
        yield from fetched(connection, query)


def runs_of_sets(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    """Score set -> the runs that computed its trials, then its own, each once."""
    by_key: dict[str, list[str]] = {}
    for key, run in fetched(connection, sa.select(_CHUNKS.observation, _CHUNKS.run).distinct()):
        by_key.setdefault(key, []).append(run)
    order = {run: place for place, run in enumerate(runs(connection))}
    found = {}
    for number, run, keys in fetched(connection, sa.select(_SETS.id, _SETS.run, _SETS.observations)):
        computed = {one for key in texts(keys) for one in by_key.get(key, ())}
        found[number] = tuple(dict.fromkeys((*sorted(computed, key=order.__getitem__), run)))
    return found


def runs(connection: sa.Connection, wanted: Collection[str] | None = None) -> dict[str, Mapping[str, Any]]:
    """Runs by their ids, the oldest first: "run", "command", "environment", "started", "status", "ended". wanted: these
    alone."""
    table, environments, ends = schema.RUNS.c, schema.ENVIRONMENTS.c, schema.RUN_ENDS.c
    query = (
        sa.select(table.id, table.command, environments.content, table.started)
        .add_columns(ends.status, ends.ended)
        .select_from(schema.RUNS)
        .join(schema.ENVIRONMENTS, environments.id == table.environment)
        .join(schema.RUN_ENDS, ends.run == table.id, isouter=True)
        .order_by(table.started, table.id)
    )
    rows = (
        connection.execute(query).all()
        if wanted is None
        else [row for some in batches(sorted(wanted)) for row in connection.execute(query.where(table.id.in_(some)))]
    )
    check_types(query, rows, ("status", "ended"))
    return {
        number: {
            "run": number,
            "command": command,
            "environment": parsed(environment, dict),
            "started": started,
            "status": status,
            "ended": ended,
        }
        for number, command, environment, started, status, ended in rows
    }
