"""Intervals of proportions, confidence sequences, Student's t, and percentiles of resamples."""

from functools import cache, lru_cache
from math import copysign, inf, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ends = tuple[float, float]  # low, high

# One proportion (Wilson), and two on the same stimuli (Tango interval, exact McNemar test).


@cache
def normal_quantile(level: float) -> float:
    """Return z such that a two-sided normal interval at `level` is +- z."""
    return -NormalDist().inv_cdf((1 - level) / 2)


def wilson(successes: int, n: int, level: float = 0.95) -> Ends:
    """Return the score interval of 0 <= successes <= n >= 1, without continuity correction (Wilson 1927, JASA 22)."""
    z2 = normal_quantile(level) ** 2
    p = successes / n
    centre = (successes + z2 / 2) / (n + z2)
    half = sqrt(z2 * (n * p * (1 - p) + z2 / 4)) / (n + z2)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def mcnemar_exact(b: int, c: int) -> float:
    """Return the two-sided p of the exact McNemar test (1947). b, c: pairs that only one of the two answers right."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))


def paired_difference(b: float, c: float, n: int, level: float = 0.95) -> Ends:
    """Return the score interval of p_a - p_b from n pairs (Tango 1998, Statistics in Medicine 17:891). b, c: only a,
    only b is right."""
    z = normal_quantile(level)
    seen = (b - c) / n
    low = -1.0 if c == n else _crossing(b, c, n, z, (-1.0, seen))
    high = 1.0 if b == n else _crossing(b, c, n, -z, (seen, 1.0))
    return low, high


def _crossing(b: float, c: float, n: int, target: float, between: Ends) -> float:
    """Return the difference at which the (falling) score statistic equals `target`, by bisection."""
    low, high = between
    for _ in range(60):
        delta = (low + high) / 2
        # Tango's score statistic for p_a - p_b = delta, at the restricted estimate.
        linear = -b - c + (2 * n - b + c) * delta
        constant = -c * delta * (1 - delta)
        nuisance = (sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * nuisance + delta * (1 - delta))
        gap = b - c - n * delta
        score = gap / sqrt(variance) if variance > 0 else copysign(inf, gap) if gap else 0.0
        low, high = (delta, high) if score > target else (low, delta)
    return (low + high) / 2


PRIOR = 0.5  # both parameters of the mixing beta distribution (Jeffreys): near the least regret at every p


def confidence_sequence(successes: int, n: int, size: int, level: float = 0.95) -> Ends:
    """Return (low, high) of the proportion in a set of `size` after `successes` of `n` draws in random order without
    replacement; n = 0: (0, 1). With probability >= `level` the intervals at all n contain the truth together, under any
    rule of stopping (prior-posterior ratio with a beta-binomial prior; Waudby-Smith & Ramdas 2020, NeurIPS 33)."""
    from scipy.special import betaln, gammaln

    if n == 0:
        return 0.0, 1.0

    def log_falling(total: Floats | np.float64, draws: int) -> Floats:  # log(total (total - 1) ...), of so many factors
        return np.asarray(gammaln(total + 1) - gammaln(total - draws + 1))

    # Of ordered draws: (mixture of k) / ((in set falling k) (others falling n - k) / (size falling n)). By Ville's
    # inequality it ever reaches 1 / alpha under the true number in the set with a probability of at most alpha.
    mixture = betaln(successes + PRIOR, n - successes + PRIOR) - betaln(PRIOR, PRIOR)
    totals = np.arange(successes, size - (n - successes) + 1, dtype=np.float64)
    likelihood = log_falling(totals, successes) + log_falling(size - totals, n - successes)
    inside = totals[mixture + log_falling(np.float64(size), n) - likelihood < -log(1 - level)]
    return float(inside[0] / size), float(inside[-1] / size)


def difference_sequence(differences: Floats, level: float) -> Ends:
    """Return (low, high) of the mean difference in a source of images, after some [n] in random order, each in [-1, 1].
    With probability >= `level` the intervals at all n contain it together: gains and losses have a sequence each, at
    half the risk (beta mixture of independent draws; Howard et al. 2021, Annals of Statistics 49:1055)."""
    from scipy.optimize import bisect
    from scipy.special import betaln, xlog1py, xlogy

    n = len(differences)

    def beyond(p: float, total: float) -> float:
        # The likelihood ratio is convex in each value: for any in [0, 1], its mean is at most that for zeros and ones.
        mixture = betaln(total + PRIOR, n - total + PRIOR) - betaln(PRIOR, PRIOR)
        return float(mixture - xlogy(total, p) - xlog1py(n - total, -p) + log((1 - level) / 2))

    sums = (differences.clip(0).sum(), -differences.clip(None, 0).sum())
    low, high = ([bisect(beyond, end, k / n, args=(k,)) if k != n * end else end for k in sums] for end in (0.0, 1.0))
    return low[0] - high[1], high[0] - low[1]


# Student's t with any degrees of freedom above 0, fractions included (Satterthwaite's are). Most ranked tables need no
# scipy, so it is imported at the first use.


@lru_cache(maxsize=2**12)
def t_quantile(level: float, df: float) -> float:
    """Return t such that a two-sided t interval at `level` with `df` > 0 degrees of freedom is +- t."""
    from scipy.special import stdtrit

    return -float(stdtrit(df, (1 - level) / 2))


def percentiles(values: Floats, level: float) -> Ends:
    """Return the central `level` of the finite values, as (low, high)."""
    tail = (1 - level) / 2
    low, high = np.quantile(values[np.isfinite(values)], [tail, 1 - tail])
    return float(low), float(high)
