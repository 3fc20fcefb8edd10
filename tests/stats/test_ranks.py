"""Ranks and their intervals: by hand, by simulation, by laws."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.stats import rank_intervals


def plain(values, ses, higher=True):
    return [array.tolist() for array in rank_intervals(values, ses, higher)]


def test_by_hand():
    # two clearly apart, the third between them and near the second
    assert plain([0.9, 0.5, 0.1], [0.01] * 3) == [[1, 2, 3]] * 3
    assert plain([0.9, 0.5, 0.49], [0.01] * 3) == [[1, 2, 3], [1, 2, 2], [1, 3, 3]]
    assert plain([0.9, 0.5, 0.49], [0.01] * 3, False) == [[3, 2, 1], [3, 1, 1], [3, 2, 2]]


def test_ties_share_the_better_rank():
    rank, low, high = plain([0.5, 0.7, 0.5, 0.5], [0.0] * 4)
    assert rank == [2, 1, 2, 2]
    assert (low, high) == ([2, 1, 2, 2], [4, 1, 4, 4])


def test_missing_values_are_unranked_and_do_not_count():
    assert plain([0.9, None, float("nan"), 0.1], [0.01] * 4) == [[1, 0, 0, 2]] * 3
    assert plain([None, float("nan")], [0.1, 0.1]) == [[0, 0]] * 3
    assert plain([], []) == [[]] * 3
    assert plain([0.3], [0.1]) == [[1]] * 3


def test_a_value_without_an_error_is_separable_from_none():
    rank, low, high = plain([0.9, 0.5, 0.1], [None, 0.01, 0.01])
    assert (rank, low, high) == ([1, 2, 3], [1, 1, 2], [3, 2, 3])


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 30, 90]))
def test_bounds_are_those_of_every_pair(seed, n):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=n) * rng.choice([0.01, 1.0, 100.0]), rng.integers(1, 6))
    se = rng.exponential(size=n) * rng.choice([0.0, 0.001, 0.1, 1.0])
    se[rng.random(n) < 0.2] = np.nan
    z = stats.norm.ppf(1 - 0.05 / (2 * (n - 1)))
    _, low, high = rank_intervals(x, se)
    for i in range(n):
        gaps, bounds = x - x[i], z * np.sqrt(se[i] ** 2 + se**2)
        near = np.abs(np.abs(gaps) - bounds) < 1e-9 * (1 + np.abs(gaps))
        better, worse = (gaps > bounds) & ~near, (-gaps > bounds) & ~near
        assert better.sum() <= low[i] - 1 <= (better | near).sum()
        assert worse.sum() <= n - high[i] <= (worse | near).sum()
