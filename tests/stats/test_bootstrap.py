"""The bootstrap and the t interval against scipy; their coverage; laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.stats import intervals as module
from benchmark.stats.clusters import mean_interval
from benchmark.stats.intervals import bootstrap_ratio, t_quantile, t_tail


def test_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(1)
    num, den = rng.gamma(2, size=150), rng.gamma(5, size=150)
    reference = stats.bootstrap(
        (num, den),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=rng,
    ).confidence_interval
    low, high = bootstrap_ratio(num, den, resamples=20_000)
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.004)
    assert high - low > 0.03


@pytest.mark.slow
@given(st.lists(st.integers(0, 4), min_size=3, max_size=60), st.randoms())
def test_the_interval_depends_on_the_trials_not_on_their_order(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    num = np.array(values, dtype=float)
    names = np.array([f"image{i % 7}" for i in range(len(num))])
    first = bootstrap_ratio(num, num + 1, names, resamples=200)
    assert first == bootstrap_ratio(num[order], num[order] + 1, names[order], resamples=200)
    loose = bootstrap_ratio(num, num + 1, resamples=200)
    assert loose == bootstrap_ratio(num[order], num[order] + 1, resamples=200)


def test_the_seed_decides_and_small_chunks_do_not_matter_in_distribution(monkeypatch):
    x = np.random.default_rng(3).random(100)
    first = bootstrap_ratio(x, np.ones(100), resamples=8000)
    assert first == bootstrap_ratio(x, np.ones(100), resamples=8000)
    assert first != bootstrap_ratio(x, np.ones(100), resamples=8000, seed=1)
    monkeypatch.setattr(module, "CELLS", 1700)
    assert first == pytest.approx(bootstrap_ratio(x, np.ones(100), resamples=8000), abs=0.006)


def test_repeated_stimuli_do_not_count_as_more_evidence():
    num = np.random.default_rng(4).integers(0, 2, 80).astype(float)
    names = np.array([f"image{i}" for i in range(80)])
    once = bootstrap_ratio(num, np.ones(80), names)
    tenfold = bootstrap_ratio(np.tile(num, 10), np.ones(800), np.tile(names, 10))
    blind = bootstrap_ratio(np.tile(num, 10), np.ones(800))
    assert tenfold == once
    assert blind[1] - blind[0] < 0.5 * (once[1] - once[0])


@pytest.mark.slow
def test_the_clustered_bootstrap_covers_at_its_level():
    """80 stimuli of differing difficulty, 6 trials each; the truth is the mean difficulty, .5."""
    rng = np.random.default_rng(6)
    runs, names = 400, np.repeat(np.arange(80), 6)
    hits = 0
    for seed in range(runs):
        num = rng.random(480) < np.repeat(rng.beta(1, 1, 80), 6)
        low, high = bootstrap_ratio(num, np.ones(480), names, resamples=400, seed=seed)
        hits += low <= 0.5 <= high
    assert 0.91 < hits / runs < 0.98  # .95 less the percentile method's small-sample loss, 3 MC errors


@pytest.mark.parametrize(
    ("num", "den", "clusters", "says"),
    [
        ([1.0], [1.0], None, "one stimulus"),
        ([1.0, 0], [1.0, 1], ["a", "a"], "one stimulus"),
        ([1.0, 0], [0.0, 0], None, "denominator"),
        ([np.nan, 0], [1.0, 1], None, "finite"),
        ([], [], None, "denominator"),
    ],
)
def test_bootstrap_refuses_what_has_no_interval(num, den, clusters, says):
    names = None if clusters is None else np.array(clusters)
    with pytest.raises(ValueError, match=says):
        bootstrap_ratio(num, den, names)


def test_the_mean_interval_equals_scipy_and_needs_two_observers():
    people = [0.9617, 0.9438, 0.9673, 0.9191, 0.9640, 0.9760, 0.9408, 0.9577, 0.9866, 0.9589]
    reference = stats.ttest_1samp(people, 0).confidence_interval(0.95)
    assert mean_interval(people) == pytest.approx((reference.low, reference.high))
    for bad in ([0.5], [], [0.5, np.nan], [[0.5, 0.6]]):
        with pytest.raises(ValueError, match="two finite"):
            mean_interval(bad)
    with pytest.raises(ValueError, match="level"):
        t_quantile(1.0, 3)


@pytest.mark.parametrize("df", [0.7, 1, 3.3, 30.2, 1000.5])
def test_students_t_is_scipys(df):
    for t in (0.1, 2.0, 3.3):
        assert t_tail(t, df) == t_tail(-t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
        assert t_quantile(1 - t_tail(t, df), df) == pytest.approx(t, rel=1e-6)


def test_ends_of_students_t():
    assert (t_tail(0.0, 5), t_tail(float("inf"), 5)) == (1.0, 0.0)
    assert t_quantile(0.95, 4) == pytest.approx(2.776445105)
    for bad in ((1.0, 3), (0.0, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="needs 0 < level < 1 and df > 0"):
            t_quantile(*bad)
    with pytest.raises(ValueError, match="above 0, got 0"):
        t_tail(1.0, 0)
