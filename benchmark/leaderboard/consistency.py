"""Error consistency of observers by experiment and condition: who errs on the same images.

Geirhos, Meding & Wichmann 2020 (NeurIPS); the formulas are in `benchmark.stats.agreement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from benchmark.contracts import Trials
from benchmark.errors import BenchError, TrialsError, unknown_name
from benchmark.stats.agreement import Agreement, Matched, agreement, match
from benchmark.stimuli.generated import shared_exemplars

#: experiment -> observer -> trials
Answered = Mapping[str, Mapping[str, Trials]]
ALL = "all trials"


@dataclass(frozen=True)
class Pair:
    """Two observers under one condition of one experiment (`ALL`: over several)."""

    experiment: str
    condition: str
    a: str
    b: str
    agreement: Agreement


def shared(answered: Answered, experiment: str | None = None) -> Answered:
    """The experiments that at least two observers answered, or the one that is asked for.

    Raises UnknownName where it is none of them, BenchError where there is none at all.
    """
    found = {role: who for role, who in sorted(answered.items()) if len(who) > 1}
    if experiment is not None and experiment not in found:
        raise unknown_name("experiment of two or more of these observers", experiment, found)
    if not found:
        raise BenchError(
            "these observers answered no common experiment. `bench show NAME` lists what each has."
        )
    return found if experiment is None else {experiment: found[experiment]}


def pairs(answered: Answered) -> Iterator[Pair]:
    """Every pair of observers of every experiment, by condition."""
    for experiment, who in answered.items():
        for a, b in combinations(who, 2):
            for condition, found in by_condition(who[a], who[b]):
                yield Pair(experiment, condition, a, b, found)


def by_condition(a: Trials, b: Trials) -> Iterator[tuple[str, Agreement]]:
    """(condition, agreement) for each condition of one experiment, then (`ALL`, ...) where there are several."""
    found = matched([a, b])
    conditions = dict.fromkeys(found.condition.tolist())
    for condition in conditions:
        inside = found.condition == condition
        right, clusters = found.right[inside], shared_exemplars(a, found.stimulus[inside])
        yield condition, agreement(right[:, 0], right[:, 1], [*clusters.values()])
    if len(conditions) != 1:
        clusters = shared_exemplars(a, found.stimulus)
        yield ALL, agreement(found.right[:, 0], found.right[:, 1], [*clusters.values()])


def matched(observers: Sequence[Trials], *, every: bool = True) -> Matched:
    """As `stats.agreement.match`, of stored trials. TrialsError where one observer has two answers to one trial."""
    try:
        return match(observers, every=every)
    except ValueError as error:
        raise TrialsError(f"stored trials cannot be matched: {error}") from error


def pair_record(pair: Pair) -> Iterator[dict[str, Any]]:
    """A pair as one row: counts of images, observed and expected consistency, kappa with its interval."""
    found = pair.agreement
    counts = found.table
    yield {
        "experiment": pair.experiment,
        "condition": pair.condition,
        "a": pair.a,
        "b": pair.b,
        "n": counts.n,
        "both_right": counts.both,
        "only_a": counts.only_a,
        "only_b": counts.only_b,
        "both_wrong": counts.neither,
        "observed": found.observed,
        "expected": found.expected,
        "kappa": found.kappa,
        "low": found.low,
        "high": found.high,
        "method": found.method,
        "reason": found.reason,
    }
