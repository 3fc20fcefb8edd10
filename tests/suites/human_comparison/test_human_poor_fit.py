"""When a psychometric curve is called a poor fit: deviance against chi squared with levels - 3 degrees of freedom."""

import numpy as np
import pytest

from suites.human_comparison.psychometric import Points, _is_poor


@pytest.mark.parametrize(("levels", "critical"), [(8, 15.0863), (7, 13.2767), (5, 9.2103), (4, 6.6349)])
def test_poor_beyond_the_99_percent_point(levels, critical):
    points = Points(np.arange(levels) * 1.0, np.full(levels, 5.0), np.full(levels, 10.0))
    assert not _is_poor(points, critical - 0.01)
    assert _is_poor(points, critical + 0.01)


def test_three_levels_fit_any_curve():
    points = Points(np.arange(3) * 1.0, np.full(3, 5.0), np.full(3, 10.0))
    assert not _is_poor(points, 1e6)
