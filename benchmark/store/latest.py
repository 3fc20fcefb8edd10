"""The newest scores of everybody: what tables are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from sys import intern
from typing import Any, NamedTuple

from benchmark.store.json_columns import parsed, texts
from benchmark.store.questions import CURRENT, Reader, batches, select, within
from benchmark.store.score_rules import check
from benchmark.store.scores import COUNTS, collection_digest, has_sets, role_digests
from benchmark.store.table_rows import ScoreRow

_KEY_ROOM = 200  # characters: more than one key (64) in its quotes
_SET = (
    *("observers.name", "observers.kind", "registrations.training"),
    *("score_sets.suite", "score_sets.version", "score_sets.space", "score_sets.created"),
    *("score_sets.id", "score_sets.stimuli"),
    f"substr(score_sets.observations, 1, {_KEY_ROOM})",
)
#: As they stand in a ScoreRow.
_SCORE = (
    *("scores.metric", "scores.condition", "scores.role", "scores.value", "scores.reason"),
    *("scores.low", "scores.high", "scores.level", "scores.method", "scores.n", "scores.excluded"),
)


@dataclass(frozen=True)
class Wanted:
    """Which scores: None means all."""

    suite: str | None = None
    metrics: Collection[str] | None = None
    observers: Collection[str] | None = None
    space: str | None = None
    conditions: Collection[str] | None = None


class _Made(NamedTuple):
    """A score set, and whose it is."""

    name: str
    kind: str
    training: str
    suite: str
    version: int
    space: str
    created: str
    id: int
    stimuli: str
    keys: str  # the beginning of a JSON list

    @property
    def first_key(self) -> str:
        """The first observation: the observer's own."""
        parts = self.keys.split('"', 2)
        return parts[1] if len(parts) == 3 else ""


def latest_scores(reader: Reader, wanted: Wanted) -> list[ScoreRow]:
    """Of each (observer name, suite, space, stimuli): the newest set of the newest version."""
    newest: dict[tuple[str, str, str, str], _Made] = {}
    replaced: dict[tuple[str, str, str, str], list[str]] = {}
    for one in _current_sets(reader, wanted):
        group = (one.name, one.suite, one.space, one.stimuli)
        best = newest.setdefault(group, one)
        if best is one:
            continue
        replaced.setdefault(group, [best.first_key]).append(one.first_key)
        if (one.version, one.id) > (best.version, best.id):
            newest[group] = one
    found = sorted(newest.values(), key=lambda one: (one.name, one.id))
    earlier = {newest[group].id: keys for group, keys in replaced.items()}
    return _rows(reader, found, wanted, earlier)


def _current_sets(reader: Reader, wanted: Wanted) -> Iterator[_Made]:
    """The score sets of current observers."""
    if wanted.suite is not None and not has_sets(reader, wanted.suite):
        return
    asked = {"suite": wanted.suite, "space": wanted.space}
    values = {name: value for name, value in asked.items() if value is not None}
    conditions = [COUNTS, *(f"score_sets.{name} = :{name}" for name in values)]
    sets = f"FROM {CURRENT} JOIN score_sets ON score_sets.observer = observers.id"
    rows = select(reader, _SET, f"{sets} WHERE {' AND '.join(conditions)}", **values)
    names = None if wanted.observers is None else set(wanted.observers)
    yield from (_Made._make(row) for row in rows if names is None or row[0] in names)


def _rows(
    reader: Reader, sets: Sequence[_Made], wanted: Wanted, earlier: Mapping[int, Sequence[str]]
) -> list[ScoreRow]:
    """The scores of some sets, in the sets' order. earlier: set -> first observations of all that it was made by."""
    keys = [one.first_key for one in sets]
    policies = _policies(reader, [*keys, *chain.from_iterable(earlier.values())])
    rows: list[ScoreRow] = []
    for some in batches(zip(sets, keys, strict=True)):  # of a big board only a batch is held twice
        scores = _scores(reader, wanted, [one.id for one, _ in some])
        for one, key in some:
            policy = policies.get(key, "")
            others = {policies.get(other, "") for other in earlier.get(one.id, ())} - {policy, ""}
            rows += _of_set(one, scores.get(one.id, ()), policy, tuple(sorted(others)))
    return rows


def _scores(
    reader: Reader, wanted: Wanted, sets: Sequence[int]
) -> dict[int, list[tuple[Any, ...]]]:
    """Score set -> its scores, in the order of storing."""
    rest, values = within("scores.score_set", sets)
    for name, some in (("metric", wanted.metrics), ("condition", wanted.conditions)):
        if some is not None:
            text, more = within(f"scores.{name}", sorted(set(some)))
            rest, values = f"{rest} AND {text}", {**values, **more}
    columns = (*_SCORE, "scores.flags", "scores.score_set")
    order = "ORDER BY scores.score_set, scores.position"
    found = select(reader, columns, f"FROM scores WHERE {rest} {order}", **values)
    check([name.removeprefix("scores.") for name in columns], found)
    scores: dict[int, list[tuple[Any, ...]]] = {}
    for row in found:
        scores.setdefault(row[-1], []).append(row)
    return scores


def _policies(reader: Reader, keys: Iterable[str]) -> dict[str, str]:
    """Observation -> how it was run, in words; imported ones are left out."""
    columns = ("observations.key", "observations.details")
    found: dict[str, str] = {}
    for some in batches(sorted(set(keys) - {""})):
        text, values = within("observations.key", some)
        rows = select(reader, columns, f"FROM observations WHERE {text}", **values)
        found |= {key: _policy(details) for key, details in rows}
    return found


@lru_cache(maxsize=1024)
def _policy(details: str) -> str:
    how = parsed(details, dict).get("policy")
    if not how:
        return ""
    compiled = " compiled" if how.get("compile") else ""
    return f"{how.get('device')} {how.get('precision')}{compiled}, seed {how.get('seed')}"


def _of_set(
    made: _Made, scores: Iterable[tuple[Any, ...]], policy: str, replaced: tuple[str, ...]
) -> Iterator[ScoreRow]:
    """The rows of a set: what they share, what depends on the role, what is the score's. A text is held once: the
    driver makes it anew for each row."""
    shared = (made.name, made.kind, _texts(made.training), *made[3:8])
    digests = {**role_digests(made.stimuli), "": collection_digest(made.stimuli)}
    new, how = tuple.__new__, (policy, replaced)
    for metric, on, role, value, why, low, high, level, method, n, left, flags, _ in scores:
        stated = (digests.get(role, ""), _texts(flags), intern(metric), intern(on), intern(role))
        numbers = (value, intern(why), low, high, level, intern(method), n, left)
        yield new(ScoreRow, (*shared, *stated, *numbers, *how))


@lru_cache(maxsize=1024)
def _texts(text: str) -> tuple[str, ...]:
    return texts(text)
