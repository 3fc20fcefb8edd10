"""Psychometric curves on data of a known curve, answers by hand, the two rankings."""

import numpy as np
import pandas as pd
import pytest
from curve_points import predict

from benchmark.stats.ranks import human_likeness
from suites.human_comparison import SUITE
from suites.human_comparison.experiments import BY_ROLE
from suites.human_comparison.psychometric import fit_curve
from suites.human_comparison.score import response_shares

LOW_PASS = BY_ROLE["low-pass"]


def simulate(make, join, role, threshold, rng, slope=6.0, lapse=0.05, n=160):
    """Trials whose accuracy is (exactly as the fitted family) one half at `threshold`."""
    experiment = BY_ROLE[role]
    sign = 1 if role in ("contrast", "high-pass") else -1
    q = (0.5 - 1 / 16) / (1 - 1 / 16 - lapse)
    parts = []
    for i, condition in enumerate(experiment.conditions):
        with np.errstate(divide="ignore"):
            x = np.log10(condition.level / threshold)
        p = 1 / 16 + (1 - 1 / 16 - lapse) / (1 + np.exp(-(sign * slope * x + np.log(q / (1 - q)))))
        parts.append(make(rng.random(n) < p, role=role, condition=condition.name, start=1000 * i))
    return join(*parts)


@pytest.mark.parametrize(("role", "threshold"), [("low-pass", 6.0), ("contrast", 8.0), ("uniform-noise", 0.25)])
def test_threshold_is_found(make, join, role, threshold):
    rng = np.random.default_rng(1)
    curve = fit_curve(BY_ROLE[role], simulate(make, join, role, threshold, rng, n=2000))
    assert curve.threshold == pytest.approx(threshold, rel=0.06)
    assert curve.low < curve.threshold < curve.high and not curve.poor
    assert np.sign(curve.slope) == (1 if role == "contrast" else -1)
    assert abs(curve.slope) == pytest.approx(6, rel=0.15) and curve.lapse == pytest.approx(0.05, abs=0.03)
    assert predict(BY_ROLE[role], curve, np.array([curve.threshold])) == pytest.approx(0.5)


@pytest.mark.slow
def test_interval_covers(make, join):
    rng, hits = np.random.default_rng(2), 0
    for _ in range(40):
        curve = fit_curve(LOW_PASS, simulate(make, join, "low-pass", 6.0, rng))
        hits += curve.low <= 6.0 <= curve.high
    assert hits >= 34


@pytest.mark.parametrize(
    ("shares", "reason"), [([0.9] * 8, "stays above one half"), ([0.1] * 8, "stays below one half")]
)
def test_not_reached_is_said(make, join, shares, reason):
    parts = [
        make(np.arange(100) < 100 * share, role="low-pass", condition=c.name, start=1000 * i)
        for i, (c, share) in enumerate(zip(LOW_PASS.conditions, shares, strict=True))
    ]
    curve = fit_curve(LOW_PASS, join(*parts))
    assert curve.threshold is None and reason in curve.reason


def test_crossing_outside_the_levels_is_not_extrapolated(make, join):
    """High only without any blur: the curve falls somewhere below the smallest blur shown."""
    shares = [0.9] + [0.06] * 7
    parts = [
        make(np.arange(100) < 100 * share, role="low-pass", condition=c.name, start=1000 * i)
        for i, (c, share) in enumerate(zip(LOW_PASS.conditions, shares, strict=True))
    ]
    curve = fit_curve(LOW_PASS, join(*parts))
    assert curve.threshold is None and "outside the levels" in curve.reason


def test_no_curve_where_there_are_no_levels(make):
    assert "not levels" in fit_curve(BY_ROLE["rotation"], make([1], "rotation", "90")).reason
    assert "too few" in fit_curve(LOW_PASS, make([1, 0], "low-pass", ["1", "3"])).reason
    assert fit_curve(LOW_PASS, make([1], "low-pass", "1")).slope is None


def test_a_curve_that_does_not_fit_is_called_poor(make, join):
    shares = [0.9, 0.9, 0.2, 0.9, 0.2, 0.7, 0.1, 0.06]
    parts = [
        make(np.arange(160) < 160 * share, role="low-pass", condition=c.name, start=1000 * i)
        for i, (c, share) in enumerate(zip(LOW_PASS.conditions, shares, strict=True))
    ]
    assert fit_curve(LOW_PASS, join(*parts)).poor


def test_step_observer_has_a_finite_threshold(make, join):
    shares = [1, 1, 1, 1, 0, 0, 0, 0]
    parts = [
        make(np.arange(160) < 160 * share, role="low-pass", condition=c.name, start=1000 * i)
        for i, (c, share) in enumerate(zip(LOW_PASS.conditions, shares, strict=True))
    ]
    curve = fit_curve(LOW_PASS, join(*parts))
    assert 5 <= curve.threshold <= 7


def test_entropy_and_shares():
    shares = response_shares(np.array(["cat"] * 3 + ["dog"] + ["na"] * 2))
    assert shares.na == 2 and shares.total == 4 and shares.largest == ("cat", 0.75)
    assert shares.entropy == pytest.approx(0.811278, abs=1e-6)
    assert response_shares(np.array(["na"])).entropy is None
    assert response_shares(np.array(["cat"])).entropy == 0.0
    from benchmark.stimuli.catalogue import GEIRHOS16

    assert response_shares(np.array(GEIRHOS16)).entropy == pytest.approx(4.0)


def test_rankings_equal_the_definition_in_pandas():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        rng.random((7, 4)).round(1),
        columns=["accuracy_difference", "observed_consistency", "error_consistency", "ood_accuracy"],
        index=[f"net{i}" for i in range(7)],
    )
    ranks = pd.concat(
        [
            frame["accuracy_difference"].rank(ascending=True),
            frame["observed_consistency"].rank(ascending=False),
            frame["error_consistency"].rank(ascending=False),
        ],
        axis=1,
    ).mean(axis=1)
    found = {row.name: row for row in human_likeness(frame.to_dict("index"))}
    for name in frame.index:
        assert found[name].mean_rank == pytest.approx(ranks[name])
        assert found[name].place == pytest.approx(ranks.rank()[name])
        assert found[name].accuracy_place == frame["ood_accuracy"].rank(ascending=False)[name]


def test_a_model_without_a_value_is_not_ranked():
    full = {"accuracy_difference": 0.1, "observed_consistency": 0.7, "error_consistency": 0.2, "ood_accuracy": 0.5}
    rows = human_likeness({"b": full, "a": {**full, "error_consistency": None}})
    assert [row.name for row in rows] == ["b", "a"]
    assert rows[0].place == 1 and rows[1].mean_rank is None and rows[1].accuracy_place == 1.5
    assert human_likeness({}) == []


def test_mean_rank_depends_on_the_set():
    """Two models trade places when a third joins: ranks hold within their set only."""

    def row(difference, observed, kappa):
        return {"accuracy_difference": difference, "observed_consistency": observed, "error_consistency": kappa}

    a, b, c = row(0.1, 0.9, 0.20), row(0.2, 0.8, 0.30), row(0.3, 0.85, 0.25)
    two = [r.name for r in human_likeness({"a": a, "b": b})]
    d, e = row(0.4, 0.70, 0.28), row(0.5, 0.60, 0.29)
    many = {r.name: r.mean_rank for r in human_likeness({"a": a, "b": b, "c": c, "d": d, "e": e})}
    assert two == ["a", "b"] and many["b"] < many["a"]


def threshold_of(trials):
    (found,) = [score for score in SUITE.score(None, trials) if score.metric == "threshold"]
    return found


@pytest.mark.slow
def test_a_threshold_has_its_interval_or_says_that_it_is_open(make, join):
    trials = simulate(make, join, "low-pass", 6.0, np.random.default_rng(3))
    score, curve = threshold_of(trials), fit_curve(LOW_PASS, trials)
    assert (score.value, score.low, score.high) == (curve.threshold, curve.low, curve.high)
    assert score.low < score.value < score.high and score.method == "profile likelihood"
    assert score.n == 8 * 160 and score.flags == ()
    few = simulate(make, join, "low-pass", 30.0, np.random.default_rng(3), slope=2.0, n=10)
    score, curve = threshold_of(few), fit_curve(LOW_PASS, few)
    assert curve.threshold is not None and (curve.low is None or curve.high is None)
    assert (score.value, score.low, score.high, score.method) == (curve.threshold, None, None, "")
    assert score.flags == ("interval open at the ends of the levels shown",)
