"""Confidence sequences: coverage under optional stopping, against every total, at their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, hypergeom

from benchmark.stats import confidence_sequence

ALPHA = 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("size", "total"), [(1200, 24), (100, 90)])
def test_holds_under_the_worst_stopping_rule(size, total):
    """Paths that have, at any n, an interval without the truth."""
    paths, rng = 500, np.random.default_rng(total)
    counts = np.cumsum([rng.permutation(size) < total for _ in range(paths)], axis=1)
    lengths = np.broadcast_to(np.arange(1, size + 1), counts.shape)
    pairs, back = np.unique(np.stack([counts.ravel(), lengths.ravel()]), axis=1, return_inverse=True)
    low, high = np.array([confidence_sequence(k, n, size) for k, n in pairs.T.tolist()]).T
    missed = ((low > total / size) | (high < total / size))[back.ravel()].reshape(counts.shape).any(axis=1).sum()
    # Four standard errors above alpha: a chance of 3e-5 that a valid method fails.
    assert missed <= paths * ALPHA + 4 * math.sqrt(paths * ALPHA * (1 - ALPHA))


@given(st.integers(1, 120), st.data())
def test_equals_every_total_tried(size, data):
    n = data.draw(st.integers(0, size))
    k = data.draw(st.integers(0, n))
    totals = np.arange(size + 1)
    with np.errstate(divide="ignore"):
        ratio = betabinom.pmf(k, n, 0.5, 0.5) / hypergeom.pmf(k, size, totals, n)
    inside = totals[ratio < 1 / ALPHA]
    assert confidence_sequence(k, n, size) == (inside[0] / size, inside[-1] / size)


def test_edges():
    assert confidence_sequence(0, 0, 0) == confidence_sequence(0, 0, 7) == (0.0, 1.0)
    for k in (0, 3, 7):
        assert confidence_sequence(k, 7, 7) == (k / 7, k / 7)
    assert confidence_sequence(500_000, 1_000_000, 1_000_000) == (0.5, 0.5)
    narrow, wide = (confidence_sequence(50, 100, 5000, level) for level in (0.9, 0.99))
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]
