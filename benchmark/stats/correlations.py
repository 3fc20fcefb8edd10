"""Correlations over observers that come in families: rank, linear and partial ones, with intervals.

Observers are no independent sample: five ResNets from one laboratory are nearly one observation. Families are therefore
resampled as wholes, and the interval's degrees of freedom are those of the families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, tanh
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.stats.bootstrap import chunk_sizes
from benchmark.stats.student import t_quantile

Floats = NDArray[np.float64]
Method = Literal["spearman", "pearson"]

#: With fewer observers a correlation is stated, but nothing should be read from it.
FEW = 10
#: With fewer families there is no interval: their spread cannot be told from so few.
LEAST_FAMILIES = 4
#: The share of resamples that must have a correlation for their spread to stand for all.
DEFINED = 0.9
#: Numbers held for each resample and observer, generously: what is worked on then stays in the processor's cache.
WORKING = 40
#: How far a resample's z may lie from the estimate's: of few families some draws are in perfect order, z infinite.
FURTHEST = 3.0


@dataclass(frozen=True)
class Correlation:
    """value: in [-1, 1], None where undefined, and `reason` says why; low, high: its interval, None where there is
    none (then `reason` says why too); n: observers; families: groups that were resampled."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    families: int
    reason: str = ""


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    families: Sequence[str],
    *,
    method: Method = "spearman",
    given: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Correlation:
    """Correlation of x and y [n], finite, over observers in `families` [n].

    method: "spearman" (of mid-ranks) or "pearson". given: [n] or [n, k] what is held constant: the partial correlation
    (of ranks, for spearman), that is of the residuals of the two regressed on it. The interval: Fisher's z plus and
    minus Student's t (families - 1 degrees of freedom) times the standard deviation of z over resamples of whole
    families (cluster bootstrap; Field & Welsh 2007, J. R. Statist. Soc. B 69:369). Its coverage was simulated:
    `docs/statistics.md`. The answer depends on the values, not on their order. ValueError: lengths differ, a value is
    not finite.
    """
    columns = _columns(x, y, given)
    if len(families) != len(columns):
        raise ValueError(f"{len(columns)} observers but {len(families)} families")
    columns, member = _ordered(columns, families)
    n, groups = len(columns), int(member.max(initial=-1)) + 1
    if n < columns.shape[1] + 1:
        return Correlation(None, None, None, n, groups, f"{n} observers: too few")
    value = float(_correlations(columns, np.ones((1, n)), method)[0])
    if not np.isfinite(value):
        return Correlation(None, None, None, n, groups, "one of the two does not vary")
    if groups < LEAST_FAMILIES:
        return Correlation(value, None, None, n, groups, f"{groups} families: no interval")
    if abs(value) > 1 - 1e-12:
        return Correlation(value, None, None, n, groups, "perfect: no interval")
    spread = _spread(columns, member, method, atanh(value), resamples, seed)
    if spread is None:
        return Correlation(value, None, None, n, groups, "too few families vary: no interval")
    reach = t_quantile(level, groups - 1) * spread
    return Correlation(value, tanh(atanh(value) - reach), tanh(atanh(value) + reach), n, groups)


def without_each(
    x: ArrayLike,
    y: ArrayLike,
    families: Sequence[str],
    *,
    method: Method = "spearman",
    given: ArrayLike | None = None,
) -> dict[str, float | None]:
    """The correlation with each family left out in turn; None where it is undefined. Raises as `correlation`."""
    columns = _columns(x, y, given)
    labels = np.asarray(families, dtype=object)
    left: dict[str, float | None] = {}
    for family in dict.fromkeys(sorted(families)):
        kept = columns[labels != family]
        enough = len(kept) >= columns.shape[1] + 1
        value = float(_correlations(kept, np.ones((1, len(kept))), method)[0]) if enough else np.nan
        left[family] = value if np.isfinite(value) else None
    return left


def _columns(x: ArrayLike, y: ArrayLike, given: ArrayLike | None) -> Floats:
    """[n, 2 + k]: x, y and what is held constant."""
    parts = [np.asarray(x, dtype=float), np.asarray(y, dtype=float)]
    if given is not None:
        held = np.asarray(given, dtype=float)
        parts += [held] if held.ndim == 1 else list(held.T)
    if len({part.shape for part in parts}) != 1 or parts[0].ndim != 1:
        raise ValueError(f"one value per observer needed, got {[part.shape for part in parts]}")
    columns = np.column_stack(parts)
    if not np.isfinite(columns).all():
        raise ValueError("a correlation needs finite values")
    return columns


def _ordered(columns: Floats, families: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
    """Rows in an order of their own, so that the resamples do not depend on the caller's; each row's family."""
    _, member = np.unique(np.asarray(families, dtype=str), return_inverse=True)
    order = np.lexsort((*columns.T[::-1], member))
    return columns[order], member[order].astype(np.int64)


def _spread(
    columns: Floats,
    member: NDArray[np.int64],
    method: Method,
    middle: float,
    resamples: int,
    seed: int,
) -> float | None:
    """Standard deviation of Fisher's z over resamples of families; None where too few have one."""
    rng = np.random.default_rng(seed)
    groups = int(member.max()) + 1
    values = []
    for size in chunk_sizes(resamples, WORKING * len(columns)):
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=size)
        values.append(_correlations(columns, times[:, member].astype(float), method))
    found = np.concatenate(values)
    found = found[np.isfinite(found)]
    if len(found) < DEFINED * resamples:
        return None
    z = np.arctanh(np.clip(found, -1 + 1e-15, 1 - 1e-15))
    return float(np.clip(z, middle - FURTHEST, middle + FURTHEST).std(ddof=1))


def _correlations(columns: Floats, weights: Floats, method: Method) -> Floats:
    """[b] correlations of the first two columns given the others, NaN where undefined.

    columns: [n, 2 + k]; weights: [b, n] how often each row counts.
    """
    times = np.ascontiguousarray(weights.T)  # [n, b]: what follows runs along whole rows
    total = times.sum(axis=0)
    if method == "spearman":  # the mean of n ranks is (n + 1) / 2, ties or none
        centred = [_mid_ranks(column, times) - (total + 1) / 2 for column in columns.T]
    else:
        means = weights @ columns / total[:, None]
        centred = [column[:, None] - mean for column, mean in zip(columns.T, means.T, strict=True)]
    covariance = np.empty((len(weights), len(centred), len(centred)))
    for i, one in enumerate(centred):
        counted = times * one
        for j, other in enumerate(centred[i:], i):
            covariance[:, i, j] = covariance[:, j, i] = np.einsum("nb,nb->b", counted, other)
    variance = np.einsum("bii->bi", covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        related = covariance / np.sqrt(variance[:, :, None] * variance[:, None, :])
    return _partial(related)


def _partial(related: Floats) -> Floats:
    """[b] partial correlations of the first two variables given the others, from correlation matrices [b, m, m]."""
    out: Floats = np.full(len(related), np.nan)
    # What does not vary in a resample holds nothing constant there: its row is NaN, and counts as uncorrelated.
    whole = np.isfinite(related[:, 0, 1])
    known = np.nan_to_num(related[whole])
    inner = known[:, :2, :2].copy()
    inner[:, [0, 1], [0, 1]] = 1.0
    if known.shape[1] > 2 and len(known):
        across = known[:, :2, 2:]
        held = np.linalg.pinv(known[:, 2:, 2:], hermitian=True)
        inner -= across @ held @ across.transpose(0, 2, 1)
    left = inner[:, 0, 0] * inner[:, 1, 1]
    varies = (inner[:, 0, 0] > 1e-12) & (inner[:, 1, 1] > 1e-12)
    ratio = np.full(len(inner), np.nan)
    ratio[varies] = inner[varies, 0, 1] / np.sqrt(left[varies])
    out[whole] = np.clip(ratio, -1.0, 1.0)
    return out


def _mid_ranks(column: Floats, times: Floats) -> Floats:
    """[n, b] ranks from 1 among rows that count as often as `times` [n, b] says; equal values share their mean."""
    _, kind = np.unique(column, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    starts = np.searchsorted(kind[order], np.arange(kind.max() + 1))
    per_kind = times[order]
    if len(starts) < len(order):
        per_kind = np.add.reduceat(per_kind, starts, axis=0)
    ranks: Floats = (np.cumsum(per_kind, axis=0) - per_kind / 2 + 0.5)[kind]
    return ranks
