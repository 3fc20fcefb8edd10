"""Error consistency of two observers (Geirhos, Meding & Wichmann 2020, NeurIPS, equations 1-3): c_obs is the share of
images on which both are correct or both incorrect, c_exp = p_a p_b + (1 - p_a)(1 - p_b) from the accuracies, and kappa
= (c_obs - c_exp) / (1 - c_exp); kappa is 1 by definition if c_obs = 1."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.contracts.trials import KEY
from benchmark.failures import TrialsError
from benchmark.stats.clusters import clustered_variance
from benchmark.stats.differences import normal_tail
from benchmark.stats.intervals import Floats, normal_quantile, percentiles, t_quantile

Flags = NDArray[np.bool_]
RESAMPLES, LEVEL = 1000, 0.95
POINTS = 4001  # between -1 and 1, at which a kappa is tested; 0 is one
PRIOR = (0.5, 0.25, 0.25, 0.5)  # images: both right, only a, only b, neither; four halves would pull to disagreement


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two observers on n common images, counted by who was right."""

    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    observed: float | None = None
    expected: float | None = None
    kappa: float | None = None  # None: undefined, see `reason`
    low: float | None = None  # 95 % interval of kappa; None from fewer than two images
    high: float | None = None
    method: str = ""  # of the interval
    reason: str = ""
    least: float | None = None  # the kappas that the two accuracies allow
    most: float | None = None
    unbiased: float | None = None  # `unbiased_kappa`
    p: float | None = None  # of the test that kappa is 0
    copied: float | None = None  # `copy_probability`; None if the more accurate one is always correct, or never
    copied_low: float | None = None
    copied_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class AgreementMatrix:
    """All pairs of k observers, each array [k, k] and symmetric: NaN where n, the number of common images, is 0."""

    observed: Floats
    expected: Floats
    kappa: Floats
    n: NDArray[np.int64]  # images that both of a pair answered


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Right answers of k observers, trial by trial, sorted by role, condition, stimulus."""

    right: Flags  # [n, k]
    present: Flags  # [n, k]
    role: Array  # [n] text
    condition: Array
    stimulus: Array


def expected_consistency(p_a: Array | float, p_b: Array | float) -> Floats:
    """Return c_exp of two accuracies in [0, 1], elementwise."""
    return np.asarray(p_a * p_b + (1 - p_a) * (1 - p_b))


def kappa_of(observed: Array | float, expected: Array | float) -> Floats:
    """Return the kappa from c_obs and c_exp in [0, 1], elementwise; exactly 1 where c_obs = 1."""
    room = np.where(observed == 1, 1.0, 1 - expected)
    return np.where(observed == 1, 1.0, (observed - expected) / np.where(room == 0, 1.0, room))


def attainable(p_a: Array | float, p_b: Array | float) -> tuple[Floats, Floats]:
    """Return the lowest and the highest kappa of two observers of these accuracies in [0, 1], elementwise."""
    expected = expected_consistency(p_a, p_b)
    return kappa_of(np.abs(p_a + p_b - 1), expected), kappa_of(1 - np.abs(p_a - p_b), expected)


def copy_probability(better: Array | float, other: Array | float, observed: Array | float) -> Floats:
    """Return the probability, elementwise, with which the other observer copies the correctness of the better one
    instead of answering independently. It follows from both accuracies and c_obs; if it is negative, the other takes
    the opposite. NaN if the better one is always correct or always incorrect."""
    together, room = observed - expected_consistency(better, other), np.asarray(2 * better * (1 - better))
    return np.asarray(np.divide(together, room, out=np.full(room.shape, np.nan), where=room > 1e-12))


def unbiased_kappa(kappa: Array | float, n: Array | float) -> Floats:
    """Return n kappa / (n - 1 + kappa), elementwise; NaN for two images with opposite answers."""
    room = np.asarray(n - 1 + kappa, dtype=float)
    return np.asarray(np.divide(n * kappa, room, out=np.full(room.shape, np.nan), where=room > 0))


def pairwise(right: Array, present: Array | None = None) -> AgreementMatrix:
    """Return all pairs at once, by matrix products, from right answers [n images, k observers]. present: [n, k] bool,
    who answered what (None: all). A pair is taken on the images that both answered; NaN without any."""
    there = np.ones(np.shape(right)) if present is None else np.asarray(present, dtype=float)
    yes = np.asarray(right, dtype=float) * there
    no = there - yes
    n = there.T @ there
    some = np.where(n > 0, n, np.nan)
    observed = (yes.T @ yes + no.T @ no) / some
    p = (yes.T @ there) / some  # [i, j]: accuracy of i on the images that j answered, too
    expected = expected_consistency(p, p.T)
    return AgreementMatrix(observed=observed, expected=expected, kappa=kappa_of(observed, expected), n=n.astype(int))


def agreement(
    a: Array, b: Array, clusters: Sequence[Array] = (), *, strata: Array | None = None, resamples: int = RESAMPLES
) -> Agreement:
    """Return the kappa of correct answers a, b [n] bool on the same images, with a 95 % interval and the p of no
    agreement beyond chance. Both are from one score test. Components that images share (`clusters`, [n] each) make its
    variance two-way cluster-robust. Every number except the counts is a mean over conditions (`strata` [n]; None: one):
    pooled conditions of different difficulty make independent observers agree."""
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    codes = np.unique(np.zeros(len(first)) if strata is None else strata, return_inverse=True)[1]
    cells = (first & second, first & ~second, ~first & second, ~first & ~second)
    counts = np.stack([np.bincount(codes, cell) for cell in cells], axis=1).astype(np.float64)
    both, only_a, only_b, neither = counts.sum(axis=0).astype(int).tolist()
    point = Agreement(n=len(first), both=both, only_a=only_a, only_b=only_b, neither=neither)
    if point.n == 0:
        return replace(point, reason="no image in common")
    p_a, p_b, _, _, kappa = each = _of_counts(counts)
    least, most = (float(end.mean()) for end in attainable(p_a, p_b))
    names = ("accuracy_a", "accuracy_b", "observed", "expected", "kappa")
    means = dict(zip(names, each.mean(axis=1).tolist(), strict=True))
    point = replace(point, least=least, most=most, **means)
    if point.n < 2:
        return point
    share = _independent_share(first, second, codes, clusters) if clusters else 1.0
    low, high, tail = _tested(np.asarray(counts * share, dtype=np.float64), float(kappa.mean()))
    method = "score test" + (f", mean over {len(counts)} conditions" if len(counts) > 1 else "")
    corrected = float(unbiased_kappa(kappa, counts.sum(axis=1)).mean())
    point = replace(point, low=low, high=high, p=tail, method=method + (", clustered" if clusters else ""))
    point = replace(point, unbiased=corrected if np.isfinite(corrected) else None)
    if len(counts) > 1:
        return point
    # The copy model refers to one condition; its interval is that of the four counts under Jeffreys' prior.
    weighed = counts[0] * share
    p, q, seen = _of_counts(weighed[None])[:3, 0]
    better, other = (0, 1) if p >= q else (1, 0)
    copied = float(copy_probability((p, q)[better], (p, q)[other], seen))
    if not np.isfinite(copied):
        return point
    drawn = _of_counts(np.random.default_rng(0).dirichlet(weighed + PRIOR, size=resamples))
    ends = percentiles(copy_probability(drawn[better], drawn[other], drawn[2]), LEVEL)
    return replace(point, copied=copied, copied_low=min(ends[0], copied), copied_high=max(ends[1], copied))


def _tested(counts: Floats, kappa: float) -> tuple[float, float, float]:
    """Return (low, high, p) of the mean kappa of conditions [k, 4] from one score test."""
    # kappa is x if (kappa - x)^2 is within 1.96^2 variances, each condition's under kappa x at its accuracies (with
    # `PRIOR`), as far as they allow it. At x = 0 they are the variances of independent answers.
    p, q, _, chance, _ = _of_counts(counts + PRIOR)
    least, most = attainable(p, q)
    at = np.linspace(-1, 1, POINTS)
    x = np.clip(at[:, None], least, most)
    together = x * (1 - chance) / 2
    variance = np.zeros_like(x)
    for right_a, right_b in ((1, 1), (1, 0), (0, 1), (0, 0)):
        same = right_a == right_b
        cell = np.where(right_a, p, 1 - p) * np.where(right_b, q, 1 - q) + (together if same else -together)
        by_chance = (2 * q - 1) * (right_a - p) + (2 * p - 1) * (right_b - q)
        influence = (same - chance - x * (1 - chance) - (1 - x) * by_chance) / (1 - chance)
        variance += np.maximum(cell, 0) * influence**2
    n = counts.sum(axis=1)
    variance /= np.maximum(n - 1, 0.5)
    variance[:, (counts[:, 0] == n) | (counts[:, 3] == n)] = 1.0  # nobody errs, or is right: kappa is a definition
    spread = np.sqrt(variance.sum(axis=1)) / len(counts)
    inside = at[np.abs(kappa - at) <= normal_quantile(LEVEL) * np.maximum(spread, 1e-12)]
    low, high = (float(inside[0]), float(inside[-1])) if len(inside) else (kappa, kappa)
    return min(low, kappa), max(high, kappa), normal_tail(kappa / float(spread[POINTS // 2]))


def _independent_share(a: Array, b: Array, codes: Array, clusters: Sequence[Array]) -> float:
    """Return how many independent images one image is worth, at most 1. codes: [n] conditions, from 0."""
    n = np.bincount(codes)

    def mean(values: Array) -> Floats:
        return np.asarray((np.bincount(codes, values) / n)[codes])

    same, p_a, p_b = 1.0 * (a == b), mean(a), mean(b)
    seen, chance = mean(same), expected_consistency(p_a, p_b)
    room = np.where(seen < 1, 1 - chance, 1.0)
    by_chance = (2 * p_b - 1) * (a - p_a) + (2 * p_a - 1) * (b - p_b)
    # What each image adds to kappa, to first order; nothing where kappa is 1.
    influence = np.where(seen < 1, (same - seen - (1 - seen) / room * by_chance) / room, 0.0) / n[codes] / len(n)
    alone = clustered_variance(influence, [np.arange(len(influence))])
    together = clustered_variance(influence, clusters)
    if together.value == 0:  # no spread to see: each cluster of the factor with fewest counts as one image
        return (together.df + 1) / len(influence)
    wider = (t_quantile(LEVEL, together.df) / normal_quantile(LEVEL)) ** 2
    return min(1.0, alone.value / together.value / wider)


def match(trials: Sequence[Trials], *, every: bool = True) -> Matched:
    """Return trials by (role, condition, stimulus). every: only the trials that all observers have; otherwise those of
    any (missing ones are not correct). Raises TrialsError if an observer has two answers to one trial."""
    keyed: list[tuple[Array, Array]] = []  # each observer's sorted keys, and whether the answer at each was right
    for each in trials:
        keys, right = np.empty(0, dtype=str), np.zeros(0, dtype=bool)
        if len(each):
            keys, right = each.keys[each.by_key], (each["response"] == each["category"])[each.by_key]
        if len(repeated := np.flatnonzero(keys[1:] == keys[:-1])):
            where = keys[repeated[0]].split(KEY)
            raise TrialsError(f"stored trials have two answers to one trial: role, condition, stimulus = {where}")
        keyed.append((keys, right))
    join = np.intersect1d if every else np.union1d
    names = [keys for keys, _ in keyed] or [np.empty(0, dtype=str)]
    kept = reduce(lambda all_, own: all_ if np.array_equal(all_, own) else join(all_, own), names)
    answers, present = np.zeros((2, len(kept), len(keyed)), dtype=bool)
    for column, (keys, right) in enumerate(keyed):
        there = np.ones(len(kept), dtype=bool) if every else np.isin(kept, keys)
        present[:, column] = there
        answers[there, column] = right[np.searchsorted(keys, kept[there])]
    parts = np.array(KEY.join(kept.tolist()).split(KEY)[: 3 * len(kept)], dtype=str).reshape(len(kept), 3)
    return Matched(right=answers, present=present, role=parts[:, 0], condition=parts[:, 1], stimulus=parts[:, 2])


def _of_counts(counts: Array) -> Floats:
    """Return [5, m]: p_a, p_b, c_obs, c_exp, kappa from counts [m, 4] (both, only a, only b, neither)."""
    both, only_a, only_b, neither = np.asarray(counts, dtype=float).T
    n = both + only_a + only_b + neither
    p_a, p_b, seen = (both + only_a) / n, (both + only_b) / n, (both + neither) / n
    chance = expected_consistency(p_a, p_b)
    return np.stack([p_a, p_b, seen, chance, kappa_of(seen, chance)])
