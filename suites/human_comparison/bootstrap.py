"""Resampling images within conditions and people within experiments, for all pairs of observers at once.

Row 0 of every array is the sample itself, rows 1..B are the resamples, so that value and interval come from the
same lines. Images are drawn once for all observers (they saw the same ones); equal rows of right and wrong are drawn
as one multinomial count, so the result depends neither on the order of the images nor on their names.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.agreement import expected_consistency, kappa_of
from benchmark.stats.bootstrap import Floats
from suites.human_comparison.consistency import Table, Tables

RESAMPLES = 1000
Measures = Mapping[str, Floats]  # metric -> [1 + B, k, k]


@dataclass(frozen=True)
class Draws:
    """One experiment under resampling.

    by_condition: condition -> metric -> [1 + B, k, k], all pairs of observers; accuracy: condition -> [1 + B, k];
    sizes: condition -> images; people: [1 + B, k - 1], how often each reference observer is drawn; kept: conditions
    that enter the averages.
    """

    by_condition: Mapping[str, Measures]
    accuracy: Mapping[str, Floats]
    sizes: Mapping[str, int]
    people: Floats
    kept: tuple[str, ...]

    def mean(self, metric: str) -> Floats:
        """Mean over the kept conditions, [1 + B, k, k] (there must be one)."""
        found: Floats = np.mean([self.by_condition[name][metric] for name in self.kept], axis=0)
        return found


def draw(tables: Tables, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """All pairs of observers of one experiment, in the sample and in `resamples` resamples."""
    by_condition, accuracy = {}, {}
    for table in tables.tables:
        rng = np.random.default_rng([seed, _number(tables.role), _number(table.condition)])
        p, observed = _resampled(table, resamples, rng)
        accuracy[table.condition] = p
        by_condition[table.condition] = _measures(p, observed)
    return Draws(
        by_condition,
        accuracy,
        {table.condition: len(table.right) for table in tables.tables},
        draw_people(tables.role, len(tables.observers) - 1, resamples, seed),
        tuple(table.condition for table in tables.tables if table.kept),
    )


def draw_people(role: str, count: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """How often each of `count` >= 1 people is drawn, [1 + B, count]; of two and more at least two different ones."""
    rng = np.random.default_rng([seed, _number(role), _number("people")])
    even = np.full(count, 1 / count)
    drawn: NDArray[np.int64] = rng.multinomial(count, even, size=resamples)
    while count > 1 and (again := drawn.max(axis=1) == count).any():
        drawn[again] = rng.multinomial(count, even, size=int(again.sum()))
    return np.concatenate([np.ones((1, count)), drawn]).astype(np.float64)


def against_people(pairs: Floats, people: Floats) -> Floats:
    """Mean over people of observer 0 with each of them: [1 + B, k, k], [1 + B, k - 1] -> [1 + B]."""
    found: Floats = (pairs[:, 0, 1:] * people).sum(axis=1) / people.sum(axis=1)
    return found


def among_people(pairs: Floats, people: Floats) -> Floats:
    """Mean over pairs of reference observers: [1 + B, k, k], [1 + B, k - 1] -> [1 + B]."""
    return pairs_among(pairs[:, 1:, 1:], people)


def pairs_among(pairs: Floats, people: Floats) -> Floats:
    """Mean over pairs of different people: [1 + B, h, h], [1 + B, h] -> [1 + B]; NaN where h = 1.

    A person who is drawn twice does not pair with himself; a pair counts as often as it is drawn.
    """
    first, second = np.triu_indices(people.shape[1], 1)
    weights = people[:, first] * people[:, second]
    total = weights.sum(axis=1)
    values = (pairs[:, first, second] * weights).sum(axis=1)
    found: Floats = np.full(len(total), np.nan)
    np.divide(values, total, out=found, where=total > 0)
    return found


def accuracy_draws(
    role: str, right: Sequence[int], of: Sequence[int], resamples: int = RESAMPLES, seed: int = 0
) -> Floats:
    """Pooled accuracy of an experiment over its conditions, `right` of `of` images in each: [1 + B]."""
    rng = np.random.default_rng([seed, _number(role), _number("accuracy")])
    n = np.asarray(of)
    p = np.asarray(right) / n
    drawn = rng.binomial(n, p, size=(resamples, len(n))).sum(axis=1)
    found: Floats = np.concatenate([[sum(right)], drawn]) / n.sum()
    return found


def interval(
    draws: Floats, level: float = 0.95, *, centred: bool = False
) -> tuple[float, float] | None:
    """Percentile interval of `draws` [1 + B], widened where needed to hold its value draws[0].

    centred: resamples are first moved by their mean's distance from the value. For squared differences: noise of
    sampling adds to them, so that resamples lie above the value as a whole. None where nothing varies.
    """
    value, resamples = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    if not len(resamples) or np.ptp(resamples) == 0:
        return None
    if centred:
        resamples = resamples - resamples.mean() + value
    low, high = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), value), max(float(high), value)


def _resampled(table: Table, resamples: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Accuracies [1 + B, k] and observed consistencies [1 + B, k, k]."""
    patterns, counts = np.unique(table.right, axis=0, return_counts=True)
    n, k = table.right.shape
    drawn = rng.multinomial(n, counts / n, size=resamples)
    weights = np.concatenate([counts[None, :], drawn]).astype(np.float64)
    right = patterns.astype(np.float64)
    same = (patterns[:, :, None] == patterns[:, None, :]).reshape(len(patterns), k * k)
    return weights @ right / n, (weights @ same.astype(np.float64) / n).reshape(-1, k, k)


def _measures(p: Floats, observed: Floats) -> Measures:
    one, two = p[:, :, None], p[:, None, :]
    return {
        "error_consistency": kappa_of(observed, expected_consistency(one, two)),
        "observed_consistency": observed,
        "accuracy_difference": (one - two) ** 2,
    }


def _number(text: str) -> int:
    return zlib.crc32(text.encode())
