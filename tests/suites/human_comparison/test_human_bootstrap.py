"""Resampling: against a loop that draws images and people one by one."""

from dataclasses import replace

import numpy as np
import pytest
from answers import kappa
from jackknives import crossed
from scipy import stats

from benchmark.stats.agreement import pairwise
from suites.human_comparison import SUITE
from suites.human_comparison.against_people import people_scores, share_of_ceiling
from suites.human_comparison.bootstrap import (
    ConditionAnswers,
    ExperimentAnswers,
    answers_of,
    draw,
    draw_people,
    interval,
    mean_of_people,
    pairs_among,
)
from suites.human_comparison.shown_experiments import BY_ROLE


def observers(make, count=5, n=80, shared=0.5, condition="c50", role="contrast"):
    rng = np.random.default_rng(7)
    hard, parts = rng.random(n) < 0.6, range(count)
    return [make(np.where(rng.random(n) < shared, hard, rng.random(n) < 0.6), role, condition) for _ in parts]


@pytest.fixture
def answers(make):
    mine, *others = observers(make)
    return answers_of(BY_ROLE["contrast"], "net", mine, {f"subject-{i}": one for i, one in enumerate(others)})


def test_row_zero_is_the_sample(answers):
    draws = draw(answers, 50)
    (right,) = [one.right for one in answers.conditions if one.condition == "c50"]
    matrix = pairwise(right)
    found = draws.pairs["c50"]
    assert np.allclose(found["error_consistency"][0], matrix.kappa)
    assert np.allclose(found["observed_consistency"][0], matrix.observed)
    measured = found["error_consistency"]
    assert mean_of_people(measured[:, 0, 1:], draws.people)[0] == pytest.approx(matrix.kappa[0, 1:].mean())
    upper = np.triu_indices(4, 1)
    assert pairs_among(measured[:, 1:, 1:], draws.people)[0] == pytest.approx(matrix.kappa[1:, 1:][upper].mean())


@pytest.mark.slow
def test_spread_is_that_of_jackknives_of_images_and_people(answers):
    """With the tails of Student's t."""
    right = answers.conditions[0].right

    def network(kept, who):
        return np.mean([kappa(right[kept, 0], right[kept, i]) for i in who])

    def group(kept, who):
        return np.mean([kappa(right[kept, i], right[kept, j]) for i in who for j in who if i < j])

    draws = draw(answers, 4000)
    pairs = draws.pairs["c50"]["error_consistency"]
    of_network, of_group = mean_of_people(pairs[:, 0, 1:], draws.people), pairs_among(pairs[:, 1:, 1:], draws.people)
    for value, values in ((network, of_network), (group, of_group)):
        se, df = crossed(value, 80, [1, 2, 3, 4])
        assert np.ptp(interval(values)) == pytest.approx(2 * stats.t.ppf(0.975, df) * se, rel=0.1)


def test_people_who_differ_and_images_without_noise_give_students_t():
    people = draw_people("contrast", 4)
    values = np.tile([0.2, 0.5, 0.3, 0.8], (1001, 1))
    found = mean_of_people(values, people)
    assert found[0] == pytest.approx(0.45)
    half = 3.182446 * np.std(values[0], ddof=1) / 2  # t with 3 degrees of freedom
    assert interval(found) == pytest.approx((0.45 - half, 0.45 + half), abs=0.005)
    one = np.linspace(0, 1, 1001)[:, None]
    assert (mean_of_people(one, draw_people("contrast", 1)) == one[:, 0]).all()


def test_a_shape_has_the_same_weights_in_every_experiment(make, join):
    """The same answers to edges and to silhouettes of 40 shapes are no more than those to edges alone."""

    def shown(one, names):
        return replace(one, columns={**one.columns, "stimulus": np.array(names)})

    def width(**sets):
        groups = [[shown(one, sets[r]) for one in observers(make, n=40, condition="", role=r)] for r in sets]
        mine, *others = (join(*parts) for parts in zip(*groups, strict=True))
        ideal = {f"subject-{i}": one for i, one in enumerate(others)}
        accuracy = next(s for s in SUITE.score(None, mine) if s.metric == "ood_accuracy")
        scores = SUITE.against.scores(None, mine, ideal)
        kappa = next(s for s in scores if s.metric == "error_consistency" and not s.role)
        return accuracy.high - accuracy.low, kappa.high - kappa.low

    shapes = [f"{'cat' if i % 2 else 'dog'}{i}.png" for i in range(40)]
    photographs = [f"n{i}.jpg" for i in range(40)]
    alone, both = width(edges=shapes), width(edges=shapes, silhouettes=shapes)
    apart = width(edges=shapes, silhouettes=photographs)
    assert both[0] == pytest.approx(alone[0])
    assert apart[0] == pytest.approx(alone[0] / 2**0.5, rel=0.15)
    assert apart[1] < both[1] <= alone[1]  # people differ from experiment to experiment


def test_interval_of_a_squared_difference_is_moved_to_its_value():
    """Equal accuracies: resamples of a square lie above 0 as a whole, so a plain interval would miss the value."""
    squares = np.random.default_rng(0).normal(0, 0.05, 2000) ** 2
    draws = np.concatenate([[0.0], squares])
    low, high = interval(draws, centred=True)
    assert low <= 0.0 <= high
    assert (low, high) == pytest.approx(np.quantile(squares, [0.025, 0.975]) - squares.mean())


def test_a_ceiling_over_part_of_the_experiments_is_none(make, join, find):
    """Two people saw the edges, one the sketches: the average over both has no ceiling, nor a share of it."""
    rights = ([1, 0] * 20, [1, 1, 0, 0] * 10, [1, 0, 1, 1] * 10)
    net, two, one = (join(make(right, "edges", ""), make(right, "sketch", "")) for right in rights)
    found = people_scores(None, net, {"subject-1": one, "subject-2": two.of("edges")})
    assert find(found, "human_error_consistency", "edges", "kept").value is not None
    ceiling = find(found, "human_error_consistency")
    assert ceiling.value is None and ceiling.reason == "one person only: no pair of people"
    assert find(found, "ceiling_fraction").value is None
    assert find(found, "error_consistency").value is not None


@pytest.mark.parametrize("few", ["both", "first", "second", "neither"])
def test_kappa_of_a_pair_is_one_number_whichever_cell_is_small(few):
    """One cell of four with two images: half an image more in each cell, for both ways round."""
    n = {"both": 20, "first": 12, "second": 11, "neither": 15, few: 2}
    columns = {"both": (1, 1), "first": (1, 0), "second": (0, 1), "neither": (0, 0)}
    right = np.array([columns[name] for name, count in n.items() for _ in range(count)], bool)
    names = np.arange(len(right)).astype(str)
    part = ConditionAnswers(condition="cr", kept=True, right=right, clusters={}, stimuli=names)
    drawn = draw(ExperimentAnswers(role="colour", observers=("a", "b"), conditions=(part,)), 200)
    kappa = drawn.pairs["cr"]["error_consistency"]
    np.testing.assert_allclose(kappa[:, 0, 1], kappa[:, 1, 0], atol=1e-12)
    total = sum(n.values())
    p, q = (n["both"] + n["first"]) / total, (n["both"] + n["second"]) / total
    chance = p * q + (1 - p) * (1 - q)
    assert kappa[0, 0, 1] == pytest.approx(((n["both"] + n["neither"]) / total - chance) / (1 - chance))
    assert 0.05 < kappa[1:, 0, 1].std() < 0.2


def test_the_share_of_the_ceiling_row_by_row():
    """A resample whose ceiling is not above 0 has none; no value at all where the sample's is not."""
    own = np.array([0.2, 0.1, 0.3])
    values = {"error_consistency": own, "human_error_consistency": np.array([0.5, 0.0, 0.4])}
    np.testing.assert_allclose(share_of_ceiling(values), [0.4, np.nan, 0.75])
    low = {**values, "human_error_consistency": np.array([0.0, 0.5, 0.4])}
    assert share_of_ceiling(low) is None
    assert share_of_ceiling({**values, "human_error_consistency": None}) is None
