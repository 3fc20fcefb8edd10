"""Accuracy against level as a curve, and the level at which it crosses one half. The curve is p(x) = g + (1 - g - l) /
(1 + exp(-s (x - m))) (Wichmann & Hill 2001, equation 1, with a logistic core; g guessing, l lapses)."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import correct
from benchmark.stimuli.experiments import Experiment

HALF = 0.5
LAPSE = 0.45  # above it the curve could not cross one half
SMALLEST = 1e-9  # probabilities are kept this far from 0 and 1
DROP = 3.841458820694124  # 95 % point of chi squared with one degree of freedom
POOR = 0.01  # p of the deviance below which a curve is called a poor fit


Fit = tuple[float, tuple[float, float, float]]  # deviance, (threshold, log slope, lapse)


class Points(NamedTuple):
    """Per level, in ascending order: x (level or log10 of it, +-inf allowed), right answers, trials; and chance."""

    x: Floats
    right: Floats
    n: Floats
    guess: float


def fit_curve(experiment: Experiment, trials: Trials) -> Score:
    """Return the threshold of one observer's curve, in the unit of an experiment's scale, or the reason for none."""
    from scipy.stats import chi2

    blank = Score(metric="threshold", value=None, n=len(trials), role=experiment.role)
    # Right answers and trials at each of the experiment's levels that was shown, by ascending x.
    right, rows, log = correct(trials), [], experiment.scale == "log"
    for name, level in experiment.levels.items():
        shown = trials["condition"] == name
        if level is not None and shown.any():
            with np.errstate(divide="ignore"):
                rows.append((np.log10(level) if log else level, right[shown].sum(), shown.sum()))
    finite = [10**x if log else x for x, *_ in rows if np.isfinite(x)]  # from the mildest distortion
    x, hits, n = np.array(sorted(rows), dtype=float).reshape(-1, 3).T
    points = Points(x=x, right=hits, n=n, guess=1 / len(experiment.answers))
    if points.guess >= HALF:
        return replace(blank, reason="chance is one half already")
    if len(x) < 4:
        return replace(blank, reason=f"{len(x)} levels: too few for a curve")
    share, middle = hits / n, len(x) // 2
    mild, hard, up = finite[0], finite[-1], finite[-1] > finite[0]  # a threshold beyond the levels shown is a bound
    if share.min() > HALF:
        text = f"{'>=' if up else '<='} {hard:g}: accuracy stays above one half (lowest {share.min():.3f})"
        return replace(blank, reason=text)
    if share.max() < HALF:
        text = f"{'<=' if up else '>='} {mild:g}: accuracy stays below one half (highest {share.max():.3f})"
        return replace(blank, reason=text)
    sign = 1.0 if share[middle:].mean() > share[:middle].mean() else -1.0
    if (best := _minimise(points, sign)) is None:
        return replace(blank, reason="the fit did not converge")
    inside, (deviance, (threshold, *_)) = x[np.isfinite(x)], best
    if not inside[0] <= threshold <= inside[-1]:
        beyond = f"<= {min(finite):g}" if threshold < inside[0] else f">= {max(finite):g}"
        return replace(blank, reason=f"{beyond}: the fitted curve crosses one half outside the levels shown")
    ends = (threshold, *(_bound(points, sign, best, edge) for edge in (inside[0], inside[-1])))
    level, low, high = (at if at is None or not log else float(10**at) for at in ends)
    flags = ("the curve fits poorly",) if chi2.sf(deviance, len(x) - 3) < POOR else ()
    if low is None or high is None:
        return replace(blank, value=level, flags=(*flags, "interval open at the ends of the levels shown"))
    return replace(blank, value=level, low=low, high=high, flags=flags, method="profile likelihood")


def _deviance(points: Points, sign: float, parameters: tuple[float, float, float]) -> tuple[float, Floats]:
    """Return the deviance of (threshold, log slope, lapse), and its slopes by log slope, lapse and threshold."""
    (threshold, log_slope, lapse), guess = parameters, points.guess
    size, slope = 1 - guess - lapse, sign * np.exp(log_slope)
    q = (HALF - guess) / size  # of the core, where the curve is one half
    z = np.clip(slope * (points.x - threshold) + np.log(q / (1 - q)), -500, 500)
    p = guess + size / (1 + np.exp(-z))
    share, near = points.right / points.n, np.clip(p, SMALLEST, 1 - SMALLEST)
    core, inside = (p - guess) / size, np.isfinite(points.x)
    by_z = size * core * (1 - core)
    with np.errstate(divide="ignore", invalid="ignore"):
        right = np.where(share > 0, points.right * np.log(share / near), 0.0)
        wrong = np.where(share < 1, (points.n - points.right) * np.log((1 - share) / (1 - near)), 0.0)
        by_p = np.where(p == near, -2 * (points.right / p - (points.n - points.right) / (1 - p)), 0.0)
    away = np.where(inside, points.x, threshold) - threshold
    by_lapse = by_z / (size - (HALF - guess)) - core
    ways = (by_z * slope * away, by_lapse, np.where(inside, -by_z * slope, 0.0))
    return float(2 * (right + wrong).sum()), np.array([(by_p * way).sum() for way in ways])


def _minimise(points: Points, sign: float, threshold: float | None = None, near: Fit | None = None) -> Fit | None:
    """Return the best curve, or the best with that threshold; None where no start converges. near: where to start."""
    from scipy.optimize import minimize

    def parameters(free: Floats) -> tuple[float, float, float]:
        return (float(free[2]) if threshold is None else threshold, float(free[0]), float(free[1]))

    def loss(free: Floats) -> tuple[float, Floats]:
        deviance, slopes = _deviance(points, sign, parameters(free))
        return deviance, slopes[: len(free)]

    finite = np.isfinite(points.x)
    x = points.x[finite]
    span = float(x[-1] - x[0])
    nearest = x[np.abs(points.right / points.n - HALF)[finite].argmin()]  # the level whose accuracy is next to one half
    bounds = [(np.log(1 / span), np.log(200 / span)), (0.0, LAPSE), (x[0] - span, x[-1] + span)]
    size = 3 if threshold is None else 2
    starts = [[np.log(s / span), 0.05, nearest][:size] for s in (5.0, 15.0)]
    if near is not None:
        starts = [[near[1][1], near[1][2], near[1][0]][:size]]
    fits = (minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds[:size]) for start in starts)
    done = [fit for fit in fits if np.isfinite(fit.fun) and (fit.success or fit.status == 2)]
    best = min(done, key=lambda fit: float(fit.fun), default=None)
    return None if best is None else (float(best.fun), parameters(best.x))


def _bound(points: Points, sign: float, best: Fit, edge: float) -> float | None:
    """Return the level between threshold and edge at which the profile likelihood has fallen by DROP, if any."""
    from scipy.optimize import brentq

    @cache
    def excess(t: float) -> float:
        fit = _minimise(points, sign, t, best)
        return (fit[0] if fit else np.inf) - best[0] - DROP

    threshold = best[1][0]
    if edge == threshold or not np.isfinite(excess(edge)) or excess(edge) < 0:
        return None
    return float(brentq(excess, threshold, edge, xtol=1e-3, maxiter=50))
