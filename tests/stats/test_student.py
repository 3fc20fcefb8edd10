"""Student's t with fractional degrees of freedom, against scipy."""

import pytest
from scipy import stats

from benchmark.stats.intervals import incomplete_beta, t_quantile, t_tail


@pytest.mark.parametrize("df", [0.7, 1, 1.5, 3.3, 9, 30.2, 1000.5])
def test_tails_and_quantiles_equal_scipy(df):
    for t in (0.1, 1.0, 2.0, 3.3, 8.0, 40.0):
        assert t_tail(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
        assert t_tail(-t, df) == t_tail(t, df)
    for level in (0.5, 0.95, 0.999, 0.9999):
        assert t_quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-7)


def test_ends():
    assert t_tail(0.0, 5) == 1.0
    assert t_tail(float("inf"), 5) == 0.0
    assert incomplete_beta(2.0, 0.5, 0.0, 1.0) == 0.0
    for bad in ((1.0, 3), (0.0, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="needs 0 < level < 1 and df > 0"):
            t_quantile(*bad)
    with pytest.raises(ValueError, match="above 0, got 0"):
        t_tail(1.0, 0)
