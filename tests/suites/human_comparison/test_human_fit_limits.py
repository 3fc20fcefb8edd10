"""The limits of a psychometric fit: level of the profile likelihood, largest lapse, shallowest slope."""

import numpy as np
import pytest
from curve_points import predict
from scipy.optimize import minimize

from suites.human_comparison.experiments import BY_ROLE
from suites.human_comparison.psychometric import Points, _rises, fit_curve

LOW_PASS = BY_ROLE["low-pass"]


def shares_of(x, threshold, slope, lapse):
    """Equation 1 of Wichmann & Hill 2001, falling, with one half at the threshold."""
    q = (0.5 - 1 / 16) / (1 - 1 / 16 - lapse)
    z = np.log(q / (1 - q)) - slope * (x - threshold)
    return 1 / 16 + (1 - 1 / 16 - lapse) / (1 + np.exp(-np.clip(z, -300, 300)))


def fitted(make, join, right, n):
    """The package's curve for `right` answers of n at each level of low-pass."""
    parts = [
        make(np.arange(n) < k, role="low-pass", condition=c.name, start=10_000 * i)
        for i, (c, k) in enumerate(zip(LOW_PASS.conditions, right, strict=True))
    ]
    return fit_curve(LOW_PASS, join(*parts))


def levels():
    with np.errstate(divide="ignore"):
        return np.log10([c.level for c in LOW_PASS.conditions])


def test_the_interval_ends_where_twice_the_log_likelihood_has_fallen_by_3_84(make, join):
    x, n = levels(), 160
    right = np.round(n * shares_of(x, np.log10(6.0), 6.0, 0.05))
    curve = fitted(make, join, right, n)

    def loss(free, threshold):
        p = np.clip(shares_of(x, threshold, np.exp(free[0]), free[1]), 1e-9, 1 - 1e-9)
        return -2 * (right * np.log(p) + (n - right) * np.log(1 - p)).sum()

    def profile(threshold):
        start, bounds = [np.log(6.0), 0.05], [(-2, 6), (0, 0.45)]
        return minimize(loss, start, args=(threshold,), method="Nelder-Mead", bounds=bounds, tol=1e-8).fun

    best = profile(np.log10(curve.threshold))
    assert profile(np.log10(curve.low)) - best == pytest.approx(3.8415, abs=0.2)
    assert profile(np.log10(curve.high)) - best == pytest.approx(3.8415, abs=0.2)


def test_lapses_end_at_45_percent(make, join):
    """An observer who never does better than .51 and falls at once: more lapses would fit, were they allowed."""
    curve = fitted(make, join, [502, 498, 502, 500, 62, 62, 62, 62], 1000)
    assert curve.lapse == pytest.approx(0.45, abs=1e-6)


def test_a_curve_may_be_as_shallow_as_the_span_of_its_levels_allows(make, join):
    x = levels()
    inside = x[np.isfinite(x)]
    slope = 1.05 / (inside.max() - inside.min())
    right = np.round(4000 * shares_of(x, np.median(inside), slope, 0.05))
    assert abs(fitted(make, join, right, 4000).slope) == pytest.approx(slope, rel=0.2)


def test_a_curve_falls_to_guessing_and_begins_at_one_minus_its_lapses(make, join):
    """One of sixteen categories is right by chance; .07 of the easy images are missed."""
    n = 2000
    right = np.round(n * shares_of(levels(), np.log10(6.0), 6.0, 0.07))
    curve = fitted(make, join, right, n)
    ends = predict(LOW_PASS, curve, np.array([1e-9, 1e9]))
    assert ends == pytest.approx([0.93, 0.0625], abs=1e-3) and ends[1] == pytest.approx(0.0625)
    assert (curve.threshold, curve.lapse) == pytest.approx((6.0, 0.07), rel=0.01)
    assert curve.slope == pytest.approx(-6.0, rel=0.01) and not curve.poor
    # the core's own middle, where accuracy is half-way between guessing and the top: z = 0
    logit = np.log(0.4375 / (0.8675 - 0.4375))
    assert np.log10(curve.midpoint) == pytest.approx(np.log10(6.0) + logit / 6.0, abs=1e-3)


def test_a_curve_rises_where_shares_do_and_not_counts():
    """Five levels; the middle one belongs to the upper half. Most answers are given where fewest are right."""
    x, n = np.arange(5.0), np.array([900.0, 800.0, 10.0, 10.0, 10.0])
    assert _rises(Points(x, np.array([0.1, 0.2, 0.5, 0.6, 0.9]) * n, n))
    assert not _rises(Points(x, np.array([0.9, 0.8, 0.6, 0.2, 0.1]) * n, n))
    assert _rises(Points(x, np.array([0.4, 0.4, 0.9, 0.4, 0.4]) * n, n))
    assert not _rises(Points(x, np.array([0.4, 0.9, 0.4, 0.5, 0.5]) * n, n))
