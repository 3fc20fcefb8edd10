"""Shares of right answers per cell, of the data and of resamples of the images: every measure is a function of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.bootstrap import chunk_sizes
from suites.corruption.cells.table import Flags, Table

Floats = NDArray[np.float64]
RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True)
class Means:
    """b versions of the shares of a table (1: the data itself; else resamples). NaN where nothing was shown.

    right, top5, right16: [b, c + 1], clean first; same: [b, pairs], answers that neighbouring levels share.
    """

    right: Floats
    top5: Floats
    right16: Floats
    same: Floats


def means(table: Table) -> Means:
    """The shares of the data."""
    hits, seen = (part.sum(axis=0, dtype=float)[None] for part in _matrices(table))
    return _split(table, _shares(np.asarray(hits), np.asarray(seen)))


def resampled(table: Table, resamples: int = RESAMPLES, seed: int = SEED) -> Means:
    """Shares of resamples: images drawn with replacement, each with all its cells (Efron 1979).

    Two tables of as many images give the same draws: an observer and its reference are resampled together where their
    tables are of the same images.
    """
    n = len(table.images)
    rng = np.random.default_rng(seed)
    hits, counts = _matrices(table)
    values = hits.astype(np.float32)
    uneven = np.flatnonzero(
        (counts != counts[0]).any(axis=0)
    )  # others: so many draws, whichever they are
    some = counts[:, uneven].astype(np.float32)
    parts = []
    for size in chunk_sizes(resamples, n):
        drawn = rng.integers(0, n, size=(size, n))
        drawn += n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        weights = weights.astype(np.float32)  # counts: exact below 2**24
        seen = np.tile(n * counts[0].astype(float), (size, 1))
        seen[:, uneven] = weights @ some
        parts.append(_shares(np.asarray(weights @ values, dtype=float), seen))
    return _split(table, np.concatenate(parts))


def _matrices(table: Table) -> tuple[Flags, Flags]:
    """Per image: hits, and what they are hits of; columns right, top5, right16, same."""
    milder, stronger = ([pair[side] for pair in table.pairs] for side in (0, 1))
    both = table.shown[:, milder] & table.shown[:, stronger]
    same = both & (table.answers[:, milder] == table.answers[:, stronger])
    hits = (table.right, table.top5, table.right16, same)
    counts = (table.shown, table.shown, table.shown16, both)
    return np.hstack(hits), np.hstack(counts)


def _shares(hits: Floats, seen: Floats) -> Floats:
    shares: Floats = np.divide(hits, seen, out=np.full(hits.shape, np.nan), where=seen > 0)
    return shares


def _split(table: Table, shares: Floats) -> Means:
    width = len(table.cells) + 1
    right, top5, right16, same = np.split(shares, [width, 2 * width, 3 * width], axis=1)
    return Means(right, top5, right16, same)
