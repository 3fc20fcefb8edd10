"""How well confidence matches correctness: calibration error, proper losses, accuracy on the most confident answers.
Each estimate has the influence of every trial, from which `pooled_estimate` derives intervals over images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from benchmark.contracts import Array
from benchmark.stats.intervals import Ends, Floats, t_quantile

BINS, FEWEST = 15, 10  # bins of equal mass, with as many trials at least


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate from n trials."""

    value: float
    influence: Floats  # [n] each trial's part in its error, whose sum is 0 in expectation
    bias: float = 0.0  # the largest remaining bias upwards
    calibrated: float = 0.0  # the bias upwards if every bin is calibrated


def calibration_error(confidence: Array, right: Array) -> Estimate:
    """Return the expected calibration error, debiased: the mean over trials [n] of |accuracy - confidence| of their
    bin, up to 15 of equal mass. A bin's gap d has a standard error s, and the mean of |d| exceeds its size by E|N(d,
    s)| - |d| (Kumar, Liang and Ma 2019, NeurIPS, section 5; folded normal)."""
    from scipy.special import ndtr

    n = len(confidence)
    bins = max(1, min(BINS, n // FEWEST))
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    at = np.searchsorted(edges, confidence)
    residual = np.asarray(right, dtype=float) - confidence
    count = np.bincount(at, minlength=len(edges) + 1).astype(float)
    gap = np.bincount(at, residual, len(count)) / np.maximum(count, 1)
    spread = np.bincount(at, (residual - gap[at]) ** 2, len(count)) / np.maximum(count - 1, 1)
    error = np.sqrt(np.where(count > 1, spread, 0.25) / np.maximum(count, 1))
    share, size = count / n, np.abs(gap)
    z = size / np.where(error > 0, error, np.inf)
    bias = np.where(error > 0, error * sqrt(2 / pi) * np.exp(-(z**2) / 2) - 2 * size * ndtr(-z), 0.0)
    plain, above = float(share @ size), float(share @ bias)
    slope = np.where(error > 0, 1 + 2 * ndtr(-z), 1.0)  # of the debiased |d| in d: 2 where the bin may be calibrated
    influence = ((np.sign(gap) * slope)[at] * (residual - gap[at]) + size[at] - plain) / n
    return Estimate(
        value=max(0.0, plain - above),
        influence=influence,
        bias=above,
        # Of the .798 s of a calibrated bin's bias, .467 s remain, as d itself is unknown.
        calibrated=float(share @ error) * 2 * (sqrt(2) - 1) / sqrt(pi),
    )


def selective_accuracy(confidence: Array, right: Array, coverages: Sequence[float]) -> list[Estimate]:
    """Return the accuracy on the most confident trials, for each of some shares of all trials in (0, 1] (Geifman and
    El-Yaniv 2017, NeurIPS: selective classification). confidence, right: [n], n x each coverage >= 1. Trials of equal
    confidence count in part. The influence includes the threshold's, with the accuracy near it."""
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    _, group = np.unique(-confidence[order], return_inverse=True)
    hits = np.asarray(right, dtype=float)[order]
    tied, ends = np.bincount(group), np.cumsum(np.bincount(group))
    level = (np.bincount(group, hits) / tied)[group]  # accuracy among equals
    estimates = []
    for coverage in coverages:
        k = coverage * n
        taken = np.clip((k - (ends - tied)) / tied, 0, 1)[group]
        value = round(float(taken @ hits / taken.sum()), 12)  # parts of equals add up to 1 within rounding
        near, half = min(n - 1, int(k)), max(FEWEST // 2, n // 20)
        around = float(level[max(0, near - half) : near + half].mean())
        influence = np.empty(n)
        influence[order] = (taken * (hits - value) - (around - value) * (taken - coverage)) / k
        estimates.append(Estimate(value=value, influence=influence))
    return estimates


def pooled_estimate(
    parts: Sequence[Estimate], images: Sequence[Array], bounds: Ends
) -> tuple[float, float | None, float | None]:
    """Return (value, low, high) of the mean of estimates of several tables. The interval is t over images, all trials
    of one together, within the bounds (None: one image). images: [n] of each table, whole numbers."""
    value, bias = (float(np.mean([getattr(part, name) for part in parts])) for name in ("value", "bias"))
    at = np.concatenate(images)
    _, place = np.unique(at, return_inverse=True)
    sums = np.bincount(place, np.concatenate([part.influence for part in parts])) / len(parts)
    if len(sums) < 2:
        return value, None, None
    half = t_quantile(0.95, len(sums) - 1) * sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1))
    return value, max(bounds[0], value - bias - half), min(bounds[1], value + half)
