"""Scores of ratio metrics: published counts, the choice of interval, and what is undefined."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmark.contracts import Trials
from benchmark.stats import mean_interval, ratio_score

SHAPE = (829, 907, 1006, 727, 1017, 976, 906, 928, 1031, 909)
TEXTURE = (33, 54, 34, 64, 38, 24, 57, 41, 14, 39)
PEOPLE = (0.9617, 0.9438, 0.9673, 0.9191, 0.9640, 0.9760, 0.9408, 0.9577, 0.9866, 0.9589)


def answered(make, shape, texture):
    return make("s" * shape + "t" * texture + "-" * (1200 - shape - texture))


def test_published_shape_bias_of_ten_people(bias, make):
    scores = [ratio_score(bias, answered(make, s, t)) for s, t in zip(SHAPE, TEXTURE, strict=True)]
    values = [score.value for score in scores]
    assert np.round(values, 4).tolist() == list(PEOPLE)
    assert round(float(np.mean(values)), 4) == 0.9576
    assert round(float(np.std(values, ddof=1)), 4) == 0.0191
    assert round(sum(SHAPE) / (sum(SHAPE) + sum(TEXTURE)), 4) == 0.9587
    low, high = mean_interval(values)
    assert (round(low, 4), round(high, 4)) == (0.9439, 0.9713)


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
    both = Trials({k: np.concatenate([cue[k], edges[k]]) for k in cue.columns})
    assert ratio_score(bias, both) == ratio_score(bias, cue)
    assert ratio_score(replace(bias, role=""), both).value == pytest.approx(0.3)


def test_trials_of_one_stimulus_go_together(bias, make):
    answers = "sstst-tsst" * 8
    names = [f"image{i}" for i in range(80)]
    once = ratio_score(bias, make(answers, names))
    many = ratio_score(bias, make(answers * 5, names * 5, conditions=sorted("abcde" * 80)))
    assert once.method == "wilson"
    assert many.method == "wilson (by stimulus)"
    assert many.value == pytest.approx(once.value)
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=0.003)


def test_numbers_get_t_over_stimuli_and_one_stimulus_no_interval(accuracy, make):
    def weighted(trials):
        return np.linspace(0, 1, len(trials)), np.full(len(trials), 2.0)

    metric = replace(accuracy, ratio=weighted)
    score = ratio_score(metric, make("s" * 50))
    assert score.value == pytest.approx(0.25)
    assert score.method == "t (by stimulus)"
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
