"""Queries. Each runs in a caller's transaction, and every value is checked against the type in the schema."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from sys import intern
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmark.contracts import CHUNK, Array, Coded, Score, Trials
from benchmark.contracts.trials import Column, Columns, as_coded, coded, narrowed, stacked_tables
from benchmark.failures import StoreError
from benchmark.store import schema, sql
from benchmark.store.codec import decode, decode_codes
from benchmark.store.db_errors import damaged
from benchmark.store.rows import (
    IMPORTED,
    PAIRED,
    Chunk,
    ObserverRow,
    Outcome,
    ScoreRow,
    ScoreSet,
    StimuliNote,
    StimuliRecord,
    StoredObservation,
    fault,
)
from benchmark.store.sql import DigestTexts, batches, dump, fetched, fetched_of, parsed, seal_of, texts

_OBSERVERS, _CARDS, _STIMULI = schema.OBSERVERS.c, schema.REGISTRATIONS.c, schema.STIMULI.c
_OBSERVED, _CHUNKS, _SETTLED = schema.OBSERVATIONS.c, schema.CHUNKS.c, schema.SETTLED.c
_SETS, _SCORES, _OUTCOMES = schema.SCORE_SETS.c, schema.SCORES.c, schema.OUTCOMES.c
_COUNTS = ~sa.exists().where(schema.WITHDRAWN.c.score_set == _SETS.id)  # whether a score set was not withdrawn
_STORED = sa.select(sa.func.coalesce(sa.func.sum(_CHUNKS.n), 0)).where(_CHUNKS.observation == _OBSERVED.key)
#: Observations with fewer trials than they have stimuli, or than settled them.
_LACKING = (
    sa.select(_OBSERVED.key, _OBSERVED.suite)
    .join(schema.SETTLED, _SETTLED.observation == _OBSERVED.key, isouter=True)
    .where(_STORED.scalar_subquery() < sa.func.coalesce(_SETTLED.n, _OBSERVED.n))
)
_CHUNK_RUNS = sa.select(_CHUNKS.observation, _CHUNKS.run).distinct()
ALTERED = "altered since it was stored"  # why a score is not shown that is not what was stored
SAID = "scores of '%s' under %s were altered since they were stored: `bench db rescore` makes them again"
altered_scores = logging.getLogger("benchmark.store.altered")
#: Places of columns of `scores`: a name takes four times as long to look up in each of 100,000 rows.
_METRIC, _ON = (_SCORES.keys().index(name) for name in ("metric", "condition"))
_KEY_ROOM = 200  # characters: more than one key (64) in its quotes


def _registered(latest: bool = True) -> sa.FromClause:
    """Return the newest registration of each observer name, or (`latest=False`) of every observer ever."""
    group = _OBSERVERS.name if latest else _OBSERVERS.id
    place = sa.func.row_number().over(partition_by=group, order_by=(_CARDS.created.desc(), _CARDS.id.desc()))
    owned = schema.REGISTRATIONS.join(schema.OBSERVERS, _OBSERVERS.id == _CARDS.observer)
    ranked = sa.select(_CARDS.id, place.label("place")).select_from(owned).subquery("ranked")
    # As a list of ids: joined, SQLite looks through all of them for each score set.
    newest = _CARDS.id.in_(sa.select(ranked.c.id).where(ranked.c.place == 1))
    return schema.REGISTRATIONS.join(schema.OBSERVERS, sa.and_(_OBSERVERS.id == _CARDS.observer, newest))


def observer_rows(
    connection: sa.Connection,
    *,
    latest: bool = True,
    names: Collection[str] | None = None,
    kinds: Collection[str] | None = None,
    ids: Collection[str] | None = None,
) -> list[ObserverRow]:
    """Return each name's current observer, or (`latest=False`) all that it ever had. names, kinds, ids: filters."""
    columns = (*(_OBSERVERS[name] for name in ("id", "name", "kind", "identity")), _CARDS.card, _OBSERVERS.created)
    query = sa.select(*columns).select_from(_registered(latest)).order_by(_OBSERVERS.created)
    wanted = {"name": names, "kind": kinds, "id": ids}
    asked = (_OBSERVERS[name].in_(values) for name, values in wanted.items() if values is not None)
    # Sorted here, for a server's order of names is that of its language.
    rows = sorted(fetched(connection, query.where(*asked)), key=itemgetter(1))
    return [ObserverRow(**{**row._mapping, "card": parsed(row.card, dict)}) for row in rows]


def stimuli_names(connection: sa.Connection) -> list[StimuliNote]:
    """Return all stimulus sets, by name."""
    rows = fetched(connection, sa.select(*(_STIMULI[name] for name in StimuliNote._fields)))
    return [StimuliNote(**row._mapping) for row in sorted(rows, key=itemgetter(1, 0))]


def stimuli(connection: sa.Connection, digest: str) -> StimuliRecord:
    """Return one stimulus set. Raises StoreError if it is unknown or damaged."""
    rows = fetched(connection, sa.select(schema.STIMULI).where(_STIMULI.digest == digest))
    if not rows:
        raise StoreError(f"the leaderboard has no stimulus set with digest {digest}")
    row = rows[0]
    columns = decode(row.columns, row.n, f"stimulus set '{row.name}' ({digest})")
    ids = tuple(columns.pop("stimulus").tolist())
    return StimuliRecord(
        name=row.name, digest=digest, space=row.space, ids=ids, labels=columns, whole=row.whole, origin=row.origin
    )


def observations(
    connection: sa.Connection, *, observer: str | None = None, suite: str | None = None
) -> list[StoredObservation]:
    """Return the observations of current observers, by name, the oldest first; two names of one identity share them.
    Imported ones are those of the newest import of their source, in the order of the imports."""
    owners = schema.OBSERVERS.alias("owners")
    same = sa.and_(owners.c.identity == _OBSERVERS.identity, owners.c.kind == _OBSERVERS.kind)
    own = {"observer": _OBSERVERS.id.label("observer"), "observer_name": _OBSERVERS.name.label("observer_name")}
    names = [field.name for field in fields(StoredObservation)]
    owned = _registered().join(owners, same).join(schema.OBSERVATIONS, _OBSERVED.observer == owners.c.id)
    query = sa.select(*(own[name] if name in own else _OBSERVED[name] for name in names)).select_from(owned)
    if observer is not None:
        query = query.where(_OBSERVERS.name == observer)
    if suite is not None:
        query = query.where(_OBSERVED.suite == suite)
    counting = imported_keys(connection) if suite in (None, IMPORTED) else {}
    rows = [row for row in fetched(connection, query) if row.suite != IMPORTED or row.key in counting]
    rows.sort(key=lambda row: (row.observer_name, counting.get(row.key, 0), row.created))
    details = {text: parsed(text, dict) for text in {row.details for row in rows}}  # most were asked in a few ways
    return [StoredObservation(**{**row._mapping, "details": details[row.details]}) for row in rows]


def newest_imports(connection: sa.Connection) -> dict[str, Any]:
    """Return source -> its newest import, in the order of the imports."""
    newest: dict[str, Any] = {}
    table = schema.IMPORTS
    for row in fetched(connection, sa.select(table).order_by(table.c.created, table.c.id)):
        newest.pop(row.source, None)
        newest[row.source] = row
    return newest


def imported_keys(connection: sa.Connection) -> dict[str, int]:
    """Return key of each imported observation that counts -> the place of its import among the newest."""
    newest = newest_imports(connection).values()
    return {key: place for place, row in enumerate(newest) for key in texts(row.observations)}


def has(connection: sa.Connection, table: sa.Table, column: str, value: str) -> bool:
    """Return whether a table has a row with this value."""
    return connection.scalar(sa.select(sa.literal(1)).where(table.c[column] == value)) is not None


def chunks(connection: sa.Connection, key: str) -> set[int]:
    """Return which chunks of an observation are stored."""
    return set(connection.scalars(sa.select(_CHUNKS.position).where(_CHUNKS.observation == key)))


def chunk_seals(connection: sa.Connection, keys: Collection[str]) -> dict[str, set[tuple[int, str]]]:
    """Return the place and checksum of every chunk, for each of these observations that is here."""
    here = fetched_of(connection, sa.select(_OBSERVED.key), _OBSERVED.key, keys)
    seals: dict[str, set[tuple[int, str]]] = {key: set() for (key,) in here}
    query = sa.select(_CHUNKS.observation, _CHUNKS.position, _CHUNKS.checksum)
    for key, position, checksum in fetched_of(connection, query, _CHUNKS.observation, seals):
        seals[key].add((position, checksum))
    return seals


def stored_chunks(connection: sa.Connection, key: str) -> list[Chunk]:
    """Return the chunks of an observation that count, in their order. Raises StoreError on a damaged one."""
    query = counting_chunks(*_CHUNKS).where(_CHUNKS.observation == key).order_by(_CHUNKS.position)
    return [
        Chunk(key=key, index=row.position, start=row.start, columns=Columns(chunk_columns(row)))
        for row in fetched(connection, query)
    ]


def counting_chunks(*columns: Any) -> sa.Select[Any]:
    """Return the columns of the chunks of observations, those beyond what settled them left out."""
    settled = sa.select(*columns).join(schema.SETTLED, _SETTLED.observation == _CHUNKS.observation, isouter=True)
    return settled.where(sa.or_(_SETTLED.n.is_(None), _CHUNKS.start < _SETTLED.n))


def trials_digest(connection: sa.Connection, keys: Sequence[str]) -> str:
    """Return the digest of the chunks of some observations, without those beyond a settlement; "" if there are none."""
    rows = fetched_of(connection, counting_chunks(_CHUNKS.checksum), _CHUNKS.observation, keys)
    checksums = sorted(checksum for (checksum,) in rows)
    return sql.digest_of(checksums) if checksums else ""


def incomplete(connection: sa.Connection, *, failed: bool = True) -> dict[str, str]:
    """Return key -> suite of observations that lack trials; none is of a paired suite. failed: also if one failed."""
    query = _LACKING
    if not failed:
        since = [
            *(_OUTCOMES[name] == _OBSERVED[name] for name in ("observer", "suite", "space")),
            _OUTCOMES.status == "failed",
            _OUTCOMES.created >= _OBSERVED.created,
        ]
        query = query.where(~sa.exists().where(*since))
    return {row.key: row.suite for row in fetched(connection, query) if not row.suite.endswith(PAIRED)}


def complete(connection: sa.Connection, key: str) -> bool:
    """Return whether every trial of an observation is stored, or as many as settled it; False if it is unknown."""
    lacking = connection.execute(_LACKING.where(_OBSERVED.key == key)).first()
    return lacking is None and has(connection, schema.OBSERVATIONS, "key", key)


def outcomes(connection: sa.Connection, *, observer: str | None = None, latest: bool = True) -> list[Outcome]:
    """Return outcomes, the oldest first; `latest`: only the newest of each (observer name, suite, space)."""
    query = sa.select(*(_OUTCOMES[field.name] for field in fields(Outcome)))
    if observer is not None:
        query = query.where(_OUTCOMES.observer_name == observer)
    rows = [Outcome(**row._mapping) for row in fetched(connection, query.order_by(_OUTCOMES.created, _OUTCOMES.id))]
    newest = {(row.observer_name, row.suite, row.space): row for row in rows}
    return sorted(newest.values(), key=lambda row: row.created) if latest else rows


def newest_like(connection: sa.Connection, target: ScoreSet) -> str | None:
    """Return the id of the newest set of this observer, suite, space and stimuli if it was made like this."""
    same = [_SETS[name] == getattr(target, name) for name in ("observer", "suite", "space")]
    query = (
        sa.select(_SETS.id, _SETS.code, _SETS.observations, _SETS.version)
        .where(*same, _SETS.stimuli == dump(target.stimuli), _COUNTS)
        .order_by(_SETS.version.desc(), _SETS.created.desc(), _SETS.id.desc())
        .limit(1)
    )
    for number, *how in fetched(connection, query):
        return number if how == [target.code, dump(list(target.keys)), target.version] else None
    return None


def has_scores(connection: sa.Connection, target: ScoreSet) -> bool:
    """Return whether `latest_scores` already shows this very set, unaltered: nothing to score again."""
    number = newest_like(connection, target)
    return number is not None and not _altered_sets(connection, _rows_of_sets(connection, [number]))


def score_sets(connection: sa.Connection, suite: str) -> list[ScoreSet]:
    """Return what `latest_scores` shows of a suite, as the sets that were scored."""
    query = (
        sa.select(*(_SETS[name] for name in ("observer", "version", "space", "code", "stimuli", "observations", "id")))
        .select_from(_registered().join(schema.SCORE_SETS, _SETS.observer == _OBSERVERS.id))
        .where(_SETS.suite == suite, _COUNTS)
        .order_by(_SETS.version, _SETS.created, _SETS.id)
    )
    newest = {(row.observer, row.space, row.stimuli): row for row in fetched(connection, query)}
    names = ("observer", "version", "space", "code", "id")
    return [
        ScoreSet(
            suite=suite,
            stimuli=role_digests(row.stimuli),
            keys=texts(row.observations),
            **{name: row._mapping[name] for name in names},
        )
        for row in newest.values()
    ]


def stored_scores(connection: sa.Connection, set_id: str) -> list[Mapping[str, Any]]:
    """Return the rows of a score set, in their order."""
    query = sa.select(schema.SCORES).where(_SCORES.score_set == set_id)
    return [row._mapping for row in fetched(connection, query.order_by(_SCORES.position))]


def newest_scores(connection: sa.Connection, target: ScoreSet) -> list[Score]:
    """Return the scores of the newest set of this observer, suite, space and stimuli, if it was made like this."""
    number = newest_like(connection, target)
    rows = [] if number is None else stored_scores(connection, number)
    plain = [{**row, "flags": texts(row["flags"])} for row in rows]
    return [Score(**{field.name: row[field.name] for field in fields(Score)}) for row in plain]


def scores_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of the rows of a score set, wherever they are stored."""
    stated = itemgetter(*(column.name for column in schema.SCORES.c if column.name != "score_set"))
    return _digest_of_scores([("", *stated(row)) for row in sorted(rows, key=itemgetter("position"))], DigestTexts())


def _digest_of_scores(rows: Iterable[tuple[Any, ...]], known: DigestTexts) -> str:
    number, texts = known.number, []
    for row in rows:  # what surrounds the numbers is the same in all sets of a suite
        texts += [known[row[1:5]], number(row[5]), known[row[6:7]], number(row[7]), number(row[8]), known[row[9:]]]
    return seal_of("".join(texts))


def suite_names(connection: sa.Connection) -> list[str]:
    """Return the names of the suites that have scores."""
    return sorted(name for (name,) in fetched(connection, sa.select(_SETS.suite).distinct()))


def collections(connection: sa.Connection) -> list[StimuliNote]:
    """Describe several stimulus sets that were scored together like one, by their common digest."""
    notes = {note.digest: note for note in stimuli_names(connection)}
    described = []
    for (text,) in fetched(connection, sa.select(_SETS.stimuli).distinct().order_by(_SETS.stimuli)):
        parts = [notes[part] for part in role_digests(text).values() if part in notes]
        if len(parts) > 1:
            names = sorted({part.name for part in parts})
            name = ", ".join(names) if len(parts) <= 3 else f"{len(parts)} stimulus sets"
            n, whole = sum(part.n for part in parts), sum(part.whole or part.n for part in parts)
            origin = "; ".join(sorted({part.painted for part in parts} - {""})) or "collection"
            described.append(
                StimuliNote(
                    digest=collection_digest(text), name=name, space=parts[0].space, n=n, whole=whole, origin=origin
                )
            )
    return described


@lru_cache(maxsize=1024)
def role_digests(text: str) -> dict[str, str]:
    """Read role -> digest from JSON. Raises ValueError on anything else."""
    roles = parsed(text, dict)
    if not all(isinstance(digest, str) for digest in roles.values()):
        raise ValueError("an object holds something other than text")
    return roles


@lru_cache(maxsize=1024)
def collection_digest(text: str) -> str:
    """Return the identity of the sets of a score set (JSON of role -> digest): the stimuli of a score without role."""
    digests = list(role_digests(text).values())
    return digests[0] if len(digests) == 1 else hashlib.sha256(text.encode()).hexdigest()


def latest_scores(
    connection: sa.Connection,
    *,
    suite: str | None = None,
    metrics: Collection[str] | None = None,
    observers: Collection[str] | None = None,
    conditions: Collection[str] | None = None,
    checked: bool = False,
) -> tuple[list[ScoreRow], bool]:
    """Return the scores of the newest set of the newest version, ordered by name, for each (observer name, suite, label
    space, stimuli) and the name's current observer, and whether no digest differs. The `conditions` ("",) leave out
    scores per category. checked: the digests of these sets were compared before, in the same file."""
    ordered = _grouped_sets(connection, suite, observers)
    details, keys = sa.select(_OBSERVED.key, _OBSERVED.details), (_first_key(row) for same in ordered for row in same)
    policies = {key: _policy(how) for key, how in fetched_of(connection, details, _OBSERVED.key, keys)}
    programs = _programs(connection, {same[-1].run for same in ordered})
    altered = set[str]()
    if not checked:
        altered |= _broken(connection, schema.OBSERVERS, {same[-1].owner for same in ordered})
        altered |= _broken(connection, schema.REGISTRATIONS, {same[-1].registration for same in ordered})
    rows, sound = list[ScoreRow](), True
    chosen = [column.in_(some) for column, some in ((_SCORES.metric, metrics), (_SCORES.condition, conditions)) if some]
    for part in batches(ordered):  # of a big board only a batch is held twice
        by_set = _rows_of_sets(connection, [same[-1].id for same in part], *(chosen if checked else ()))
        if not checked:
            altered |= _altered_sets(connection, by_set)
        for *earlier, newest in part:
            policy = policies.get(_first_key(newest), "")
            replaced = {policies.get(_first_key(row), "") for row in earlier} - {policy, ""}
            wanted = [
                row
                for row in by_set[newest.id]
                if (metrics is None or row[_METRIC] in metrics) and (conditions is None or row[_ON] in conditions)
            ]
            program = programs.get(newest.run, ("", ""))[newest.kind == "reported"]
            made = list(_score_rows(newest, wanted, policy, tuple(sorted(replaced)), program))
            faults = () if checked else filter(None, map(fault, made))
            if not altered.isdisjoint((newest.id, newest.owner, newest.registration)):
                sound = False
                nothing: dict[str, Any] = {"value": None, "low": None, "high": None, "flags": (), "n": 0, "excluded": 0}
                made = [row._replace(reason=ALTERED, **nothing) for row in made]
                altered_scores.warning(SAID, newest.name, newest.suite)
            elif why := next(iter(faults), ""):  # nothing that this program writes has a fault
                raise ValueError(f"a score of set {newest.id}: {why}")
            rows += made
    return rows, sound


def _grouped_sets(connection: sa.Connection, suite: str | None, observers: Collection[str] | None) -> list[list[Any]]:
    """Return all score sets ever stored of each (observer name, suite, label space, stimuli), the newest last."""
    beginning = sa.func.substr(_SETS.observations, 1, _KEY_ROOM, type_=sa.Text).label("keys")
    stated = (_SETS[name] for name in ("suite", "version", "space", "created", "id", "stimuli"))
    owner = _OBSERVERS.id.label("owner"), _CARDS.id.label("registration"), _SETS.run
    query = (
        sa.select(_OBSERVERS.name, _OBSERVERS.kind, _CARDS.training, *stated, beginning, *owner)
        .select_from(_registered().join(schema.SCORE_SETS, _SETS.observer == _OBSERVERS.id))
        .where(_COUNTS, sa.true() if suite is None else _SETS.suite == suite)
    )
    sets: dict[tuple[str, str, str, str], list[Any]] = {}
    for row in sorted(fetched(connection, query), key=lambda row: (row.version, row.created, row.id)):
        if observers is None or row.name in observers:
            sets.setdefault((row.name, row.suite, row.space, row.stimuli), []).append(row)
    return sorted(sets.values(), key=lambda same: (same[-1].name, same[-1].created, same[-1].id))


def _broken(connection: sa.Connection, table: sa.Table, ids: Collection[str]) -> set[str]:
    sealed = [column for column in table.c if column.info["sealed"]]
    rows, known = fetched_of(connection, sa.select(table.c.id, *sealed), table.c.id, ids), DigestTexts()
    name = known[(table.name,)]
    return {row.id for row in rows if seal_of("".join([name, *(known[(text,)] for text in row[1:])])) != row.id}


def _rows_of_sets(
    connection: sa.Connection, ids: Collection[str], *which: sa.ColumnElement[bool]
) -> dict[str, list[Any]]:
    """Return the rows of each score set's scores, in their order."""
    query = sa.select(schema.SCORES).where(_SCORES.score_set.in_(ids), *which)
    by_set: dict[str, list[Any]] = {number: [] for number in ids}
    for row in map(tuple, fetched(connection, query.order_by(_SCORES.score_set, _SCORES.position))):
        by_set[row[0]].append(row)
    return by_set


def _altered_sets(connection: sa.Connection, by_set: Mapping[str, list[Any]]) -> set[str]:
    """Return the score sets whose contents, or all of whose scores, are not those that were stored."""
    stored, known = fetched_of(connection, sa.select(_SETS.id, _SETS.scores), _SETS.id, by_set), DigestTexts()
    altered = {number for number, digest in stored if _digest_of_scores(by_set[number], known) != digest}
    return altered | _broken(connection, schema.SCORE_SETS, by_set)


def _first_key(score_set: Any) -> str:
    """Return the first observation of a set: the observer's own."""
    parts = score_set.keys.split('"', 2)
    return parts[1] if len(parts) == 3 else ""


@lru_cache(maxsize=1024)
def _policy(details: str) -> str:
    how = parsed(details, dict).get("policy")
    if not how:
        return ""
    compiled = " compiled" if how.get("compile") else ""
    return f"{how.get('device')} {how.get('precision')}{compiled}, seed {how.get('seed')}"


def _programs(connection: sa.Connection, runs: Collection[str]) -> dict[str, tuple[str, str]]:
    table, environments = schema.RUNS.c, schema.ENVIRONMENTS.c
    query = sa.select(table.id, environments.content).join(schema.ENVIRONMENTS, environments.id == table.environment)
    made = {}
    for run, text in fetched_of(connection, query, table.id, runs):
        packages, imported = (parsed(text, dict).get(name) or {} for name in ("packages", "imported"))
        made[run] = str(packages.get("gestaltbench") or ""), str(imported.get("program") or "")
    return made


def _score_rows(
    score_set: Any, scores: Iterable[Any], policy: str, replaced: tuple[str, ...], program: str
) -> Iterable[ScoreRow]:
    """Yield the rows of a set. Each text is held once, because the driver creates a copy for each row."""
    shared = (score_set.name, score_set.kind, _tags(score_set.training), *score_set[3:8])
    digests = {**role_digests(score_set.stimuli), "": collection_digest(score_set.stimuli)}
    for _, _, metric, on, role, value, why, low, high, level, method, n, left, flags in scores:
        about = (*shared, digests.get(role, ""), _tags(flags), intern(metric), intern(on), intern(role), value)
        yield ScoreRow._make(
            (*about, intern(why), low, high, level, intern(method), n, left, policy, replaced, program)
        )


@lru_cache(maxsize=1024)
def _tags(text: str) -> tuple[str, ...]:
    return texts(text)


def run_notes(connection: sa.Connection) -> list[tuple[str, str]]:
    """Return the status and note of all runs that have ended, the oldest first."""
    table = schema.RUN_ENDS.c
    query = sa.select(table.status, table.note).order_by(table.ended, table.run)
    return [tuple(row) for row in fetched(connection, query)]


def score_origin(connection: sa.Connection, set_id: str) -> dict[str, Any]:
    """Return the origin of a score set: its run, its observations with their observers, and their runs."""
    rows = fetched(connection, sa.select(schema.SCORE_SETS).where(_SETS.id == set_id))
    if not rows:
        raise StoreError(f"the leaderboard has no score set {set_id}")
    score_set, keys = rows[0], texts(rows[0].observations)
    stated = [column for column in _OBSERVED if column.name not in ("observer", "run", "checksum")]
    query = sa.select(*stated, _OBSERVERS.name.label("observer"), _OBSERVERS.identity)
    query = query.join(schema.OBSERVERS, _OBSERVERS.id == _OBSERVED.observer)
    observed = {row.key: row for row in fetched_of(connection, query, _OBSERVED.key, keys)}
    computed = defaultdict[str, set[str]](set)
    for key, run in fetched_of(connection, _CHUNK_RUNS, _CHUNKS.observation, observed):
        computed[key].add(run)
    known = runs(connection, {score_set.run, *chain.from_iterable(computed.values())})
    return {
        **known[score_set.run],
        **{name: getattr(score_set, name) for name in ("suite", "version", "space", "code", "created")},
        "stimuli": parsed(score_set.stimuli, dict),
        "keys": list(keys),
        "observations": [
            {
                **observed[key]._mapping,
                "details": parsed(observed[key].details, dict),
                "runs": [run for run in known if run in computed[key]],
            }
            for key in keys
            if key in observed
        ],
        "runs": known,
    }


def runs_of_sets(connection: sa.Connection) -> dict[str, set[str]]:
    """Return, for each score set, the runs that computed its trials, and its own."""
    by_key = defaultdict[str, set[str]](set)
    for key, run in fetched(connection, _CHUNK_RUNS):
        by_key[key].add(run)
    sets = fetched(connection, sa.select(_SETS.id, _SETS.run, _SETS.observations))
    return {number: {run}.union(*(by_key[key] for key in texts(keys))) for number, run, keys in sets}


def runs(connection: sa.Connection, ids: Collection[str] | None = None) -> dict[str, Mapping[str, Any]]:
    """Return runs by id (None: all), oldest first: "run", "command", "environment", "started", "status", "ended"."""
    table, environments, ends = schema.RUNS.c, schema.ENVIRONMENTS.c, schema.RUN_ENDS.c
    stated = (table.command, environments.content.label("environment"), table.started, ends.status, ends.ended)
    query = (
        sa.select(table.id.label("run"), *stated)
        .join(schema.ENVIRONMENTS, environments.id == table.environment)
        .join(schema.RUN_ENDS, ends.run == table.id, isouter=True)
        .where(sa.true() if ids is None else table.id.in_(ids))
        .order_by(table.started, table.id)
    )
    rows = fetched(connection, query, ("status", "ended"))
    return {row.run: {**row._mapping, "environment": parsed(row.environment, dict)} for row in rows}


# Putting stored chunks together again: one trial table out of many observations.

Table = dict[str, Column]
TOGETHER = 50  # observations whose encoded chunks are in memory at once
LARGEST = 2**30  # bytes of one observation's columns: no suite stores a tenth of it
#: Digest of a stimulus set -> names and labels of its images, coded once for all blocks that show it.
Sets = dict[str, dict[str, Coded]]


def stored_trials(connection: sa.Connection, keys: Sequence[str], missing: Mapping[str, str], known: Sets) -> Trials:
    """Return the trials of observations in the order of the keys. known: sets by digest, read before or now."""
    parts = [part for part in _parts(connection, keys, known) if part]
    nothing = {name: np.empty(0, dtype="<U1") for name in ("role", "condition", "stimulus")}
    return Trials(columns=_union(parts) if parts else nothing, missing=dict(missing))


def trials_apart(connection: sa.Connection, keys: Sequence[str], known: Sets) -> dict[str, Trials]:
    """Return the stored trials of each observation that has any. known: as in `stored_trials`."""
    parts = zip(keys, _parts(connection, keys, known), strict=True)
    return {key: Trials(columns=_union([part])) for key, part in parts if part}


def _parts(connection: sa.Connection, keys: Sequence[str], known: Sets) -> Iterator[Table]:
    table, chunks = schema.OBSERVATIONS.c, schema.CHUNKS.c
    query: sa.Select[Any] = sa.select(table.key, table.stimuli, table.role, table.condition)
    observed = {row.key: row for row in fetched_of(connection, query, table.key, keys)}
    if lost := [key for key in keys if key not in observed]:
        raise StoreError(f"the leaderboard has no observation {lost[0]}")
    for digest in {row.stimuli for row in observed.values()} - known.keys():
        record = stimuli(connection, digest)
        names = Coded(np.array(record.ids), np.arange(len(record.ids)))
        known[digest] = {"stimulus": names, **{name: coded(values) for name, values in record.labels.items()}}
    chunks_query = counting_chunks(*chunks).order_by(chunks.observation, chunks.start)
    for some in batches(keys, TOGETHER):
        rows = defaultdict[str, list[Any]](list)
        for row in fetched_of(connection, chunks_query, chunks.observation, some):
            rows[row.observation].append(row)
        for key in some:
            yield _labelled(observed[key], rows.pop(key, []), known[observed[key].stimuli])


def chunk_columns(row: Any) -> Table:
    """Return the columns of a row of `chunks`. Raises StoreError if it differs from the stored row."""
    what = f"chunk {row.position} of observation {row.observation}"
    columns = decode_codes(bytes(row.payload), row.n, what)
    if sql.row_digest(schema.CHUNKS, row._mapping) != row.checksum:
        raise damaged(what, "its checksum does not fit its place and its content")
    return columns


def answers(connection: sa.Connection, key: str, index: Array) -> Columns:
    """Return the stored columns of single images of an observation, by their positions in its set, ascending."""
    query = sa.select(schema.CHUNKS).where(_CHUNKS.observation == key).order_by(_CHUNKS.start)
    parts = []
    for row in fetched_of(connection, query, _CHUNKS.position, (index // CHUNK).tolist()):
        own = index[(index >= row.start) & (index < row.start + row.n)] - row.start
        parts.append({name: values[own] for name, values in Columns(chunk_columns(row)).items()})
    return stacked_tables(parts)


def _labelled(observation: Any, chunks: Sequence[Any], shown: Mapping[str, Coded]) -> Table:
    """Return the answers in an observation's chunks, with role, condition, and the names and labels of the images."""
    if not chunks:
        return {}
    parts: list[Table] = []
    size = 0
    for row in chunks:
        parts.append(chunk_columns(row))
        size += sum((part.codes if isinstance(part, Coded) else part).nbytes for part in parts[-1].values())
        if size > LARGEST:
            raise damaged(f"observation {observation.key}", f"its chunks inflate to more than {LARGEST} bytes")
    answers = as_coded(_union(parts))
    index = np.concatenate([np.arange(row.start, row.start + row.n) for row in chunks])
    columns: Table = {
        name: Coded(np.array([text]), np.zeros(len(index), dtype=np.uint8))
        for name, text in (("role", observation.role), ("condition", observation.condition))
    }
    for name, labels in shown.items():
        columns[name] = Coded(labels.words, narrowed(labels.codes[index], len(labels.words)))
    if taken := sorted(columns.keys() & answers.keys()):
        raise StoreError(f"'{taken[0]}' of observation {observation.key} is both a label and an observed column")
    return {**columns, **answers}


def _union(parts: Sequence[Table]) -> Columns:
    try:
        return stacked_tables(parts)
    except ValueError as error:
        raise StoreError(str(error)) from error
