"""Calibration against slow closed forms and torchmetrics, and intervals that cover."""

import math

import numpy as np
import pytest

from benchmark.stats.confidence import Estimate, calibration_error, pooled_estimate, selective_accuracy

COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))


def mean_loss(losses):
    return Estimate(value=losses.mean(), influence=(losses - losses.mean()) / len(losses))


def answers(rng, n, shift=0.0, sharp=3.0):
    """Confidences, and answers that are right with a probability that differs by `shift`."""
    confidence = rng.beta(sharp, 1.5, n)
    return confidence, rng.random(n) < np.clip(confidence + shift, 0, 1)


def slow_error(confidence, right, draws=200_000):
    """The estimator of Kumar et al. as they compute it, by drawing each bin's accuracy from a normal distribution."""
    bins = np.searchsorted(np.unique(np.quantile(confidence, np.arange(1, 15) / 15)), confidence)
    rng, plain, drawn = np.random.default_rng(1), 0.0, 0.0
    for number in np.unique(bins):
        part = bins == number
        residual = right[part] - confidence[part]
        noise = rng.normal(residual.mean(), residual.std(ddof=1) / math.sqrt(part.sum()), draws)
        plain += part.mean() * abs(residual.mean())
        drawn += part.mean() * np.abs(noise).mean()
    return plain - (drawn - plain)


@pytest.mark.parametrize("shift", [-0.2, -0.02, 0.0])
def test_debiasing_in_closed_form_is_that_by_draws(shift):
    confidence, right = answers(np.random.default_rng(0), 900, shift)
    assert calibration_error(confidence, right).value == pytest.approx(max(0, slow_error(confidence, right)), abs=2e-4)


def test_on_edges():
    right = np.array([True] * 30)
    assert calibration_error(np.ones(30), right).value == 0
    assert calibration_error(np.ones(30), ~right).value == 1
    # gap .75, error .5: less .5 sqrt(2 / pi) exp(-1.125) - 1.5 Phi(-1.5)
    assert calibration_error(np.array([0.25]), np.array([True])).value == pytest.approx(0.720693, abs=1e-6)
    confidence, right = answers(np.random.default_rng(2), 400, -0.1)
    order = np.random.default_rng(3).permutation(400)
    again = calibration_error(confidence[order], right[order]).value
    assert calibration_error(confidence, right).value == pytest.approx(again, abs=1e-12)


@pytest.mark.slow  # loads torchmetrics
def test_without_noise_it_is_what_torchmetrics_gives():
    """In bins of equal mass that are those of equal width, with so many trials that nothing is left to debias."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    confidence = np.repeat((np.arange(15) + 0.5) / 15, 4000)
    right = np.random.default_rng(0).random(len(confidence)) < confidence**2
    theirs = metrics.binary_calibration_error(torch.tensor(confidence), torch.tensor(right, dtype=torch.int), n_bins=15)
    assert calibration_error(confidence, right).value == pytest.approx(float(theirs), abs=1e-3)


def test_selective_accuracy_with_ties_is_the_mean_over_random_orders_of_equals():
    rng = np.random.default_rng(5)
    confidence = np.round(rng.random(60), 1)
    right = rng.random(60) < confidence
    found = selective_accuracy(confidence, right, COVERAGES)
    drawn = np.array([right[np.lexsort((rng.random(60), -confidence))] for _ in range(1500)])
    for coverage, estimate in zip(COVERAGES, found, strict=True):
        assert estimate.value == pytest.approx(drawn[:, : round(coverage * 60)].mean(), abs=0.01)
    assert found[-1].value == pytest.approx(right.mean(), abs=1e-11)


def test_the_threshold_has_its_part_by_hand():
    """9 of 10, 8 of them right; 5 of the 6 next to the threshold are: the one beyond it, .9 (5/6 - 8/9) / 9."""
    right = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1, 0], dtype=bool)
    (found,) = selective_accuracy(np.linspace(1, 0.1, 10), right, (0.9,))
    assert (found.value, found.influence[9]) == pytest.approx((8 / 9, 0.9 * (5 / 6 - 8 / 9) / 9))


def test_a_mean_over_images_has_students_interval_and_one_image_has_none():
    assert pooled_estimate([mean_loss(np.array([2.0]))], [np.array([7])], (0, 9)) == (2.0, None, None)
    scipy = pytest.importorskip("scipy.stats")
    losses = np.random.default_rng(0).exponential(1, 50)
    value, low, high = pooled_estimate([mean_loss(losses)], [np.arange(50)], (0, math.inf))
    expected = scipy.t.interval(0.95, 49, losses.mean(), scipy.sem(losses))
    assert (value, low, high) == pytest.approx((losses.mean(), *expected))
    again = pooled_estimate([mean_loss(losses)] * 3, [np.arange(50)] * 3, (0, math.inf))
    assert again == pytest.approx((value, low, high))  # the same images thrice are not more images


@pytest.mark.slow
@pytest.mark.parametrize(("n", "shift"), [(300, 0.0), (300, -0.2), (2000, -0.05)])
def test_intervals_of_the_calibration_error_cover(n, shift):
    rng = np.random.default_rng(n)
    confidence, _ = answers(rng, 400_000)
    truth = np.abs(np.clip(confidence + shift, 0, 1) - confidence).mean()
    inside, mean, plain, chance = 0, 0.0, 0.0, 0.0
    for _ in range(400):
        estimate = calibration_error(*answers(rng, n, shift))
        plain += (estimate.value + estimate.bias) / 400
        value, low, high = pooled_estimate([estimate], [np.arange(n)], (0, 1))
        inside += low <= truth <= high
        mean, chance = mean + value / 400, chance + estimate.calibrated / 400
    assert inside / 400 > 0.93
    assert abs(mean - truth) < 0.7 * abs(plain - truth) + 0.005
    if not shift:  # a part of the bias stays, and is said
        assert mean == pytest.approx(chance, abs=0.002) and chance > 0.02
