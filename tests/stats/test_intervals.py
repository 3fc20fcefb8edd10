"""Intervals and tests of proportions, Student's t and the bootstrap: against scipy and a numerical likelihood."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from benchmark.stats.clusters import mean_interval
from benchmark.stats.intervals import bootstrap_ratio, mcnemar_exact, paired_difference, t_quantile, t_tail, wilson


def test_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(1)
    num, den = rng.gamma(2, size=150), rng.gamma(5, size=150)
    how = {"paired": True, "vectorized": True, "method": "percentile", "n_resamples": 20_000, "rng": rng}
    ratio = stats.bootstrap((num, den), lambda a, b, axis: a.sum(axis) / b.sum(axis), **how)
    reference = ratio.confidence_interval
    low, high = bootstrap_ratio(num, den, resamples=20_000)
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.004)
    assert high - low > 0.03


@pytest.mark.slow
@given(st.lists(st.integers(0, 4), min_size=3, max_size=60), st.randoms())
def test_the_interval_depends_on_the_trials_not_on_their_order(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    num = np.array(values, dtype=float)
    names = np.array([f"image{i % 7}" for i in range(len(num))])
    first = bootstrap_ratio(num, num + 1, names, resamples=200)
    assert first == bootstrap_ratio(num[order], num[order] + 1, names[order], resamples=200)
    loose = bootstrap_ratio(num, num + 1, resamples=200)
    assert loose == bootstrap_ratio(num[order], num[order] + 1, resamples=200)


def test_repeated_stimuli_do_not_count_as_more_evidence():
    num = np.random.default_rng(4).integers(0, 2, 80).astype(float)
    names = np.array([f"image{i}" for i in range(80)])
    once = bootstrap_ratio(num, np.ones(80), names)
    tenfold = bootstrap_ratio(np.tile(num, 10), np.ones(800), np.tile(names, 10))
    blind = bootstrap_ratio(np.tile(num, 10), np.ones(800))
    assert tenfold == once
    assert blind[1] - blind[0] < 0.5 * (once[1] - once[0])


def test_the_mean_interval_equals_scipy():
    people = [0.9617, 0.9438, 0.9673, 0.9191, 0.9640, 0.9760, 0.9408, 0.9577, 0.9866, 0.9589]
    reference = stats.ttest_1samp(people, 0).confidence_interval(0.95)
    assert mean_interval(people) == pytest.approx((reference.low, reference.high))
    # Wilson's form at n = .24 / (.04 / 3) = 18 and t of two degrees of freedom, 4.302653.
    assert mean_interval([0.2, 0.4, 0.6], bounds=(0, 1)) == pytest.approx((0.098201, 0.803202), abs=1e-5)


@pytest.mark.parametrize("df", [0.7, 1, 3.3, 30.2, 1000.5])
def test_students_t_is_scipys(df):
    for t in (0.1, 2.0, 3.3):
        assert t_tail(t, df) == t_tail(-t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
        assert t_quantile(1 - t_tail(t, df), df) == pytest.approx(t, rel=1e-6)


def test_ends_of_students_t():
    assert (t_tail(0.0, 5), t_tail(float("inf"), 5)) == (1.0, 0.0)
    assert t_quantile(0.95, 4) == pytest.approx(2.776445105)


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
