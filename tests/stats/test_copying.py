"""What accuracies allow, the copy model, the unbiased kappa, the test of zero (Klein et al. 2025)."""

from itertools import product

import numpy as np
import pytest

from benchmark.stats.agreement import (
    accuracy_range,
    agreement,
    attainable,
    chance_p,
    copy_probability,
    kappa_of,
    unbiased_kappa,
)


@pytest.mark.parametrize(
    ("accuracy", "kappa", "low", "high"), [(0.9, 0.5, 0.75, 0.96), (0.7, 0.5, 0.44, 0.87), (0.5, 0.5, 0.25, 0.75)]
)
def test_accuracies_that_a_kappa_leaves_are_the_published_ones(accuracy, kappa, low, high):
    assert accuracy_range(accuracy, kappa) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))
    for other in accuracy_range(accuracy, kappa):  # at either end nothing more is left
        assert attainable(accuracy, other)[1] == pytest.approx(kappa)


def test_no_answers_go_beyond_what_is_attainable():
    n = 6
    for right, other in product(range(n + 1), repeat=2):
        kappas = []
        for both in range(max(0, right + other - n), min(right, other) + 1):
            a = np.arange(n) < right
            b = (np.arange(n) < both) | ((np.arange(n) >= n - (other - both)) if other > both else np.zeros(n, bool))
            kappas.append(agreement(a, b, resamples=2).kappa)
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
    assert unbiased_kappa(1.0, 10) == 1.0 and unbiased_kappa(0.0, 10) == 0.0
    assert agreement(np.array([True, False]), np.array([False, True])).unbiased is None


def test_the_test_of_zero_is_a_count_of_chance_kappas():
    assert chance_p(60, 60, 100, 0.0) == 1.0
    assert chance_p(60, 60, 100, 0.9) == pytest.approx(1 / 1001)
    assert chance_p(100, 100, 100, 1.0) == 1.0  # nobody errs: chance gives as much
    rng = np.random.default_rng(5)
    p, q = rng.beta(45, 35, 20_000), rng.beta(60, 20, 20_000)
    a, b = rng.random((80, 20_000)) < p, rng.random((80, 20_000)) < q
    x, y, same = a.mean(axis=0), b.mean(axis=0), (a == b).mean(axis=0)
    kappa = kappa_of(same, x * y + (1 - x) * (1 - y))
    assert chance_p(45, 60, 80, 0.15, 20_000) == pytest.approx((np.abs(kappa) >= 0.15).mean(), abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "p", "q"), [(160, 0.9, 0.8), (60, 0.4, 0.6)])
def test_the_size_of_the_test_of_zero(n, p, q):
    rng = np.random.default_rng(n)
    runs = (agreement(rng.random(n) < p, rng.random(n) < q, resamples=400).p for _ in range(1000))
    assert 0.02 <= np.mean([found < 0.05 for found in runs]) <= 0.065


@pytest.mark.slow
@pytest.mark.parametrize(("n", "better", "own", "copied"), [(160, 0.7, 0.5, 0.4), (160, 0.9, 0.9, 0.5)])
def test_the_interval_of_the_copy_probability_covers(n, better, own, copied):
    rng, inside = np.random.default_rng(1), []
    for _ in range(1000):
        a, takes = rng.random(n) < better, rng.random(n) < copied
        found = agreement(a, np.where(takes, a, rng.random(n) < own))
        inside.append(found.copied_low <= copied <= found.copied_high)
    assert 0.925 <= np.mean(inside) <= 0.97


def test_who_comes_first_makes_no_difference():
    rng = np.random.default_rng(3)
    a, b = rng.random(50) < 0.8, rng.random(50) < 0.5
    found, turned = agreement(a, b), agreement(b, a)
    assert found.copied == turned.copied == pytest.approx(np.cov(a, b, bias=True)[0, 1] / a.var())
    assert (found.least, found.most, found.unbiased) == (turned.least, turned.most, turned.unbiased)
