"""All pairs of observers of whom none answered all images: each pair on the images that both answered."""

import numpy as np
import pytest

from benchmark.stats.agreement import pairwise


def test_each_pair_is_taken_on_the_images_that_both_answered():
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    right, present = rng.random((60, 4)) < 0.6, rng.random((60, 4)) < 0.7
    found = pairwise(right, present)  # right is also told where nobody answered: that must not count
    for i in range(4):
        for j in range(4):
            both = present[:, i] & present[:, j]
            a, b = right[both, i], right[both, j]
            assert found.n[i, j] == both.sum() < 60
            assert found.observed[i, j] == pytest.approx((a == b).mean())
            chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
            assert found.expected[i, j] == pytest.approx(chance)
            kappa = 1.0 if i == j else cohen_kappa_score(a, b)
            assert found.kappa[i, j] == pytest.approx(kappa)


def test_a_pair_without_a_common_image_has_no_value():
    present = np.array([[1, 0, 1], [0, 1, 1]], dtype=bool)
    found = pairwise(np.ones((2, 3), dtype=bool), present)
    assert found.n.tolist() == [[1, 0, 1], [0, 1, 1], [1, 1, 2]]
    assert np.isnan(found.kappa[0, 1]) and np.isnan(found.observed[1, 0])
    assert found.kappa[0, 2] == found.kappa[1, 2] == 1.0
