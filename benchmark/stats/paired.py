"""Two observers on the stimuli that both answered: difference, interval, p, verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.bootstrap import (
    Floats,
    chunk_sizes,
    cluster_sums,
    divide,
    percentiles,
    resampled_sums,
)
from benchmark.stats.proportions import mcnemar_exact, normal_quantile, paired_difference
from benchmark.stats.ratios import indicators, ratio_arrays

__all__ = ["Comparison", "adjust", "compare_ratio", "holm", "mcnemar_exact"]

RESAMPLES = 2000
PERMUTATIONS = 9999
POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """One metric, observer a against observer b, on the trials that both have.

    a, b: values on those trials (None: undefined, see `reason`); difference: a - b with its
    interval at `level`; p: two-sided, for no difference; p_holm: p adjusted across a table
    (`adjust`), None before; n: common trials that count for at least one of the two; only_a,
    only_b: trials that the other one lacks; verdict: the outcome in words.
    """

    metric: str
    condition: str = ""
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    n: int = 0
    method: str = ""
    reason: str = ""
    verdict: str = ""
    only_a: int = 0
    only_b: int = 0
    level: float = 0.95


@dataclass(frozen=True)
class _Pairs:
    """Sums per common trial: `sums` [pairs, 4] is num a, den a, num b, den b; stimulus [pairs]."""

    sums: Floats
    stimulus: Array
    only_a: int
    only_b: int


def compare_ratio(
    metric: Metric,
    a: Trials,
    b: Trials,
    *,
    condition: str = "",
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """The paired difference of a ratio metric, over the (role, condition, stimulus) that both
    answered.

    Right/wrong on the same trials, each stimulus once: exact McNemar p and Tango's score
    interval.
    Otherwise: percentile bootstrap interval and a permutation p (a and b swapped stimulus by
    stimulus), both over whole stimuli. Such a p is never below 1 / (permutations + 1). No common
    trial, or an undefined value: everything is None and `reason` says why. `condition` is a label:
    filter the trials yourself.
    """
    if metric.ratio is None:
        return _undecided(
            Comparison(metric.name, condition, reason="the metric has no value per trial")
        )
    pairs = _paired(metric, a, b)
    start = Comparison(
        metric.name,
        condition,
        n=len(pairs.sums),
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        level=level,
    )
    if not len(pairs.sums):
        return _undecided(replace(start, reason="no trial in common"))
    num_a, den_a, num_b, den_b = pairs.sums.sum(axis=0)
    value_a, value_b = (num / den if den else None for num, den in ((num_a, den_a), (num_b, den_b)))
    start = replace(start, a=_plain(value_a), b=_plain(value_b))
    if start.a is None or start.b is None:
        who = "a and b" if start.a is None and start.b is None else "a" if start.a is None else "b"
        return _undecided(replace(start, reason=f"no common trial counts for {who}"))
    start = replace(start, difference=start.a - start.b)
    pairs = _counted(pairs)
    start = replace(start, n=len(pairs.sums))
    tested = _mcnemar(start, pairs) or _resampled(start, pairs, resamples, permutations, seed)
    return replace(tested, verdict=_verdict(tested))


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table with `p_holm` filled in and verdicts that rest on it."""
    at = [i for i, item in enumerate(comparisons) if item.p is not None]
    adjusted = list(comparisons)
    for i, p in zip(at, holm([comparisons[i].p or 0.0 for i in at]), strict=True):
        item = replace(comparisons[i], p_holm=float(p))
        adjusted[i] = replace(item, verdict=_verdict(item))
    return adjusted


def holm(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Step-down adjusted p values [m], in the given order (Holm 1979, Scandinavian J. Statistics
    6:65).

    ValueError unless all lie in [0, 1].
    """
    p = np.asarray(pvalues, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p values must be a flat list of numbers between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)


def _paired(metric: Metric, a: Trials, b: Trials) -> _Pairs:
    """Sums of both observers on the trials that both have, sorted by key."""
    mine = [t.of(metric.role) if metric.role and len(t) else t for t in (a, b)]
    (keys_a, at_a), (keys_b, at_b) = (_keyed(trials) for trials in mine)
    common, in_a, in_b = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
    sums_a = _sums(metric, mine[0], _places(in_a, len(keys_a))[at_a], len(common))
    sums_b = _sums(metric, mine[1], _places(in_b, len(keys_b))[at_b], len(common))
    stimulus = np.array([str(key).rsplit("\x1f", 1)[-1] for key in common], dtype=str)
    both = np.concatenate([sums_a, sums_b], axis=1)
    return _Pairs(both, stimulus, len(keys_a) - len(common), len(keys_b) - len(common))


def _counted(pairs: _Pairs) -> _Pairs:
    """The pairs that count for at least one of the two, in the numerator (of a ratio of two conditions) or below it."""
    keep = (pairs.sums != 0).any(axis=1)
    return replace(pairs, sums=pairs.sums[keep], stimulus=pairs.stimulus[keep])


def _keyed(trials: Trials) -> tuple[Array, Array]:
    """Unique keys role/condition/stimulus [k], and which of them each trial has [n]."""
    if not len(trials):
        return np.zeros(0, dtype=str), np.zeros(0, dtype=np.int64)
    parts = zip(*(trials[name] for name in ("role", "condition", "stimulus")), strict=True)
    names, at = np.unique(["\x1f".join(map(str, part)) for part in parts], return_inverse=True)
    return names, at


def _places(kept: Array, k: int) -> Array:
    """[k] position of each key among those kept, -1 for others."""
    places = np.full(k, -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    return places


def _sums(metric: Metric, trials: Trials, place: Array, k: int) -> Floats:
    """Sums of num and den at each common key, [k, 2]. place: [n] the trial's key, -1 where it is not common.

    The ratio is given the common trials alone: it may weigh a trial by how many others there are.
    """
    common = place >= 0
    num, den, _ = ratio_arrays(metric, trials.where(common))
    return np.column_stack([np.bincount(place[common], x, k) for x in (num, den)])


def _mcnemar(start: Comparison, pairs: _Pairs) -> Comparison | None:
    """The exact test, where every pair counts for both and no stimulus repeats; else None."""
    num_a, den_a, num_b, den_b = pairs.sums.T
    whole = (den_a == 1).all() and (den_b == 1).all()
    binary = indicators(num_a, den_a) and indicators(num_b, den_b)
    if not (whole and binary) or len(np.unique(pairs.stimulus)) < start.n:
        return None
    only_a, only_b = int((num_a > num_b).sum()), int((num_b > num_a).sum())
    low, high = paired_difference(only_a, only_b, start.n, start.level)
    return replace(
        start,
        low=low,
        high=high,
        p=mcnemar_exact(only_a, only_b),
        method="exact McNemar test; Tango score interval",
    )


def _resampled(
    start: Comparison, pairs: _Pairs, resamples: int, permutations: int, seed: int
) -> Comparison:
    """Paired bootstrap interval and permutation p over stimuli; neither from a single stimulus."""
    sums = cluster_sums(pairs.sums, pairs.stimulus)
    if len(sums) < 2:
        return replace(start, reason="one common stimulus: nothing to resample")
    drawn = resampled_sums(sums, resamples, seed)
    low, high = percentiles(
        divide(drawn[:, 0], drawn[:, 1]) - divide(drawn[:, 2], drawn[:, 3]), start.level
    )
    method = (
        f"paired bootstrap ({resamples} resamples, by stimulus); "
        f"permutation test ({permutations} swaps of a and b, by stimulus)"
    )
    return replace(start, low=low, high=high, p=_swap_test(sums, permutations, seed), method=method)


def _swap_test(sums: Floats, permutations: int, seed: int) -> float:
    """Two-sided p of the difference of ratios under random swaps of a and b by stimulus.

    sums: [stimuli, 4]. p = (1 + as extreme) / (1 + permutations) (Phipson & Smyth 2010, SAGMB
    9:39).
    Swaps that leave a ratio undefined count as extreme.
    """
    rng = np.random.default_rng(seed)
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    total = sums.sum(axis=0)
    step = kinds[:, [2, 3, 0, 1]] - kinds
    seen = abs(total[0] / total[1] - total[2] / total[3])
    extreme = 0
    for size in chunk_sizes(permutations, len(kinds)):
        moved = total + rng.binomial(counts, 0.5, size=(size, len(kinds))) @ step
        gap = np.abs(divide(moved[:, 0], moved[:, 1]) - divide(moved[:, 2], moved[:, 3]))
        extreme += int((~(gap < seen - 1e-12)).sum())
    return (1 + extreme) / (1 + permutations)


def _undecided(comparison: Comparison) -> Comparison:
    return replace(comparison, verdict=f"not compared: {comparison.reason}")


def _verdict(item: Comparison) -> str:
    """The outcome in words; rests on the adjusted p where there is one."""
    p = item.p if item.p_holm is None else item.p_holm
    if p is None or item.difference is None or item.low is None or item.high is None:
        return f"not compared: {item.reason}"
    uncommon = item.only_a + item.only_b
    rest = f"; {uncommon} trials are not common" if uncommon else ""
    if p < 1 - item.level and item.difference != 0:
        return f"{'a' if item.difference > 0 else 'b'} is higher{rest}"
    z = normal_quantile(item.level)
    detectable = (z + NormalDist().inv_cdf(POWER)) * (item.high - item.low) / (2 * z)
    return f"not separable at n={item.n} (smallest detectable difference ~ {detectable:.2g}){rest}"
