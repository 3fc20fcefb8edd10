"""Published scores -> observers of the kind "reported" in the store, without any trials."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Final

from benchmark.contracts import Observer, Score
from benchmark.stimuli.catalogue import Named, known_of
from benchmark.stimuli.score_tables import ReportedScore
from benchmark.store import ScoreRow, ScoreSet, Store
from registry.files import digest_data

#: The kind of observer, and the suite of its scores as the store knows it.
REPORTED: Final = "reported"
SPACE = "as published"
NO_SUITE = "-"  # the role of a score that is no suite's subject

Key = tuple[str, str, str]  # role, metric, condition


@dataclass
class ScoresReport:
    """What came in. scores: new numbers; known: those that were there; changed: those that had another value."""

    observers: list[str] = field(default_factory=list)
    sources: tuple[str, ...] = ()
    scores: int = 0
    known: int = 0
    changed: int = 0
    notes: list[str] = field(default_factory=list)


def reported_name(observer: Named) -> str:
    """What an observer without trials is called: no name that one with trials has."""
    return f"{observer.name} ({observer.source}, {REPORTED})"


def put_scores(scores: Iterable[ReportedScore], store: Store, run: int) -> ScoresReport:
    """Store every observer's scores beside those that it has; of two values of one metric the newer one counts."""
    by_observer: dict[Named, list[ReportedScore]] = {}
    for score in scores:
        by_observer.setdefault(score.observer, []).append(score)
    report = ScoresReport(sources=tuple(sorted({one.source for one in by_observer})))
    before = _stored(store)
    for observer, rows in by_observer.items():
        name = reported_name(observer)
        report.observers.append(name)
        held, made = before.get(name, {}), {_key(row): _stated(row) for row in rows}
        report.known += sum(held.get(key) == score for key, score in made.items())
        report.changed += sum(key in held and held[key] != score for key, score in made.items())
        report.scores += len(made.keys() - held.keys())
        merged = {**held, **made}
        _put(store, run, observer, [merged[key] for key in sorted(merged)])
    return report


def _put(store: Store, run: int, observer: Named, scores: list[Score]) -> None:
    known = known_of(observer)
    card: dict[str, object] = {"source": observer.source, "named": observer.name}
    if known.family:
        card["family"] = known.family
    if known.training:
        card["training"] = list(known.training)
    identity = digest_data([REPORTED, *observer])
    row = store.put_observer(Observer(reported_name(observer), REPORTED, identity, card))
    code = digest_data([[repr(part) for part in _parts(score)] for score in scores])
    target = ScoreSet(row, REPORTED, 1, SPACE, code, {}, ())
    if not store.has_scores(target):
        store.put_scores(run, target, scores)


def _stored(store: Store) -> dict[str, dict[Key, Score]]:
    found: dict[str, dict[Key, Score]] = {}
    for row in store.latest_scores(suite=REPORTED):
        key = row.role, row.metric, row.condition
        found.setdefault(row.observer, {})[key] = _score(row)
    return found


def _key(score: ReportedScore) -> Key:
    return score.suite or NO_SUITE, score.metric, score.condition


def _stated(score: ReportedScore) -> Score:
    return _score(score, role=score.suite or NO_SUITE, flags=score.remarks)


def _score(given: ScoreRow | ReportedScore, **own: Any) -> Score:
    """What is called alike in both, and `own`."""
    alike = {
        one.name: getattr(given, one.name) for one in fields(Score) if hasattr(given, one.name)
    }
    return Score(**{**alike, **own})


def _parts(score: Score) -> tuple[object, ...]:
    numbers = (score.value, score.low, score.high, score.level, score.n)
    return (score.role, score.metric, score.condition, *numbers, score.method, *score.flags)
