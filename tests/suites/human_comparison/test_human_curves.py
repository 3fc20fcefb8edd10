"""Psychometric curves on data of a known curve, answers by hand, the two rankings."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.consistency import likeness_table
from suites.human_comparison import SUITE
from suites.human_comparison.psychometric import fit_curve
from suites.human_comparison.shown_experiments import BY_ROLE

LOW_PASS = BY_ROLE["low-pass"]


def levels(role="low-pass"):
    with np.errstate(divide="ignore"):
        return np.log10(list(BY_ROLE[role].levels.values()))


def shares_of(x, threshold, slope, lapse):
    """Equation 1 of Wichmann & Hill 2001, falling where the slope is below 0, with one half at the threshold."""
    q = (0.5 - 1 / 16) / (1 - 1 / 16 - lapse)
    z = np.log(q / (1 - q)) + slope * (x - threshold)
    return 1 / 16 + (1 - 1 / 16 - lapse) / (1 + np.exp(-np.clip(z, -300, 300)))


def simulate(make, join, role, threshold, rng, slope=-6.0, n=160):
    """Trials whose accuracy is (exactly as the fitted family) one half at `threshold`."""
    shares = zip(BY_ROLE[role].levels, shares_of(levels(role), np.log10(threshold), slope, 0.05), strict=True)
    return join(*(make(rng.random(n) < p, role, name, 1000 * i) for i, (name, p) in enumerate(shares)))


def fitted(make, join, right, n):
    """The curve for `right` answers of n at each level of low-pass."""
    shown = zip(LOW_PASS.levels, right, strict=True)
    parts = [make(np.arange(n) < k, "low-pass", name, 10_000 * i) for i, (name, k) in enumerate(shown)]
    return fit_curve(LOW_PASS, join(*parts))


@pytest.mark.slow
@pytest.mark.parametrize(("role", "threshold"), [("low-pass", 6.0), ("contrast", 8.0)])
def test_threshold_is_found(make, join, role, threshold):
    rng = np.random.default_rng(1)
    slope = 6 if role == "contrast" else -6
    curve = fit_curve(BY_ROLE[role], simulate(make, join, role, threshold, rng, slope, n=2000))
    assert curve.value == pytest.approx(threshold, rel=0.06)
    assert curve.low < curve.value < curve.high and not curve.flags


@pytest.mark.parametrize(("shares", "reason"), [
    ([0.9] * 8, ">= 40: accuracy stays above one half"), ([0.1] * 8, "<= 1: accuracy stays below one half"),
    # it falls somewhere below the smallest blur shown
    ([0.9] + [0.06] * 7, "<= 1: the fitted curve crosses one half outside the levels"),
])  # fmt: skip
def test_not_reached_is_said(make, join, shares, reason):
    curve = fitted(make, join, 100 * np.array(shares), 100)
    assert curve.value is None and curve.reason.startswith(reason)


def test_a_threshold_beyond_the_levels_is_a_bound_and_too_few_levels_or_a_poor_fit_are_said(make, join):
    levels = ("c100", "c30", "c10", "c03", "c01")
    for right, reason in ((1, "<= 1: accuracy stays above"), (0, ">= 100: accuracy stays below")):
        parts = (make([right] * 20, "contrast", name, 100 * i) for i, name in enumerate(levels))
        assert fit_curve(BY_ROLE["contrast"], join(*parts)).reason.startswith(reason)
    assert "too few" in fit_curve(LOW_PASS, make([1, 0], "low-pass", ["1", "3"])).reason
    shares = np.array([0.9, 0.9, 0.2, 0.9, 0.2, 0.7, 0.1, 0.06])
    assert fitted(make, join, 160 * shares, 160).flags[0] == "the curve fits poorly"


def test_rankings_are_by_the_mean_of_three_ranks():
    """Ranks of a: 1, 2, 1; of b: 2, 1, 2; of c, which has no value of one metric, none; accuracy: b, then a and c."""
    names = ("accuracy_difference", "observed_consistency", "error_consistency", "ood_accuracy")
    table = {"b": (0.2, 0.8, 0.3, 0.6), "a": (0.1, 0.7, 0.4, 0.5), "c": (0.3, 0.9, None, 0.5)}
    cells = {name: dict(zip(names, map(Cell, row), strict=True)) for name, row in table.items()}
    rows = [SimpleNamespace(observer=name, cells=row) for name, row in cells.items()]
    table = likeness_table(SimpleNamespace(rows=rows, sets={}))
    assert table.rows == (("a", "1.33", "1", "2.5"), ("b", "1.67", "2", "1"), ("c", "-", "-", "2.5"))


def threshold_of(trials):
    (found,) = [score for score in SUITE.score(None, trials) if score.metric == "threshold"]
    return found


@pytest.mark.slow
def test_a_threshold_has_its_interval_or_says_that_it_is_open(make, join):
    trials = simulate(make, join, "low-pass", 6.0, np.random.default_rng(3))
    score, curve = threshold_of(trials), fit_curve(LOW_PASS, trials)
    assert (score.value, score.low, score.high) == (curve.value, curve.low, curve.high)
    assert score.low < score.value < score.high and score.method == "profile likelihood"
    assert score.n == 8 * 160 and score.flags == ()
    few = simulate(make, join, "low-pass", 30.0, np.random.default_rng(3), slope=-2.0, n=10)
    score = threshold_of(few)
    assert score.value is not None and (score.low, score.high, score.method) == (None, None, "")
    assert score.flags == ("interval open at the ends of the levels shown",)


def test_the_interval_ends_where_twice_the_log_likelihood_has_fallen_by_3_84(make, join):
    x, n = levels(), 160
    right = np.round(n * shares_of(x, np.log10(6.0), -6.0, 0.05))
    curve = fitted(make, join, right, n)

    def loss(free, threshold):
        p = np.clip(shares_of(x, threshold, -np.exp(free[0]), free[1]), 1e-9, 1 - 1e-9)
        return -2 * (right * np.log(p) + (n - right) * np.log(1 - p)).sum()

    def profile(threshold):
        start, bounds = [np.log(6.0), 0.05], [(-2, 6), (0, 0.45)]
        return minimize(loss, start, args=(threshold,), method="Nelder-Mead", bounds=bounds, tol=1e-8).fun

    best, *ends = (profile(np.log10(level)) for level in (curve.value, curve.low, curve.high))
    assert [end - best for end in ends] == pytest.approx([3.8415] * 2, abs=0.2)
