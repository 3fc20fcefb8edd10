"""Rank intervals: which ranks the data do not rule out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import atanh, sqrt, tanh
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.stats.intervals import Floats, normal_quantile, t_quantile

Ranks = NDArray[np.int64]
PAIRS = 100_000  # held at once: more do not fit into a cache
LEVEL = 0.95
Values = Sequence[float | None] | Floats


def rank_intervals(values: Values, ses: Values, higher_is_better: bool = True) -> tuple[Ranks, Ranks, Ranks]:
    """Return (rank, low, high), each [n] int; 0 if a value is None or NaN (unranked); equal values share the better
    rank. Standard errors `ses` [n] may be None or NaN: not separable. [low, high] contains the true rank of one given
    entry with probability >= 95 %, or more on common stimuli. Its differences from the other n - 1 are tested
    two-sided, Bonferroni-corrected: low = 1 + those certainly better, high = n - those certainly worse (Mogstad,
    Romano, Shaikh & Wilhelm 2024, Review of Economic Studies 91:476)."""
    x, se = (np.array(a, dtype=float) for a in (values, ses))  # None becomes NaN
    ranked = np.isfinite(x)
    rank, low, high = (np.zeros(len(x), dtype=np.int64) for _ in range(3))
    best, n = x[ranked] if higher_is_better else -x[ranked], int(ranked.sum())
    margin = (normal_quantile(1 - (1 - LEVEL) / max(1, n - 1)) * se[ranked]) ** 2
    better, worse = np.zeros((2, n), dtype=np.int64)
    step = max(1, PAIRS // max(1, n))
    for start in range(0, n, step):
        some = slice(start, start + step)
        gap = best - best[some, None]
        sure = gap * np.abs(gap) > margin[some, None] + margin  # never if a margin is NaN
        better[some] = sure.sum(axis=1)
        worse += sure.sum(axis=0)
    rank[ranked] = 1 + n - np.searchsorted(np.sort(best), best, side="right")
    low[ranked], high[ranked] = 1 + better, n - worse
    return rank, low, high


# Correlations over observers that come in families. Observers are not an independent sample: five ResNets from one
# laboratory are nearly one observation. Families are therefore left out as wholes.

Method = Literal["spearman", "pearson"]

FEW = 10  # with fewer observers a correlation is stated, but nothing should be read from it
#: With fewer families there is no interval: of four it covered as little as .92 (`docs/statistics.md`).
LEAST_FAMILIES = 5
#: How far z without a family may lie from the estimate's: what is left may be in perfect order, its z infinite.
FURTHEST = 3.0
ALL = 0.995  # an interval beyond both signs of this is [-1.00, 1.00]: no result


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A correlation over observers with its 95 % interval."""

    value: float | None = None  # in [-1, 1]
    low: float | None = None
    high: float | None = None
    n: int = 0  # observers
    families: int = 0  # that the interval leaves out one by one
    reason: str = ""  # why there is no value, or no interval
    without: Mapping[str, float | None] = field(default_factory=dict)  # without each family; None: undefined


def correlation(
    x: ArrayLike, y: ArrayLike, families: Sequence[str], *, method: Method = "spearman", given: ArrayLike | None = None
) -> Correlation:
    """Return the correlation of x and y [n], finite, over observers in `families` [n], of mid-ranks (spearman) or
    values. given: [n] a variable held constant. The 95 % interval: Fisher's z plus and minus Student's t (families - 1
    degrees of freedom) times the jackknife's standard error of z, without one whole family at a time."""
    # With families of very different sizes a bootstrap of families has too little coverage (MacKinnon, Nielsen & Webb
    # 2023, J. Appl. Econometrics 38:671; simulated in `docs/statistics.md`).
    columns = np.column_stack([np.asarray(part, dtype=float) for part in (x, y, given) if part is not None])
    names, member = np.unique(np.asarray(families, dtype=str), return_inverse=True)
    order = np.lexsort((*columns.T, member))  # sums must not depend on the caller's order
    columns, member = columns[order], member[order]
    n, groups = len(columns), len(names)
    if n < columns.shape[1] + 1:
        return Correlation(n=n, families=groups, reason=f"{n} observers: too few")
    value = _coefficient(columns, method)
    left = (_coefficient(columns[member != group], method) for group in range(groups))
    without = dict(zip(names.tolist(), left, strict=True))
    defined = [r for r in without.values() if r is not None]
    found = Correlation(value=value, n=n, families=groups, without=without)
    if value is None:
        return replace(found, reason="one of the two does not vary")
    if groups < LEAST_FAMILIES:
        return replace(found, reason=f"{groups} families: no interval")
    if abs(value) > 1 - 1e-12:
        return replace(found, reason="perfect: no interval")
    if len(defined) < groups:
        return replace(found, reason="too few families vary: no interval")
    middle = atanh(value)
    z = np.arctanh(np.clip(defined, -1 + 1e-15, 1 - 1e-15)).clip(middle - FURTHEST, middle + FURTHEST)
    reach = t_quantile(0.95, groups - 1) * sqrt(groups - 1) * float(z.std())
    low, high = tanh(middle - reach), tanh(middle + reach)
    if low < -ALL and high > ALL:
        return replace(found, reason=f"{groups} families exclude no value: no interval")
    return replace(found, low=low, high=high)


def _coefficient(columns: Floats, method: Method) -> float | None:
    """Return the correlation of the first two columns [n, 2 + k] given the others; None if it is undefined."""
    from scipy.stats import rankdata  # loaded by what asks for a correlation, not by a ranked table

    if len(columns) < columns.shape[1] + 1 or not np.ptp(columns[:, :2], axis=0).all():
        return None
    if method == "spearman":
        # values that differ by rounding alone are ties
        rounded = np.round(columns / np.maximum(np.abs(columns).max(axis=0), 1e-300), 12)
        columns = rankdata(rounded, axis=0)
    centred = columns - columns.mean(axis=0)
    pair, given = centred[:, :2] / centred[:, :2].std(axis=0), centred[:, 2:]
    # A given variable that does not vary holds nothing constant.
    left = pair - given @ (np.linalg.pinv(given) @ pair)
    spread = (left**2).mean(axis=0)
    if spread.min() <= 1e-12:
        return None
    return float(np.clip((left[:, 0] * left[:, 1]).mean() / np.sqrt(spread.prod()), -1.0, 1.0))
