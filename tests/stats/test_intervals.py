"""Intervals and tests of proportions, Student's t, and confidence sequences: against scipy and a likelihood."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.stats import betabinom, hypergeom

from benchmark.stats import confidence_sequence
from benchmark.stats.clusters import mean_interval
from benchmark.stats.differences import Studentised
from benchmark.stats.intervals import difference_sequence, mcnemar_exact, paired_difference, t_quantile, wilson


def test_the_mean_interval_equals_scipy():
    people = [0.9617, 0.9438, 0.9673, 0.9191, 0.9640, 0.9760, 0.9408, 0.9577, 0.9866, 0.9589]
    reference = stats.ttest_1samp(people, 0).confidence_interval(0.95)
    assert mean_interval(people) == pytest.approx((reference.low, reference.high))
    # Wilson's form at n = .24 / (.04 / 3) = 18 and t of two degrees of freedom, 4.302653.
    assert mean_interval([0.2, 0.4, 0.6], bounds=(0, 1)) == pytest.approx((0.098201, 0.803202), abs=1e-5)


@pytest.mark.parametrize("df", [0.7, 1, 3.3, 30.2, 1000.5])
def test_students_t_is_scipys(df):
    for t in (0.0, 0.1, 2.0, 3.3, 50.0):
        tail, other = (Studentised(difference=sign * t, se=1.0, df=df).p for sign in (1, -1))
        assert tail == other == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
        assert t > 9 or t_quantile(1 - tail, df) == pytest.approx(t, rel=1e-6)


counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.slow
@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_equals_scipys(count, level):
    ci = stats.binomtest(*count).proportion_ci(level, "wilson")
    assert wilson(*count, level) == pytest.approx((ci.low, ci.high), abs=1e-12)


def test_wilson_at_the_ends_by_hand():
    z2 = 1.959963984540054**2
    assert wilson(0, 10) == (0.0, pytest.approx(z2 / (10 + z2)))
    assert wilson(10, 10) == (pytest.approx(10 / (10 + z2)), 1.0)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_a_binomial_test(b, c):
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b) == pytest.approx(expected, rel=1e-9)


def score_statistic_by_likelihood(b, c, n, delta):
    """The score statistic of p10 - p01 = delta with p01 at its numerical restricted maximum."""

    def loss(p01):
        cells = np.array([p01 + delta, p01, 1 - 2 * p01 - delta])
        seen = np.array([b, c, n - b - c])
        return -float(np.sum(seen[seen > 0] * np.log(np.maximum(cells[seen > 0], 1e-300))))

    edges = max(0.0, -delta), (1 - delta) / 2
    p01 = optimize.minimize_scalar(loss, bounds=edges, method="bounded", options={"xatol": 1e-12}).x
    return (b - c - n * delta) / np.sqrt(n * (2 * p01 + delta - delta**2))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (14, 0, 30), (1, 3, 40), (30, 31, 100), (60, 20, 320)])
def test_the_paired_interval_inverts_the_score_test(b, c, n):
    low, high = paired_difference(b, c, n)
    assert score_statistic_by_likelihood(b, c, n, low) == pytest.approx(1.959964, abs=2e-4)
    assert score_statistic_by_likelihood(b, c, n, high) == pytest.approx(-1.959964, abs=2e-4)


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


def test_differences_of_one_sign_are_gains_without_losses():
    """Roots of betabinom.pmf(k, 40, .5, .5) / binom.pmf(k, 40, p) = 40 for 12 gains, and for no loss."""
    values, ends = np.arange(40) < 12, (0.104411 - 0.141630, 0.565974)
    assert difference_sequence(values * 1.0, 0.95) == pytest.approx(ends, abs=1e-6)
    assert difference_sequence(values * -1.0, 0.95) == pytest.approx((-ends[1], -ends[0]), abs=1e-6)
    assert difference_sequence(np.full(40, 0.3), 0.95) == pytest.approx(ends, abs=1e-6)  # of fractions, the sum counts
