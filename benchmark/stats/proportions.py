"""One proportion (Wilson), and two on the same stimuli (Tango interval, exact McNemar test)."""

from __future__ import annotations

from functools import lru_cache
from math import log, sqrt
from statistics import NormalDist

import numpy as np


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
