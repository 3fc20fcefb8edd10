"""Correlations over observers that come in families: rank, linear and partial ones, with intervals.

Observers are no independent sample: five ResNets from one laboratory are nearly one observation. Families are therefore
left out as wholes, and the interval's degrees of freedom are those of the families."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import atanh, sqrt, tanh
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from benchmark.stats.intervals import Floats, t_quantile
from benchmark.stats.ranks import average_ranks

Method = Literal["spearman", "pearson"]

#: With fewer observers a correlation is stated, but nothing should be read from it.
FEW = 10
#: With fewer families there is no interval: of four it covered as little as .92 (`docs/statistics.md`).
LEAST_FAMILIES = 5
#: How far z without a family may lie from the estimate's: what is left may be in perfect order, its z infinite.
FURTHEST = 3.0


@dataclass(frozen=True)
class Correlation:
    """value: in [-1, 1], None where undefined, and `reason` says why; low, high: its interval, None where there is
    none (then `reason` says why too); n: observers; families: how many there are; without: the correlation with each
    family left out, None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    families: int
    reason: str = ""
    without: Mapping[str, float | None] = field(default_factory=dict)


def correlation(
    x: ArrayLike, y: ArrayLike, families: Sequence[str], *, method: Method = "spearman", given: ArrayLike | None = None
) -> Correlation:
    """Correlation of x and y [n], finite, over observers in `families` [n].

    method: "spearman" (of mid-ranks) or "pearson". given: [n] what is held constant: the partial correlation, that of
    the residuals of the two (of their ranks, for spearman) regressed on it. The 95 % interval: Fisher's z plus and
    minus Student's t (families - 1 degrees of freedom) times the jackknife's standard error of z, a whole family left
    out at a time. Of families of very different sizes a bootstrap of families is too sure of itself and this is not
    (MacKinnon, Nielsen & Webb 2023, J. Appl. Econometrics 38:671; simulated in `docs/statistics.md`). Raises ValueError
    if lengths differ or a value is not finite."""
    columns = np.column_stack([np.asarray(part, dtype=float) for part in (x, y, given) if part is not None])
    if len(families) != len(columns) or not np.isfinite(columns).all():
        raise ValueError("a correlation needs a finite value and a family for each observer")
    names, member = np.unique(np.asarray(families, dtype=str), return_inverse=True)
    order = np.lexsort((*columns.T, member))  # sums must not depend on the caller's order
    columns, member = columns[order], member[order]
    n, groups = len(columns), len(names)
    if n < columns.shape[1] + 1:
        return Correlation(None, None, None, n, groups, f"{n} observers: too few")
    value = _coefficient(columns, method)
    left = (_coefficient(columns[member != group], method) for group in range(groups))
    without = dict(zip(names.tolist(), left, strict=True))
    defined = [r for r in without.values() if r is not None]
    reason = ""
    if value is None:
        reason = "one of the two does not vary"
    elif groups < LEAST_FAMILIES:
        reason = f"{groups} families: no interval"
    elif abs(value) > 1 - 1e-12:
        reason = "perfect: no interval"
    elif len(defined) < groups:
        reason = "too few families vary: no interval"
    if value is None or reason:
        return Correlation(value, None, None, n, groups, reason, without)
    middle = atanh(value)
    z = np.arctanh(np.clip(defined, -1 + 1e-15, 1 - 1e-15)).clip(middle - FURTHEST, middle + FURTHEST)
    reach = t_quantile(0.95, groups - 1) * sqrt(groups - 1) * float(z.std())
    return Correlation(value, tanh(middle - reach), tanh(middle + reach), n, groups, "", without)


def _coefficient(columns: Floats, method: Method) -> float | None:
    """Correlation of the first two columns [n, 2 + k] given the others; None where it is undefined."""
    if len(columns) < columns.shape[1] + 1 or not np.ptp(columns[:, :2], axis=0).all():
        return None
    # What does not vary holds nothing constant.
    varying = columns[:, np.ptp(columns, axis=0) > 0]
    if method == "spearman":
        # values that differ by rounding alone are ties
        scale = np.abs(varying).max(axis=0)
        scale[scale == 0] = 1.0
        varying = np.column_stack([average_ranks(column, False) for column in np.round(varying / scale, 12).T])
    centred = varying - varying.mean(axis=0)
    covariance = centred.T @ centred
    scale = np.sqrt(np.diag(covariance))
    related = covariance / np.outer(scale, scale)
    across = related[:2, 2:]
    inner = related[:2, :2] - across @ np.linalg.pinv(related[2:, 2:], hermitian=True) @ across.T
    if min(inner[0, 0], inner[1, 1]) <= 1e-12:
        return None
    return float(np.clip(inner[0, 1] / np.sqrt(inner[0, 0] * inner[1, 1]), -1.0, 1.0))
