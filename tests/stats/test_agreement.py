"""Kappa of right and wrong: against scikit-learn, by hand, on its edges; matching of trials."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.contracts import Trials
from benchmark.failures import TrialsError
from benchmark.stats.agreement import _independent_share as independent_share
from benchmark.stats.agreement import agreement, attainable, copy_probability, match, pairwise, unbiased_kappa

#: Right answers of a and b: images that both get right, only a, only b, neither.
CELLS = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=bool)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def trials(answers, start=0):
    n = len(answers)
    names = {"stimulus": np.array([f"i{start + k:03d}" for k in range(n)]), "response": np.array(answers)}
    fixed = {"role": "contrast", "condition": "c50", "category": "cat"}
    return Trials(columns={**{name: np.full(n, text) for name, text in fixed.items()}, **names})


def test_by_hand():
    found = agreement(*np.repeat(CELLS, (5, 2, 1, 2), axis=0).T)
    assert (found.both, found.only_a, found.only_b, found.neither) == (5, 2, 1, 2)
    assert (found.accuracy_a, found.accuracy_b, found.observed) == (0.7, 0.6, 0.7)
    assert found.expected == pytest.approx(0.7 * 0.6 + 0.3 * 0.4)
    assert found.kappa == pytest.approx((0.7 - 0.54) / 0.46)
    assert found.low < found.kappa < found.high


def weighted_kappa(a, b, weights):
    seen, p, q = ((weights * part).sum(axis=1) / weights.sum(axis=1) for part in (a == b, a, b))
    chance = p * q + (1 - p) * (1 - q)
    return (seen - chance) / (1 - chance)


def test_an_image_of_a_cluster_that_agrees_wholly_is_worth_a_part_of_an_image():
    """Four clusters of four: both, neither, a, b are right. Variances 1 / 15 and 1 / 3; t of 3 degrees 3.18245."""
    a, b = (np.repeat(part, 4) for part in ([1, 0, 1, 0], [1, 0, 0, 1]))
    given = (np.zeros(16, int), [np.repeat(np.arange(4), 4)])
    assert independent_share(a, b, *given) == pytest.approx(0.2 / (3.18245 / 1.95996) ** 2, rel=1e-5)
    assert independent_share(a, a, *given) == 4 / 16  # nothing varies: as many as there are clusters
    # Accuracies 10/16 and 8/16: the change of kappa with the weight of each image, by differences.
    a, b, of = np.repeat([1, 1, 1, 0, 0], [6, 2, 2, 2, 4]), np.repeat([1, 0, 1, 0, 0], [4, 4, 4, 2, 2]), given[1][0]
    slope = (weighted_kappa(a, b, np.ones(16) + 1e-6 * np.eye(16)) - weighted_kappa(a, b, np.ones((1, 16)))) / 1e-6
    alone, together = 16 / 15 * (slope**2).sum(), 4 / 3 * (np.bincount(of, slope) ** 2).sum()
    share = alone / together / (3.18245 / 1.95996) ** 2
    assert share < 1 and independent_share(a, b, *given) == pytest.approx(share, rel=1e-4)


def test_pairs_are_held_against_each_other_on_what_both_answered():
    """Of images 1 to 3: both right, a alone, neither; of 1, 2, 4: b alone on the last."""
    right = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)
    present = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 1]], dtype=bool)
    found = pairwise(right, present)
    assert found.n.tolist() == [[3, 3, 2], [3, 4, 3], [2, 3, 3]] and found.n.dtype == np.int64
    assert found.observed[[0, 0, 1], [1, 2, 2]] == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    assert found.expected[[0, 0, 1], [1, 2, 2]] == pytest.approx([4 / 9, 1 / 2, 4 / 9])
    assert found.kappa[[0, 0, 1], [1, 2, 2]] == pytest.approx([2 / 5, 0, 2 / 5])
    whole = pairwise(right)
    assert whole.observed[0, 1] == 0.75 and whole.expected[0, 1] == pytest.approx(1 / 2) and whole.n[0, 1] == 4


@pytest.mark.slow
@given(PAIRS)
def test_equals_cohens_kappa_of_right_and_wrong(pairs):
    from sklearn.metrics import cohen_kappa_score

    a, b = np.array(pairs, dtype=bool).T
    found = agreement(a, b, resamples=20)
    if (a == b).all():
        assert found.kappa == 1.0
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    assert found.kappa <= 1
    assert found.low is None or found.low <= found.kappa <= found.high


@pytest.mark.parametrize(("counts", "value"), [
    ((3, 0, 0, 0), 1.0),  # both perfect: c_exp = 1, too
    ((0, 0, 0, 3), 1.0),
    ((2, 1, 0, 0), 0.0),  # one perfect: agreement is exactly what chance gives
    ((0, 2, 2, 0), -1.0), ((1, 1, 1, 1), 0.0),
])  # fmt: skip
def test_edges(counts, value):
    assert agreement(*np.repeat(CELLS, counts, axis=0).T).kappa == pytest.approx(value)


def test_nothing_in_common_has_a_reason():
    found = agreement(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
    assert found.kappa is None and found.reason and found.low is None
    assert np.isnan(pairwise(np.zeros((0, 2), dtype=bool)).kappa).all()
    one, two = (np.arange(n) > 0 for n in (1, 2))  # an interval takes two images
    assert agreement(one, one).low is None and agreement(two, two).low is not None


@pytest.mark.parametrize(("counts", "low_below", "high_above"), [
    ((144, 0, 0, 16), 0.93, 1.0),  # no image tells them apart: kappa 1
    ((158, 0, 0, 2), 0.80, 1.0),
    ((100, 0, 0, 0), -0.9, 1.0),  # nobody errs: kappa is 1 by definition and may be nearly anything
    ((98, 1, 1, 0), -0.010, 0.3),  # no common error: kappa just below 0
])  # fmt: skip
def test_near_the_ceiling_the_interval_does_not_pretend(counts, low_below, high_above):
    found = agreement(*np.repeat(CELLS, counts, axis=0).T)
    assert found.low <= low_below and found.high >= high_above
    assert found.low <= found.kappa <= found.high


def test_interval_and_p_are_one_test_of_both_observers_errors():
    """p against scipy's chi squared of the two by two table: at kappa 0 the two are one test, but for the prior."""
    counts = np.array([600, 90, 100, 70])
    found, chi = (
        agreement(*np.repeat(CELLS, counts, axis=0).T),
        stats.chi2_contingency(counts.reshape(2, 2), correction=False),
    )
    assert np.log(found.p) == pytest.approx(np.log(chi.pvalue), rel=0.02) and found.p < 1e-12
    rng = np.random.default_rng(4)
    for right in rng.random((150, 2, 30)) < rng.uniform(0.2, 0.9, (150, 2, 1)):
        pair = agreement(*right)
        assert (pair.p < 0.05) == (pair.low > 0 or pair.high < 0)


@pytest.mark.release
@pytest.mark.parametrize(("n", "a", "b"), [(20, (0.95, 0.1, 8), (0.9, 0.15, 8)), (80, (0.9, 0.2, 5), (0.95, 0.1, 5))])
def test_observers_who_are_independent_under_each_condition_do_not_agree(n, a, b):
    """Pooled over conditions of different difficulty they would, in every study."""
    rng, condition = np.random.default_rng(0), np.repeat(np.arange(a[2]), n)
    p, q = (np.linspace(*ends)[condition] for ends in (a, b))
    found = [agreement(rng.random(len(p)) < p, rng.random(len(p)) < q, strata=condition) for _ in range(1000)]
    assert abs(np.mean([each.kappa for each in found])) < 0.01
    assert 0.035 <= np.mean([each.p < 0.05 for each in found]) <= 0.065
    assert np.mean([each.low <= 0 <= each.high for each in found]) == np.mean([each.p >= 0.05 for each in found])


def test_a_mean_over_conditions_is_that_of_each():
    rng = np.random.default_rng(1)
    a, b, condition = rng.random(90) < 0.7, rng.random(90) < 0.5, np.repeat(["x", "y", "z"], [20, 30, 40])
    each = [agreement(a[condition == name], b[condition == name]) for name in "xyz"]
    whole = agreement(a, b, strata=condition)
    for name in ("kappa", "observed", "expected", "accuracy_a", "least", "unbiased"):
        assert getattr(whole, name) == pytest.approx(np.mean([getattr(part, name) for part in each]))
    assert whole.method == "score test, mean over 3 conditions" and whole.copied is None and whole.n == 90


def test_images_that_share_shapes_and_textures_widen_the_interval():
    rng = np.random.default_rng(2)
    shape, texture = np.repeat(np.arange(40), 12), np.tile(np.arange(12), 40)
    alike = rng.normal(0, 1, 40)[shape] + rng.normal(0, 1, 12)[texture] > 0
    a, other = rng.random((2, 480)) < 0.5
    b = np.where(alike, a, other)
    alone, together = agreement(a, b), agreement(a, b, [shape, texture])
    assert together.kappa == alone.kappa
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert together.method == "score test, clustered"
    # Clusters of one image each are no clusters, but for the quantile of t.
    apart = agreement(a, b, [np.arange(480)])
    assert (apart.low, apart.high) == pytest.approx((alone.low, alone.high), abs=0.01)


def test_matching_is_by_role_condition_and_stimulus():
    found = match([trials(["cat", "dog", "na"]), trials(["dog", "cat", "cat"], start=1)])
    assert found.stimulus.tolist() == ["i001", "i002"]
    assert found.role.tolist() == ["contrast"] * 2
    assert found.right.tolist() == [[False, False], [False, True]]
    one = trials(["cat"])
    twice = Trials(columns={name: np.concatenate([v, v]) for name, v in one.columns.items()})
    with pytest.raises(TrialsError, match="two answers to one trial"):
        match([twice, one])


def test_accuracies_that_a_kappa_leaves_are_the_published_ones():
    for accuracy, *others in ((0.9, 0.75, 0.96), (0.7, 0.44, 0.87), (0.5, 0.25, 0.75)):
        for other in others:  # published to two digits
            assert attainable(accuracy, other)[1] == pytest.approx(0.5, abs=0.06)


def test_no_answers_go_beyond_what_is_attainable():
    n = 6
    for right, other in product(range(n + 1), repeat=2):
        ways = range(max(0, right + other - n), min(right, other) + 1)
        tables = ((both, right - both, other - both, n - right - other + both) for both in ways)
        kappas = [agreement(*np.repeat(CELLS, counts, axis=0).T, resamples=2).kappa for counts in tables]
        low, high = attainable(right / n, other / n)
        assert (low, high) == (pytest.approx(min(kappas)), pytest.approx(max(kappas)))


@pytest.mark.parametrize(
    ("better", "own", "copied"), [(0.8, 0.4, 0.3), (0.6, 0.6, 0.7), (0.7, 0.2, -0.4), (0.9, 0.5, 0.0)]
)
def test_the_copy_model_gives_back_how_much_is_copied(better, own, copied):
    share = abs(copied)
    given = better if copied >= 0 else 1 - better
    other = share * given + (1 - share) * own
    together = better * (share * (copied >= 0) + (1 - share) * own)  # both right
    observed = 1 - better - other + 2 * together
    assert copy_probability(better, other, observed) == pytest.approx(copied)


def test_copying_cannot_be_seen_of_who_is_always_right():
    found = agreement(np.ones(9, bool), np.arange(9) < 4)
    assert found.copied is None and found.kappa == 0 and (found.least, found.most) == (0, 0)


def test_unbiased_kappa():
    assert unbiased_kappa(0.5, 10) == pytest.approx(10 * 0.5 / 9.5)
    assert unbiased_kappa(1.0, 10) == 1.0 and unbiased_kappa(0.0, 10) == 0.0 and np.isnan(unbiased_kappa(-1.0, 2))
    assert agreement(np.array([True, False]), np.array([False, True])).unbiased is None


@pytest.mark.release
@pytest.mark.parametrize(("n", "better", "own", "copied"), [(160, 0.7, 0.5, 0.4), (160, 0.9, 0.9, 0.5)])
def test_the_interval_of_the_copy_probability_covers(n, better, own, copied):
    rng, inside = np.random.default_rng(1), []
    for _ in range(1000):
        a, takes = rng.random(n) < better, rng.random(n) < copied
        found = agreement(a, np.where(takes, a, rng.random(n) < own))
        inside.append(found.copied_low <= copied <= found.copied_high)
    assert 0.925 <= np.mean(inside) <= 0.97
