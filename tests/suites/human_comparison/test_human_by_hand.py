"""Pieces of the human comparison by hand: slopes of the deviance, kappa with few images, share of the ceiling."""

import numpy as np
import pytest

from suites.human_comparison.bootstrap import draw
from suites.human_comparison.comparing import share_of_ceiling
from suites.human_comparison.consistency import Table, Tables
from suites.human_comparison.psychometric import Points, _curve, _deviance, _slopes

POINTS = Points(
    np.array([-np.inf, 0.2, 0.5, 0.9, 1.4]),
    np.array([95.0, 90.0, 70.0, 30.0, 9.0]),
    np.array([100.0, 100.0, 90.0, 80.0, 100.0]),
)


@pytest.mark.parametrize("at", [(0.7, 1.2, 0.05), (0.6, 2.0, 0.2), (0.9, 0.5, 0.01)])
def test_slopes_are_those_of_the_deviance(at):
    """Central differences by log slope, lapse and threshold."""

    def deviance(threshold, log_slope, lapse):
        return _deviance(POINTS, _curve(POINTS.x, -1.0, (threshold, log_slope, lapse)))

    found = _slopes(POINTS, -1.0, at)
    h = 1e-6
    for place, index in enumerate((1, 2, 0)):
        step = h * np.eye(3)[index]
        expected = (deviance(*(at + step)) - deviance(*(at - step))) / (2 * h)
        assert found[place] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_deviance_by_hand():
    """Twice sum k log(k / n p) + (n - k) log((n - k) / n (1 - p)); nothing where no answer is right or none wrong."""
    points = Points(np.zeros(3), np.array([3.0, 0.0, 10.0]), np.array([10.0, 10.0, 10.0]))
    expected = 2 * (3 * np.log(0.3 / 0.5) + 7 * np.log(0.7 / 0.5) + 10 * np.log(1 / 0.9) + 10 * np.log(1 / 0.8))
    assert _deviance(points, np.array([0.5, 0.1, 0.8])) == pytest.approx(expected)


@pytest.mark.parametrize("few", ["both", "first", "second", "neither"])
def test_kappa_of_a_pair_is_one_number_whichever_cell_is_small(few):
    """One cell of four with two images: half an image more in each cell, for both ways round."""
    n = {"both": 20, "first": 12, "second": 11, "neither": 15, few: 2}
    columns = {"both": (1, 1), "first": (1, 0), "second": (0, 1), "neither": (0, 0)}
    right = np.array([columns[name] for name, count in n.items() for _ in range(count)], bool)
    tables = Tables("colour", ("a", "b"), (Table("cr", True, right),))
    kappa = draw(tables, resamples=200).by_condition["cr"]["error_consistency"]
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
