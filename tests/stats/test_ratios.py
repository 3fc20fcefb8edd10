"""Scores of ratio metrics: published counts, the choice of interval, and what is undefined."""

from dataclasses import replace

import numpy as np
import pytest
from jackknives import few_clusters
from scipy import stats

from benchmark.contracts import Trials
from benchmark.stats import clustered_variance, clustered_wilson, ratio_score, shared_clusters
from benchmark.stats.clusters import Variance, crossed_variance, few_clusters_variance, variance_of_mean


def test_a_score_of_a_condition_is_of_its_trials(bias, make):
    """Three blocks under three conditions had one number under three names."""
    trials = make("sssttt-st", conditions=[*"aaabbbccc"])
    scores = [ratio_score(bias, trials, condition=one) for one in "abcd"]
    assert [(s.value, s.n, s.excluded) for s in scores] == [
        (1.0, 3, 0), (0.0, 3, 0), (0.5, 2, 1), (None, 0, 0)
    ]  # fmt: skip
    assert scores[3].reason == "no trial under 'd' (but: a, b, c)"
    assert ratio_score(bias, trials).value == 0.5


@pytest.mark.parametrize(("answers", "value"), [("ssss", 1.0), ("tttt", 0.0)])
def test_all_right_and_all_wrong_still_have_width(bias, make, answers, value):
    score = ratio_score(bias, make(answers))
    assert score.value == value
    assert score.high - score.low == pytest.approx(0.48990, abs=1e-5)


def test_nothing_to_divide_by_is_undefined_with_a_reason(bias, make):
    score = ratio_score(bias, make("----"))
    assert (score.value, score.low, score.high, score.n, score.excluded) == (None, None, None, 0, 4)
    assert score.reason.startswith("no trial counts: ")
    assert "4 trials" in score.reason


def test_only_the_role_of_the_metric_counts(bias, make):
    cue, edges = make("ssst"), make("tttttt", role="edges")
    both = Trials(columns={k: np.concatenate([cue[k], edges[k]]) for k in cue.columns})
    assert ratio_score(bias, both) == ratio_score(bias, cue)
    assert ratio_score(replace(bias, role=""), both).value == pytest.approx(0.3)


def test_trials_of_one_stimulus_go_together(bias, make):
    answers = "sstst-tsst" * 8
    names = [f"image{i}" for i in range(80)]
    once = ratio_score(bias, make(answers, names))
    many = ratio_score(bias, make(answers * 5, names * 5, conditions=sorted("abcde" * 80)))
    assert (once.method, many.method) == ("wilson", "wilson (by stimulus)")
    assert many.value == pytest.approx(once.value)
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=0.003)


def test_numbers_get_t_over_stimuli_and_one_stimulus_no_interval(accuracy, make):
    def weighted(trials):
        return np.linspace(0, 1, len(trials)), np.full(len(trials), 2.0)

    metric = replace(accuracy, ratio=weighted)
    score = ratio_score(metric, make("s" * 50))
    assert (score.value, score.method) == (pytest.approx(0.25), "t (by stimulus)")
    values = np.linspace(0, 1, 50) / 2
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert (score.low, score.high) == pytest.approx(expected, abs=1e-9)
    single = ratio_score(metric, make("ss", ["image"] * 2))
    assert (single.value, single.low, single.high) == (0.25, None, None)
    assert single.flags == ("one stimulus: no interval",)


def test_numbers_with_bounds_stay_within_them(accuracy, make):
    values = np.array([1.0] * 19 + [0.4])
    free = replace(accuracy, ratio=lambda _: (values, np.ones(20)))
    assert ratio_score(free, make("s" * 20)).high > 1
    score = ratio_score(replace(free, bounds=(0.0, 1.0)), make("s" * 20))
    assert score.method == "wilson (by stimulus)"
    # Wilson's interval of .97 with n = .97 * .03 / .03^2 = 32 1/3 and t(19) = 2.0930
    assert (score.low, score.high) == pytest.approx((0.83257, 0.99527), abs=1e-4)


SHAPE, TEXTURE = "shape_exemplar", "texture_exemplar"


def wilson_form(p, variance, t):
    """Wilson's interval of a share p with n = p (1 - p) / variance."""
    n = p * (1 - p) / variance
    middle = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t * np.sqrt(p * (1 - p) / n + t**2 / (4 * n**2)) / (1 + t**2 / n)
    return middle - half, middle + half


def with_exemplars(trials, shape, texture):
    return Trials(columns={**trials.columns, SHAPE: np.array(shape), TEXTURE: np.array(texture)})


def test_a_variance_by_hand():
    # Two shapes (rows) x three textures. Sums: shapes 3, -3; textures 1, 2, -3; cells as they are.
    influence = np.array([[2.0, 1.0, 0.0], [-1.0, 1.0, -3.0]]).ravel()
    shape, texture = np.repeat(["a", "b"], 3), np.tile(["x", "y", "z"], 2)
    # shapes: 18 * 2/1 = 36; textures: 14 * 3/2 = 21; cells: 16 * 6/5 = 19.2
    found = clustered_variance(influence, [shape, texture])
    assert (found.value, found.df) == (pytest.approx(36 + 21 - 19.2), 1)
    assert clustered_variance(influence, [texture]).value == pytest.approx(21)
    assert clustered_variance(influence, [texture]).df == 2


def test_where_nothing_varies_few_clusters_have_the_degrees_of_the_fewest():
    found = few_clusters_variance(np.zeros(6), [np.arange(6) // 2, np.arange(6) % 2])
    assert (found.value, found.df) == (0, 1)


def test_people_never_lessen_what_images_leave_open_and_of_one_nothing_is_known():
    images, persons = np.random.default_rng(4).normal(size=30), np.random.default_rng(5).normal(size=(30, 4)) / 20
    alone = pytest.approx((images**2).sum() * 30 / 29)
    assert crossed_variance(images, persons - persons.mean(axis=0), np.zeros(4)).value == alone
    assert crossed_variance(images, persons[:, :1], np.array([0.5])) == Variance(value=alone, df=29)
    one_image = Variance(value=0.0, df=0)
    assert variance_of_mean([one_image, Variance(value=0.04, df=10)]) == Variance(value=0.01, df=10)


def test_the_interval_is_wilson_with_the_sample_size_of_that_variance():
    found = clustered_variance(np.array([0.02, 0.01, -0.03, 0.0]), [np.array(list("abcd"))])
    # V = 0.0014 * 4/3; n = .3 * .7 / V = 112.5; t(3) = 3.18245
    assert clustered_wilson(0.3, found) == pytest.approx(wilson_form(0.3, 0.21 / 112.5, 3.1824463), rel=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(0.0, (0.0, 0.27753)), (1.0, (0.72247, 1.0))])
def test_without_spread_each_cluster_of_the_smaller_factor_is_one_trial(value, expected):
    shape, texture = np.arange(20), np.arange(20) % 10
    found = clustered_variance(np.zeros(20), [shape, texture])
    assert clustered_wilson(value, found) == pytest.approx(expected, abs=1e-5)


def test_a_stimulus_without_a_level_is_a_cluster_of_its_own(bias, make):
    trials = with_exemplars(make("sstts"), ["a", "a", "", "", "b"], [""] * 5)
    clusters = shared_clusters(bias, trials)
    assert list(clusters) == [SHAPE]
    assert len(np.unique(clusters[SHAPE])) == 4


def test_a_metric_may_name_its_clusters(bias, make):
    trials = make("sstt", ["a1", "a2", "b1", "b2"])
    named = replace(bias, clusters=lambda t: {"letter": np.array([n[0] for n in t["stimulus"]])})
    assert shared_clusters(named, trials)["letter"].tolist() == ["a", "a", "b", "b"]
    assert ratio_score(named, trials).method == "wilson, clustered (2 letters)"


def test_a_number_with_bounds_keeps_its_interval_within(bias, make):
    trials = with_exemplars(make("sstt"), list("aabb"), [""] * 4)
    marks = replace(bias, ratio=lambda t: (np.array([9.0, 8.0, 10.0, 10.0]), np.ones(4)))
    free, held = (ratio_score(one, trials) for one in (marks, replace(marks, bounds=(0.0, 10.0))))
    assert free.high > 10
    assert (held.value, held.method) == (9.25, "wilson, clustered (2 shapes)")
    # Of 10, value .925; the shapes pull it by -/+ .0375: V = 2 * 2 * .0375^2; t(1) = 12.7062
    ends = 10 * np.array(wilson_form(0.925, 4 * 0.0375**2, 12.7062047))
    assert (held.low, held.high) == pytest.approx(ends) and 0 < held.low < 9.25 < held.high < 10


def test_three_textures_do_not_stretch_an_interval_by_the_t_quantile_of_two(bias, make):
    """V and its degrees of freedom by loops; Wilson's form around the share. Two degrees of freedom have t = 4.30."""
    rng = np.random.default_rng(4)
    shape, texture = np.repeat(np.arange(40), 3).astype(str), np.tile(np.arange(3), 40).astype(str)
    answers = np.where(rng.random(120) < rng.beta(2, 3, 40)[np.repeat(np.arange(40), 3)], "s", "t")
    labels = {"shape_exemplar": shape, "texture_exemplar": texture}
    score = ratio_score(bias, Trials(columns={**make("".join(answers)).columns, **labels}))
    p, adds = (answers == "s").mean(), ((answers == "s") - (answers == "s").mean()) / 120

    variance, df = few_clusters(adds, shape, texture)
    assert 2 < df < 80
    assert (score.low, score.high) == pytest.approx(wilson_form(p, variance, stats.t.ppf(0.975, df)), rel=1e-6)
    assert score.flags == ("3 textures only: the interval may be wider than it must",)
