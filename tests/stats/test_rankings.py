"""Ranks with their intervals, and correlations over families of observers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.stats import rank_intervals
from benchmark.stats.rankings import correlation


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


X = [0.21, 0.35, 0.18, 0.81, 0.64, 0.22, 0.47, 0.35, 0.90, 0.30, 0.55, 0.62]
Y = [0.33, 0.31, 0.12, 0.60, 0.66, 0.30, 0.29, 0.41, 0.72, 0.35, 0.35, 0.80]
Z = [0.70, 0.72, 0.55, 0.69, 0.81, 0.60, 0.74, 0.66, 0.90, 0.59, 0.71, 0.68]
FAMILIES = ["a", "a", "b", "c", "c", "d", "e", "e", "f", "g", "h", "h"]


def test_values_equal_scipys():
    value = correlation(X, Y, FAMILIES).value
    assert value == pytest.approx(stats.spearmanr(X, Y)[0], abs=1e-12)
    assert correlation(Y, np.exp(X), FAMILIES).value == pytest.approx(value, abs=1e-12)
    assert correlation(X, Y, FAMILIES, method="pearson").value == pytest.approx(stats.pearsonr(X, Y)[0], abs=1e-12)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_a_partial_correlation_is_that_of_the_residuals(method):
    columns = [X, Y, Z]
    if method == "spearman":
        columns = [stats.rankdata(column) for column in columns]
    x, y, z = map(np.asarray, columns)
    design = np.column_stack([np.ones(12), z])
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    found = correlation(X, Y, FAMILIES, method=method, given=Z)
    assert found.value == pytest.approx(stats.pearsonr(*left)[0], abs=1e-12)


@pytest.mark.parametrize("families", [FAMILIES, list("aaaaabbbcdef")])
def test_the_interval_is_a_jackknife_of_families_written_out(families):
    """Each family's rows gone, scipy's coefficient of the rest; t with families - 1 degrees of freedom."""
    names, at = sorted(set(families)), np.array(families)
    left = [stats.spearmanr(np.array(X)[at != f], np.array(Y)[at != f])[0] for f in names]
    z, middle = np.arctanh(left), np.arctanh(stats.spearmanr(X, Y)[0])
    k = len(names)
    reach = stats.t.ppf(0.975, k - 1) * np.sqrt((k - 1) / k * ((z - z.mean()) ** 2).sum())
    found = correlation(X, Y, families)
    assert found.low == pytest.approx(np.tanh(middle - reach), abs=1e-9)
    assert found.high == pytest.approx(np.tanh(middle + reach), abs=1e-9)
    assert (found.n, found.families) == (12, k)
    assert found.without == pytest.approx(dict(zip(names, left, strict=True)))


@pytest.mark.parametrize(("x", "y", "families", "reason"), [
    ([1.0, 2.0], [1.0, 2.0], ["a", "b"], "2 observers: too few"),
    ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], list("abcd"), "one of the two does not vary"),
])  # fmt: skip
def test_where_there_is_no_correlation_there_is_a_reason(x, y, families, reason):
    found = correlation(x, y, families)
    assert found.value is None
    assert found.low is None
    assert found.reason == reason


def test_few_families_and_perfect_order_give_no_interval():
    few = correlation(X, Y, list("aaabbbcccddd"))
    assert (few.low, few.reason) == (None, "4 families: no interval")
    perfect = correlation(X, X, FAMILIES)
    assert (perfect.value, perfect.low, perfect.reason) == (1.0, None, "perfect: no interval")
    torn = correlation([0, 1, 2, 3, 4, 40.0], [4, 3, 2, 1, 0, 40.0], list("abcdef"), method="pearson")
    assert torn.value > 0.9  # -1 without f
    assert (torn.low, torn.high, torn.reason) == (None, None, "6 families exclude no value: no interval")


def test_a_family_without_which_nothing_varies_leaves_no_interval():
    x = [1.0] * 9 + [2.0, 3.0, 4.0]
    found = correlation(x, [*range(9), 5.0, 3.0, 7.0], list("aaabbbccdeee"), method="pearson")
    assert found.value is not None and found.without["e"] is None
    assert (found.low, found.high, found.n, found.families) == (None, None, 12, 5)
    assert found.reason == "too few families vary: no interval"


@pytest.mark.parametrize("held", [X, Y])
def test_a_line_through_what_is_held_constant_leaves_nothing(held):
    for scale in (0.1, 0.3, 7.0, 1 / 3):
        given = [scale * value + 0.7 for value in held]
        assert correlation(X, Y, FAMILIES, method="pearson", given=given).value is None
        left = correlation(X, Y, FAMILIES, method="pearson", given=given).without
        assert set(left.values()) == {None}


def test_shares_that_differ_by_rounding_alone_are_ties():
    """.1 + .2 is not .3 in floating point; with the tie Spearman is 4.5 / sqrt(4.5 * 5)."""
    found = correlation([0.1 + 0.2, 0.3, 0.5, 0.7], [2.0, 1.0, 3.0, 4.0], list("abcd"))
    assert found.value == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    tiny = correlation([1e-13, 2e-13, 3e-13, 4e-13], [2.0, 1.0, 3.0, 4.0], list("abcd"))
    assert tiny.value == pytest.approx(0.8)
