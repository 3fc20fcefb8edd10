"""Tests and the intervals that invert them: literal values, and p against the interval at its own level."""

import numpy as np
import pytest

from benchmark.stats.differences import Discordant, Quadratic, Restricted, Studentised, quadratic


def test_p_values_are_two_sided():
    """z = 2.236 for 15 against 5; t = 2 with 4.5 degrees of freedom; z = 3 under the null."""
    assert Discordant(15, 5, 90).p == pytest.approx(0.0253473, abs=1e-7)
    assert Discordant(5, 15, 90).p == pytest.approx(0.0253473, abs=1e-7)
    assert Studentised(0.2, 0.1, 4.5).p == pytest.approx(0.1082579, abs=1e-6)
    assert Restricted(-0.3, Quadratic(0.01, 0.0, 0.001)).p == pytest.approx(0.0026998, abs=1e-7)


@pytest.mark.parametrize(
    "test",
    [
        Discordant(15, 5, 90),
        Discordant(1, 12, 300),
        Studentised(0.2, 0.1, 4.5),
        Studentised(-0.02, 0.1, 900),
        Restricted(-0.3, Quadratic(0.01, 0.002, 0.001)),
        Restricted(0.2, Quadratic(0.02, -0.003, 0.05)),
    ],
)
def test_the_interval_at_level_one_minus_p_ends_at_zero(test):
    low, high = test.interval(1 - test.p)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)
    assert low < high


def test_nothing_that_varies_has_no_interval_and_no_evidence():
    assert Studentised(0.0, 0.0, 3.0).p == 1.0
    assert Studentised(0.0, 0.0, 3.0).interval(0.95) == (None, None)
    assert Restricted(0.0, Quadratic(0.0, 0.0, 0.1)).p == 1.0
    assert Restricted(0.0, Quadratic(0.0, 0.0, 0.1)).interval(0.95) == (None, None)
    # three clusters: no difference is ruled out at 95 %
    assert Restricted(0.1, Quadratic(0.02, 0.0, 1 / 3)).interval(0.95) == (None, None)


def test_intervals_stay_within_the_range():
    assert Studentised(0.9, 0.2, 10).interval(0.95)[1] == pytest.approx(1.3456, abs=1e-4)
    assert Studentised(0.9, 0.2, 10, limit=1.0).interval(0.95)[1] == 1.0
    assert Studentised(-0.9, 0.2, 10, limit=1.0).interval(0.95)[0] == -1.0
    wide = Restricted(0.9, Quadratic(0.04, 0.0, 0.01), limit=1.0)
    assert wide.interval(0.95)[1] == 1.0
    assert Restricted(-0.9, Quadratic(0.04, 0.0, 0.01), limit=1.0).interval(0.95)[0] == -1.0


def test_cross_products_of_clusters_are_sums_over_pairs_that_share_a_label():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 60))
    one, two, three = rng.integers(0, [[6], [4], [3]], (3, 60))
    for factors in ([one], [one, two], [one, two, three]):
        shared = np.any([f[:, None] == f[None, :] for f in factors], axis=0)
        expected = (u[:, None] * v[None, :] * shared).sum()
        assert quadratic(u, v, factors).cross == pytest.approx(expected)
