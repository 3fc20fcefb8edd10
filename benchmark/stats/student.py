"""Student's t with any number of degrees of freedom above 0, fractions included (Satterthwaite's are)."""

from __future__ import annotations

from functools import lru_cache
from math import cos, exp, inf, lgamma, log, log1p, pi, sin, sqrt

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
