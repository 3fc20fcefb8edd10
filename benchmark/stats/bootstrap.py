"""Resampling over stimuli."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.contracts import Array

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
