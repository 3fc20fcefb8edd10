"""A leaderboard as one document, and as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from benchmark.api.opening import notes_of, reading, suites_with_scores
from benchmark.api.standing import standing
from benchmark.leaderboard.model import REPORTED
from benchmark.variables import read_settings
from benchmark.version import __version__

if TYPE_CHECKING:
    from benchmark.leaderboard.exchange import Document
    from benchmark.store import ScoreRow, Store


def scores(suite: str | None = None, *, db: str | None = None) -> list[ScoreRow]:
    """Every current score of one suite or of all, single conditions included; those of older weights are flagged."""
    settings = read_settings(db)
    with reading(settings) as store:
        now = standing(store, settings)
        return [now.marked(row) for row in _scores(store, suite)]


def document(suite: str | None = None, *, db: str | None = None) -> Document:
    """Every current score with its conditions, intervals and provenance: `benchmark.leaderboard.exchange`."""
    from benchmark.leaderboard import exchange

    with reading(read_settings(db)) as store:
        rows = _scores(store, suite)
        names, digests = {row.observer for row in rows}, {row.stimuli for row in rows}
        origins = {one: store.provenance(one) for one in dict.fromkeys(row.set_id for row in rows)}
        runs = {run: facts for origin in origins.values() for run, facts in origin["runs"].items()}
        # a document counts its runs and score sets from 1: the digests of a leaderboard say nothing elsewhere
        order = sorted(runs, key=lambda run: (runs[run]["started"], run))
        numbers = {run: number for number, run in enumerate(order, 1)}
        sets_by_id = {one: number for number, one in enumerate(origins, 1)}
        sets = notes_of(store)
        return exchange.Document(
            program=__version__,
            observers=tuple(
                exchange.ExportedObserver.model_validate(row, from_attributes=True)
                for row in store.observers()
                if row.name in names
            ),
            stimuli=tuple(
                exchange.ExportedStimuli.model_validate(note, from_attributes=True)
                for digest, note in sets.items()
                if digest in digests
            ),
            runs=tuple(_run(numbers[run], runs[run]) for run in order),
            score_sets=tuple(
                _score_set(sets_by_id[one], facts, [numbers[run] for run in facts["runs"]])
                for one, facts in origins.items()
            ),
            scores=tuple(_score(row, sets_by_id[row.set_id]) for row in rows),
        )


def _scores(store: Store, suite: str | None) -> list[ScoreRow]:
    names = [one.name for one in suites_with_scores(store, suite)] + (
        [REPORTED] if suite in (None, "all") else []
    )
    return [row for name in names for row in store.latest_scores(suite=name)]


def _run(number: int, facts: Mapping[str, Any]) -> Any:
    from benchmark.leaderboard.exchange import ExportedRun

    names = ("command", "started", "ended", "status", "environment")
    stated = {name: facts[name] for name in names if facts.get(name) is not None}
    return ExportedRun.model_validate({"run": number, **stated})


def _score_set(number: int, facts: Mapping[str, Any], runs: Sequence[int]) -> Any:
    from benchmark.leaderboard.exchange import ExportedScoreSet

    names = ("suite", "version", "space", "code", "created", "stimuli")
    keys = tuple(facts["keys"])
    plain = {name: facts[name] for name in names}
    return ExportedScoreSet(id=number, observations=keys, runs=tuple(sorted(runs)), **plain)


def _score(row: ScoreRow, score_set: int) -> Any:
    from benchmark.leaderboard.exchange import ExportedScore

    plain: dict[str, Any] = {
        name: getattr(row, name)
        for name in ExportedScore.model_fields
        if name not in ("value", "low", "high", "score_set")
    }
    numbers = {name: _finite(getattr(row, name)) for name in ("value", "low", "high")}
    return ExportedScore.model_validate({**plain, **numbers, "score_set": score_set})


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def tidy(rows: Sequence[ScoreRow], *, db: str | None = None) -> list[dict[str, Any]]:
    """One record per score, for tables."""
    from benchmark.api.opening import stimuli_notes
    from benchmark.leaderboard.export import score_record
    from benchmark.leaderboard.model import describe

    sets = stimuli_notes(db=db)
    return [score_record(row, describe(row.stimuli, sets)) for row in rows]
