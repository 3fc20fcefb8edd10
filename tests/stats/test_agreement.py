"""Kappa of right and wrong: against scikit-learn, by hand, on its edges; matching of trials."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from benchmark.contracts import Trials
from benchmark.stats.agreement import agreement, contingency, kappa_of, match, pairwise

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def trials(answers, conditions=None, start=0):
    n = len(answers)
    return Trials(
        {
            "role": np.full(n, "contrast"),
            "condition": np.array(conditions or ["c50"] * n),
            "stimulus": np.array([f"i{start + k:03d}" for k in range(n)]),
            "category": np.full(n, "cat"),
            "response": np.array(list(answers)),
        }
    )


def test_by_hand():
    # 10 images: both right 5, only a 2, only b 1, neither 2
    a = np.array([1] * 5 + [1] * 2 + [0] + [0] * 2, dtype=bool)
    b = np.array([1] * 5 + [0] * 2 + [1] + [0] * 2, dtype=bool)
    found = agreement(a, b)
    assert (found.table.both, found.table.only_a, found.table.only_b, found.table.neither) == (
        5,
        2,
        1,
        2,
    )
    assert (found.accuracy_a, found.accuracy_b, found.observed) == (0.7, 0.6, 0.7)
    assert found.expected == pytest.approx(0.7 * 0.6 + 0.3 * 0.4)
    assert found.kappa == pytest.approx((0.7 - 0.54) / 0.46)
    assert found.low < found.kappa < found.high


@given(PAIRS)
def test_equals_cohens_kappa_of_right_and_wrong(pairs):
    a, b = np.array(pairs, dtype=bool).T
    found = agreement(a, b, resamples=20)
    if (a == b).all():
        assert found.kappa == 1.0
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    assert found.kappa <= 1
    assert found.low is None or found.low <= found.kappa <= found.high


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=40))
def test_all_pairs_at_once_equal_one_by_one(rows):
    right = np.array(rows, dtype=bool)
    found = pairwise(right)
    for i in range(4):
        for j in range(4):
            one = agreement(right[:, i], right[:, j], resamples=1)
            assert found.observed[i, j] == pytest.approx(one.observed)
            assert found.kappa[i, j] == pytest.approx(one.kappa, abs=1e-12)
    assert (np.diag(found.kappa) == 1).all()


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        ([1, 1, 1], [1, 1, 1], 1.0),  # both perfect: c_exp = 1, too
        ([0, 0, 0], [0, 0, 0], 1.0),
        ([1, 1, 1], [1, 0, 1], 0.0),  # one perfect: agreement is exactly what chance gives
        ([1, 0, 1, 0], [0, 1, 0, 1], -1.0),
        ([1, 1, 0, 0], [1, 0, 1, 0], 0.0),
    ],
)
def test_edges(a, b, value):
    assert agreement(np.array(a, dtype=bool), np.array(b, dtype=bool)).kappa == pytest.approx(value)


def test_negative_kappa_stays_negative():
    assert float(kappa_of(0.3, 0.5)) == pytest.approx(-0.4)


def test_nothing_in_common_has_a_reason():
    found = agreement(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
    assert found.kappa is None and found.reason and found.low is None
    assert np.isnan(pairwise(np.zeros((0, 2), dtype=bool)).kappa).all()


def test_one_image_has_no_interval():
    found = agreement(np.array([True]), np.array([False]))
    assert found.low is None and found.method == ""


def test_interval_is_that_of_resampling_images():
    rng = np.random.default_rng(3)
    a = rng.random(300) < 0.7
    b = np.where(rng.random(300) < 0.5, a, rng.random(300) < 0.6)
    naive = []
    for _ in range(2000):
        drawn = rng.integers(0, 300, 300)
        naive.append(cohen_kappa_score(a[drawn], b[drawn]))
    found = agreement(a, b, resamples=4000)
    assert (found.low, found.high) == pytest.approx(np.quantile(naive, [0.025, 0.975]), abs=0.012)


def test_order_of_images_does_not_count():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 80)) < 0.6
    order = rng.permutation(80)
    assert agreement(a, b) == agreement(a[order], b[order])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="same images"):
        contingency(np.zeros(3, dtype=bool), np.zeros(4, dtype=bool))


def test_matching_is_by_role_condition_and_stimulus():
    a = trials(["cat", "dog", "na"])
    b = trials(["dog", "cat", "cat"], start=1)
    found = match([a, b])
    assert found.stimulus.tolist() == ["i001", "i002"]
    assert found.right.tolist() == [[False, False], [False, True]]
    assert found.left_out == (1, 1)


def test_same_image_under_two_conditions_is_two_trials():
    a = trials(["cat", "dog"], ["c50", "c10"])
    b = trials(["cat", "dog"], ["c50", "c30"])
    assert match([a, b]).condition.tolist() == ["c50"]


def test_two_answers_to_one_trial_are_refused():
    one = trials(["cat"])
    twice = Trials({name: np.concatenate([v, v]) for name, v in one.columns.items()})
    with pytest.raises(ValueError, match="two answers to one trial"):
        match([twice, one])


def test_matching_nobody_and_nothing():
    assert len(match([]).stimulus) == 0
    empty = trials(["cat"]).where(np.array([False]))
    assert match([empty, trials(["cat"])]).left_out == (0, 1)
