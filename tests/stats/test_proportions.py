"""Wilson, Tango and McNemar against scipy and a numerical likelihood; coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from benchmark.stats.intervals import mcnemar_exact, paired_difference, wilson

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


@pytest.mark.parametrize(("p", "n"), [(0.04, 320), (0.22, 100), (0.5, 60), (0.96, 660)])
def test_wilson_covers_at_its_level(p, n):
    k = np.arange(n + 1)
    inside = [low <= p <= high for low, high in (wilson(int(i), n) for i in k)]
    covered = float(stats.binom.pmf(k, n, p)[inside].sum())  # exact, no simulation
    assert 0.93 < covered < 0.97


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


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_paired_interval_holds_the_difference_and_mirrors(b, c, rest):
    n = b + c + rest
    if n == 0:
        with pytest.raises(ValueError, match="paired counts"):
            paired_difference(b, c, n)
        return
    low, high = paired_difference(b, c, n)
    assert -1 <= low <= (b - c) / n + 1e-12
    assert (b - c) / n - 1e-12 <= high <= 1
    assert high - low > 1e-3
    assert paired_difference(c, b, n) == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize("cells", [(0.15, 0.05), (0.3, 0.3), (0.02, 0.01)])
def test_the_paired_interval_covers_at_its_level(cells):
    n, runs = 120, 3000
    drawn = np.random.default_rng(5).multinomial(n, [*cells, 1 - sum(cells)], size=runs)
    seen, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    bounds = [paired_difference(int(b), int(c), n) for b, c in seen]
    inside = np.array([low <= cells[0] - cells[1] <= high for low, high in bounds])
    assert 0.935 < float(times[inside].sum()) / runs < 0.985
