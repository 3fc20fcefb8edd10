"""Confidence sequences: coverage under optional stopping, against a grid, at their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, hypergeom

from benchmark.stats import confidence_sequence

ALPHA = 0.05


def paths_that_miss(rights, truth, size=None):
    """How many of the paths [paths, n] have, at any n, an interval without the truth: the worst stopping rule."""
    counts = np.cumsum(rights, axis=1)
    lengths = np.broadcast_to(np.arange(1, rights.shape[1] + 1), counts.shape)
    pairs, back = np.unique(np.stack([counts.ravel(), lengths.ravel()]), axis=1, return_inverse=True)
    low, high = confidence_sequence(pairs[0], pairs[1], 1 - ALPHA, size)
    out = (low > truth) | (high < truth)
    return int(out[back.ravel()].reshape(counts.shape).any(axis=1).sum())


def most_allowed(paths):
    """Four standard errors above alpha: a chance of 3e-5 that a valid method fails."""
    return paths * ALPHA + 4 * math.sqrt(paths * ALPHA * (1 - ALPHA))


@pytest.mark.release
@pytest.mark.parametrize("p", [0.02, 0.5])
def test_holds_under_the_worst_stopping_rule(p):
    paths = 500
    rights = np.random.default_rng(round(100 * p)).random((paths, 1200)) < p
    assert paths_that_miss(rights, p) <= most_allowed(paths)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "total"), [(1200, 24), (100, 90)])
def test_of_a_set_holds_under_the_worst_stopping_rule(size, total):
    paths, rng = 500, np.random.default_rng(total)
    rights = np.array([rng.permutation(size) < total for _ in range(paths)])
    assert paths_that_miss(rights, total / size, size) <= most_allowed(paths)


@pytest.mark.slow
@given(st.integers(0, 300), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_equals_a_grid_over_p(n, share, level):
    k = round(share * n)
    low, high = confidence_sequence(k, n, level)
    grid = np.linspace(0, 1, 4001)
    ratio = betabinom.pmf(k, n, 0.5, 0.5) / np.maximum(math.comb(n, k) * grid**k * (1 - grid) ** (n - k), 1e-300)
    inside = grid[ratio < 1 / (1 - level)]
    assert low <= k / max(n, 1) <= high or n == 0
    assert (inside[0], inside[-1]) == pytest.approx((low, high), abs=1.01 / 4000)


@given(st.integers(1, 120), st.data())
def test_of_a_set_equals_every_total_tried(size, data):
    n = data.draw(st.integers(0, size))
    k = data.draw(st.integers(0, n))
    totals = np.arange(size + 1)
    with np.errstate(divide="ignore"):
        ratio = betabinom.pmf(k, n, 0.5, 0.5) / hypergeom.pmf(k, size, totals, n)
    inside = totals[ratio < 1 / ALPHA]
    assert confidence_sequence(k, n, size=size) == (inside[0] / size, inside[-1] / size)


def test_edges():
    assert confidence_sequence(0, 0) == (0.0, 1.0) and type(confidence_sequence(0, 0)[0]) is float
    assert confidence_sequence(0, 0, size=0) == (0.0, 1.0)
    assert confidence_sequence(0, 0, size=7) == (0.0, 1.0)
    assert confidence_sequence(0, 400)[0] == 0.0
    assert 0 < confidence_sequence(0, 400)[1] < 0.02
    assert confidence_sequence(400, 400)[1] == 1.0
    for k in (0, 3, 7):
        assert confidence_sequence(k, 7, size=7) == (k / 7, k / 7)


def test_large_counts_stay_accurate():
    """A million draws: logs of factorials near 1e7 must not eat the bound (Laplace: 2 n d^2 = its right side)."""
    half = math.sqrt((math.log(1 / ALPHA) + math.log(1e6 * math.pi / 2) / 2) / 2e6)
    low, high = confidence_sequence(500_000, 1_000_000)
    assert low + high == pytest.approx(1, abs=1e-9)
    assert high - low == pytest.approx(2 * half, rel=1e-4)
    assert confidence_sequence(500_000, 1_000_000, size=1_000_000) == (0.5, 0.5)
