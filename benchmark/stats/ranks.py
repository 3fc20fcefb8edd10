"""Rank intervals: which ranks the data do not rule out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.proportions import normal_quantile

Ranks = NDArray[np.int64]


def rank_intervals(
    values: Sequence[float | None] | NDArray[np.float64],
    ses: Sequence[float | None] | NDArray[np.float64],
    higher_is_better: bool = True,
    level: float = 0.95,
) -> tuple[Ranks, Ranks, Ranks]:
    """(rank, low, high), each [n] int; 0 where a value is None or NaN (unranked).

    values, ses: [n] estimates and their standard errors (>= 0). Equal values share the better rank.
    [low, high] holds the true rank of one given entry with probability >= `level`: its differences
    from the other n - 1 are tested two-sided, Bonferroni-corrected, and low = 1 + those certainly
    better, high = n - those certainly worse: the marginal confidence set of Mogstad, Romano, Shaikh
    & Wilhelm (2024, Review of Economic Studies 91:476). The estimates are taken as independent; on
    common stimuli they correlate positively, so the intervals are then wider than they need be. An
    entry without a standard error (None, NaN) is separable from none. ValueError: lengths differ,
    or a negative standard error.
    """
    x, se = (np.array(a, dtype=float) for a in (values, ses))  # None becomes NaN
    if x.shape != se.shape or x.ndim != 1:
        raise ValueError(f"one standard error per value needed, got {x.shape} and {se.shape}")
    if (se < 0).any():
        raise ValueError("a standard error is negative")
    ranked = np.isfinite(x)
    result = [np.zeros(len(x), dtype=np.int64) for _ in range(3)]
    if ranked.any():
        better = x[ranked] if higher_is_better else -x[ranked]
        for whole, part in zip(result, _ranks(better, se[ranked], level), strict=True):
            whole[ranked] = part
    return result[0], result[1], result[2]


def _ranks(
    x: NDArray[np.float64], se: NDArray[np.float64], level: float
) -> tuple[Ranks, Ranks, Ranks]:
    """Ranks of finite values, the largest first, with the bounds of each."""
    n = len(x)
    ordered = np.sort(x)
    rank = 1 + n - np.searchsorted(ordered, x, side="right")
    if n == 1:
        return rank, rank, rank
    margin = (normal_quantile(1 - (1 - level) / (n - 1)) * se) ** 2
    gap = x[None, :] - x[:, None]  # [i, k] > 0: k is better than i
    gap *= np.abs(gap)
    certain = gap > margin[None, :] + margin[:, None]  # never where a margin is NaN
    return rank, 1 + certain.sum(axis=1), n - certain.sum(axis=0)
