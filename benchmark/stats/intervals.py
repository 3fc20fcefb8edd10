"""Resampling over stimuli."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import cos, exp, inf, lgamma, log, log1p, pi, sin, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.contracts import Array

# One proportion (Wilson), and two on the same stimuli (Tango interval, exact McNemar test).


@lru_cache(maxsize=256)  # a board asks for each of its rows
def normal_quantile(level: float) -> float:
    """z such that a two-sided normal interval at `level` is +- z (ValueError: level)."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    return -NormalDist().inv_cdf((1 - level) / 2)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion, without continuity correction (Wilson 1927, JASA 22:209).

    0 <= successes <= n, n >= 1 (else ValueError). Returns (low, high) within [0, 1]; low is exactly
    0 where nothing succeeded and high exactly 1 where everything did.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"needs 0 <= successes <= n and n >= 1, got {successes} of {n}")
    z2 = normal_quantile(level) ** 2
    p = successes / n
    centre = (successes + z2 / 2) / (n + z2)
    half = sqrt(z2 * (n * p * (1 - p) + z2 / 4)) / (n + z2)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar test that b of b + c discordant pairs is one half: p in (0, 1].

    b, c: pairs that only one of the two got right (>= 0, else ValueError); b + c = 0 gives 1.
    McNemar 1947, Psychometrika 12:153.
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts of discordant pairs cannot be negative, got {b} and {c}")
    n, few = b + c, min(b, c)
    if b == c:
        return 1.0
    k = np.arange(1, few + 1)
    log_terms = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))]) - n * log(2)
    return min(1.0, 2 * float(np.exp(log_terms).sum()))


def paired_difference(b: int, c: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of p_a - p_b from n pairs (Tango 1998, Statistics in Medicine 17:891), within
    [-1, 1].

    b: pairs that only a got right; c: pairs that only b got right; n: all pairs (b + c <= n, n >=
    1, else ValueError). At b = c = 0 it still has width: nothing seen is not nothing there.
    """
    if min(b, c) < 0 or n < 1 or b + c > n:
        raise ValueError(f"paired counts need 0 <= b + c <= n and n >= 1, got b={b}, c={c}, n={n}")
    z = normal_quantile(level)
    seen = (b - c) / n
    low = -1.0 if c == n else _crossing(b, c, n, z, (-1.0, seen))
    high = 1.0 if b == n else _crossing(b, c, n, -z, (seen, 1.0))
    return low, high


def _crossing(b: int, c: int, n: int, target: float, between: tuple[float, float]) -> float:
    """The difference at which the (falling) score statistic equals `target`, by bisection."""
    low, high = between
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(b, c, n, middle) > target else (low, middle)
    return (low + high) / 2


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's score statistic for p_a - p_b = delta, at the restricted estimate."""
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    nuisance = (sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * nuisance + delta * (1 - delta))
    gap = b - c - n * delta
    if variance <= 0:
        return float("inf") if gap > 0 else float("-inf") if gap < 0 else 0.0
    return gap / sqrt(variance)


# Student's t with any number of degrees of freedom above 0, fractions included (Satterthwaite's are).


TINY = 1e-300


def t_tail(t: float, df: float) -> float:
    """P(|T| >= |t|), accurate far out."""
    if df <= 0:
        raise ValueError(f"degrees of freedom must be above 0, got {df}")
    if abs(t) == inf:
        return 0.0
    return incomplete_beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))


@lru_cache(maxsize=2**12)
def t_quantile(level: float, df: float) -> float:
    """t such that a two-sided t interval at `level` with `df` > 0 degrees of freedom is +- t."""
    if not 0 < level < 1 or df <= 0:
        raise ValueError(f"needs 0 < level < 1 and df > 0, got {level} and {df}")
    low, high = 0.0, pi / 2  # of the angle whose tangent is t / sqrt(df): a bounded search
    for _ in range(60):
        angle = (low + high) / 2
        inside = incomplete_beta(df / 2, 0.5, cos(angle) ** 2, sin(angle) ** 2) > 1 - level
        low, high = (angle, high) if inside else (low, angle)
    return sqrt(df) * sin(low) / cos(low)


def incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Regularised incomplete beta function of x in [0, 1]; rest: 1 - x, given apart as it may be tiny.

    Continued fraction by Lentz' method (DLMF 8.17.22; Thompson & Barnett 1986, J. Computational Physics 64:490).
    """
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, rest, x)
    log_x = log(x) if x < 0.5 else log1p(-rest)
    front = a * log_x + b * log(rest) + lgamma(a + b) - lgamma(a) - lgamma(b) - log(a)
    return exp(front) / _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1 / (1 + d2 / (1 + ...)), by Lentz."""
    value, upper, lower = 1.0, 1.0, 0.0
    for k in range(1, 2000):
        m = k // 2
        if k % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / _away(1 + term * lower)
        upper = _away(1 + term / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return value


def _away(x: float) -> float:
    """x, moved off 0."""
    return x if abs(x) > TINY else TINY


Floats = NDArray[np.float64]
CELLS = 2_000_000  # numbers held at once while resampling (16 MB)


def bootstrap_ratio(
    num: ArrayLike,
    den: ArrayLike,
    clusters: Array | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of sum(num) / sum(den) (Efron 1979, Annals of Statistics 7:1).

    num, den: [n] finite, sum(den) > 0; clusters: [n] the stimulus of each trial: all trials of one
    stimulus are drawn together (None: every trial is its own). The answer depends on the seed and
    on the trials, not on their order. Resamples whose denominator is 0 have no value and are left
    out. ValueError: lengths differ, a value is not finite, the denominator sums to 0, or there is
    only one stimulus to draw from.
    """
    sums = cluster_sums(np.column_stack([num, den]).astype(float), clusters)
    if not np.isfinite(sums).all() or sums[:, 1].sum() <= 0:
        raise ValueError("a ratio needs finite values and a denominator above 0")
    if len(sums) < 2:
        raise ValueError("one stimulus: nothing to resample")
    totals = resampled_sums(sums, resamples, seed)
    return percentiles(divide(totals[:, 0], totals[:, 1]), level)


def cluster_sums(values: Floats, clusters: Array | None) -> Floats:
    """Row sums of `values` [n, m] per cluster: [clusters, m], whatever the input's order."""
    if clusters is not None:
        names, at = np.unique(clusters, return_inverse=True)
        if len(at) != len(values):
            raise ValueError(f"{len(values)} trials but {len(at)} cluster names")
        values = np.column_stack([np.bincount(at, column, len(names)) for column in values.T])
    return values[np.lexsort(values.T)]


def resampled_sums(rows: Floats, resamples: int, seed: int) -> Floats:
    """Column sums of `resamples` draws with replacement of all rows: [rows, m] -> [resamples, m].

    Equal rows are drawn as one multinomial count (the same distribution, far fewer numbers).
    """
    rng = np.random.default_rng(seed)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    merge = len(kinds) * 8 <= len(rows)
    parts = []
    for size in chunk_sizes(resamples, len(kinds) if merge else len(rows)):
        if merge:
            parts.append(rng.multinomial(len(rows), counts / len(rows), size=size) @ kinds)
        else:
            drawn = rng.integers(0, len(rows), size=(size, len(rows)))
            parts.append(np.column_stack([column[drawn].sum(axis=1) for column in rows.T]))
    return np.concatenate(parts)


def chunk_sizes(total: int, width: int) -> Iterator[int]:
    """Splits `total` resamples so that no chunk holds more than CELLS numbers."""
    step = max(1, CELLS // max(1, width))
    for start in range(0, total, step):
        yield min(step, total - start)


def divide(num: Floats, den: Floats) -> Floats:
    """`num` / `den`, NaN where `den` is 0."""
    out: Floats = np.full(num.shape, np.nan)
    np.divide(num, den, out=out, where=den != 0)
    return out


def percentiles(values: Floats, level: float) -> tuple[float, float]:
    """The central `level` of the finite values, as (low, high)."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    tail = (1 - level) / 2
    low, high = np.quantile(values[np.isfinite(values)], [tail, 1 - tail])
    return float(low), float(high)
