"""Resampling: against a loop that draws images and people one by one."""

import numpy as np
import pytest

from benchmark.stats.agreement import pairwise
from suites.human_comparison import SUITE
from suites.human_comparison.bootstrap import (
    _kappa,
    against_people,
    among_people,
    draw,
    draw_people,
    interval,
    pairs_among,
)
from suites.human_comparison.comparing import compare, share_of_ceiling
from suites.human_comparison.consistency import tabulate


def observers(make, count=5, n=80, shared=0.5, condition="c50", role="contrast"):
    rng = np.random.default_rng(7)
    hard = rng.random(n) < 0.6
    return [
        make(
            np.where(rng.random(n) < shared, hard, rng.random(n) < 0.6),
            role=role,
            condition=condition,
        )
        for _ in range(count)
    ]


@pytest.fixture
def tables(make):
    mine, *others = observers(make)
    return tabulate("contrast", "net", mine, {f"subject-{i}": one for i, one in enumerate(others)})


def kappa(a, b):
    seen, chance = (a == b).mean(), a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return 1.0 if seen == 1 else (seen - chance) / (1 - chance)


def test_row_zero_is_the_sample(tables):
    draws = draw(tables, 50)
    (right,) = [one.right for one in tables.tables if one.condition == "c50"]
    matrix = pairwise(right)
    found = draws.by_condition["c50"]
    assert np.allclose(found["error_consistency"][0], matrix.kappa)
    assert np.allclose(found["observed_consistency"][0], matrix.observed)
    assert (draws.people[0] == 1).all()
    assert (draws.people.sum(axis=1) == 4).all()


@pytest.mark.slow
def test_spread_is_that_of_drawing_images_and_people_in_a_loop(tables):
    right = tables.tables[0].right
    rng = np.random.default_rng(0)
    naive, ceiling = [], []
    for _ in range(1500):
        rows = right[rng.integers(0, 80, 80)]
        who = rng.integers(1, 5, 4)
        while len(set(who)) == 1:
            who = rng.integers(1, 5, 4)
        naive.append(np.mean([kappa(rows[:, 0], rows[:, i]) for i in who]))
        pairs = [(i, j) for at, i in enumerate(who) for j in who[at + 1 :] if i != j]
        ceiling.append(np.mean([kappa(rows[:, i], rows[:, j]) for i, j in pairs]))
    draws = draw(tables, 4000)
    pairs = draws.by_condition["c50"]["error_consistency"]
    for loop, values in (
        (naive, against_people(pairs, draws.people)),
        (ceiling, among_people(pairs, draws.people)),
    ):
        assert values[1:].mean() == pytest.approx(np.mean(loop), abs=0.01)
        assert values[1:].std() == pytest.approx(np.std(loop), rel=0.08)
        assert interval(values) == pytest.approx(np.quantile(loop, [0.025, 0.975]), abs=0.03)


def test_people_are_drawn_with_two_at_least():
    drawn = draw_people("contrast", 2, 500)
    assert (drawn[1:] == 1).all()  # of two people only both are a pair
    assert np.isnan(pairs_among(np.ones((501, 1, 1)), draw_people("contrast", 1, 500))).all()


def test_streams_of_experiments_and_conditions_differ():
    one, two = draw_people("contrast", 4, 300), draw_people("colour", 4, 300)
    assert abs(np.corrcoef(one[1:, 0], two[1:, 0])[0, 1]) < 0.2


def test_interval_of_a_squared_difference_is_moved_to_its_value():
    """Equal accuracies: resamples of a square lie above 0 as a whole, so a plain interval would miss the value."""
    squares = np.random.default_rng(0).normal(0, 0.05, 2000) ** 2
    draws = np.concatenate([[0.0], squares])
    low, high = interval(draws, centred=True)
    assert low <= 0.0 <= high
    assert (low, high) == pytest.approx(np.quantile(squares, [0.025, 0.975]) - squares.mean())


def test_interval_holds_its_value_or_is_none():
    assert interval(np.concatenate([[0.0], np.linspace(0.1, 0.2, 50)]))[0] == 0.0
    assert interval(np.full(11, 0.5)) is None
    assert interval(np.array([0.5, np.nan, np.nan])) is None


def test_images_of_two_conditions_are_drawn_apart(make, join):
    mine, *others = (
        join(
            *(
                make(np.arange(60) % k < k // 2, condition=c, start=s)
                for c, s in (("c50", 0), ("c30", 100))
            )
        )
        for k in (2, 3, 5)
    )
    people = {f"subject-{i}": one for i, one in enumerate(others)}
    pairs = draw(tabulate("contrast", "net", mine, people), 400).by_condition
    one, two = (pairs[name]["observed_consistency"][:, 0, 1] for name in ("c50", "c30"))
    assert one[0] == two[0] and abs(np.corrcoef(one[1:], two[1:])[0, 1]) < 0.2


@pytest.mark.slow
def test_coverage_of_the_interval_over_images(make):
    """Observers of a known kappa: the interval holds it in about 95 % of samples."""
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(120):
        hard = rng.random(160) < 0.5
        a, b = (np.where(rng.random(160) < 0.7, hard, rng.random(160) < 0.5) for _ in range(2))
        tables = tabulate("edges", "net", make(a, "edges", ""), {"subject-1": make(b, "edges", "")})
        draws = draw(tables, 300)
        low, high = interval(against_people(draws.mean("error_consistency"), draws.people))
        hits += low <= 0.49 <= high  # agree where both follow `hard`: 0.7 * 0.7 of the way
    assert hits >= 106


def test_ood_accuracy_draws_images_within_conditions(make, join, find):
    """Shares .9 and .1 of 100 images each: sd of their mean .0212; images of both drawn together would have .0354."""
    easy = make([1] * 90 + [0] * 10, condition="c50")
    hard = make([1] * 10 + [0] * 90, condition="c05", start=100)
    score = find(SUITE.score(None, join(easy, hard)), "ood_accuracy")
    assert score.value == 0.5
    assert (score.low, score.high) == pytest.approx((0.4584, 0.5416), abs=0.007)


def test_the_share_of_the_ceiling_is_taken_in_every_resample():
    own = np.array([0.2, 0.1, 0.3, 0.4, 0.1])
    ceiling = np.array([0.4, 0.2, 0.6, 0.5, -0.1])  # a ceiling below 0 gives no share
    found = share_of_ceiling({"error_consistency": own, "human_error_consistency": ceiling})
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, 0.8, np.nan])


def test_a_ceiling_over_part_of_the_experiments_is_none(make, join, find):
    """Two people saw the edges, one the sketches: the average over both has no ceiling, nor a share of it."""
    rights = ([1, 0] * 20, [1, 1, 0, 0] * 10, [1, 0, 1, 1] * 10)
    net, two, one = (join(make(right, "edges", ""), make(right, "sketch", "")) for right in rights)
    found = compare(None, net, {"subject-1": one, "subject-2": two.of("edges")})
    assert find(found, "human_error_consistency", "edges", "kept").value is not None
    ceiling = find(found, "human_error_consistency")
    assert ceiling.value is None and ceiling.reason == "one person only: no pair of people"
    assert find(found, "ceiling_fraction").value is None
    assert find(found, "error_consistency").value is not None


def test_nobody_who_errs_leaves_the_share_of_the_ceiling_open(make, find):
    people = {f"subject-{i}": make([1] * 40, "edges", "") for i in range(4)}
    share = find(compare(None, make([1] * 40, "edges", ""), people), "ceiling_fraction")
    assert share.value == 1.0 and share.low < 0.5 and share.high > 2


@pytest.mark.parametrize("thin", ["both", "neither", "first", "second"])
def test_half_images_come_where_one_of_the_four_cells_has_fewer_than_five(thin):
    """Cells of 5 images are left alone, one of 4 adds half an image of each kind; the sample itself stays."""
    for least, added in ((5, False), (4, True)):
        cells = {
            name: 5.0 if name == thin else 9.0 for name in ("both", "neither", "first", "second")
        }
        cells[thin] = float(least)
        n = np.full(201, sum(cells.values()))
        agree = np.full((201, 2, 2), cells["both"] + cells["neither"])
        agree[:, [0, 1], [0, 1]] = n[:, None]
        correct = np.tile(
            [cells["both"] + cells["first"], cells["both"] + cells["second"]], (201, 1)
        )
        found = _kappa(agree, correct, n, np.random.default_rng(0))[:, 0, 1]
        p, q = correct[0] / n[0]
        chance = p * q + (1 - p) * (1 - q)
        assert found[0] == pytest.approx((agree[0, 0, 1] / n[0] - chance) / (1 - chance))
        assert (np.ptp(found[1:]) > 0) == added


def test_people_count_as_often_as_they_are_drawn():
    """Observer 0 agrees .5 with one, .2 with another person; the first is drawn thrice, the second once; then the
    second alone."""
    pairs = np.zeros((2, 3, 3))
    pairs[:, 0] = [9.0, 0.5, 0.2]
    found = against_people(pairs, np.array([[3.0, 1.0], [0.0, 2.0]]))
    assert found.tolist() == pytest.approx([0.425, 0.2])
