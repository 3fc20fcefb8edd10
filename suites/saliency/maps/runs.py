"""Masks by where they begin and end in a row of pixels: what lies inside them is a difference of running totals, which
takes a few hundred steps a mask and not one a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Runs:
    """k masks of p pixels; edges [k, p + 1]: -1 where a run begins, +1 behind its last pixel."""

    edges: csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """How many masks, of how many pixels."""
        count, places = self.edges.shape
        return count, places - 1

    def sums(self, values: Array) -> NDArray[np.float64]:
        """[n, k] sum of values [n, p] inside each mask: exact, in whatever order, for whole and half numbers."""
        totals = np.zeros((values.shape[1] + 1, len(values)))
        np.cumsum(values.T, axis=0, dtype=np.float64, out=totals[1:])
        return np.asarray((self.edges @ totals).T)


def runs_of(masks: NDArray[np.bool_]) -> Runs:
    """masks: [k, p]."""
    from scipy.sparse import csr_array  # it takes longer to import than a ranked table

    count, pixels = masks.shape
    padded = np.zeros((count, pixels + 2), dtype=np.bool_)
    padded[:, 1:-1] = masks
    flat = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
    rows, places = np.divmod(flat, pixels + 1)
    signs = np.where(np.arange(len(flat)) % 2, 1.0, -1.0)  # every run that begins in a row ends in it
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return Runs(csr_array((signs, places, starts), shape=(count, pixels + 1)))
