"""Scores metrics of the form sum(numerator) / sum(denominator), with a fitting interval."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Metric, Ratio, Score, Trials
from benchmark.stats.clusters import (
    EXEMPLAR,
    FEW_CLUSTERS,
    Clusters,
    clustered_variance,
    few_clusters_variance,
    ratio_influence,
    robust_interval,
    shared_clusters,
)
from benchmark.stats.intervals import Floats, wilson


def ratio_score(metric: Metric, trials: Trials, *, condition: str = "", flags: Sequence[str] = ()) -> Score:
    """Return the score of `metric` on `trials` (of its role, if it has one), with a 95 % interval. condition: only its
    trials are scored; if no trial has a condition, it only names the score. n: trials whose denominator is not 0. The
    interval is cluster-robust if stimuli share a shape, a texture or the like (`stats.clusters`). Otherwise it is
    Wilson's if each stimulus is one yes or no, or a t interval over whole stimuli (in Wilson's form for a proportion or
    a metric with bounds). Raises ValueError if the metric has no ratio, or one that is not finite."""
    trials, missing = metric.own(trials), ""
    shown = trials.columns.get("condition")
    if condition and shown is not None and (shown != "").any():
        trials = trials.where(np.asarray(shown == condition, dtype=bool))
        there = ", ".join(np.unique(shown).tolist()[:5])
        missing = "" if len(trials) else f"no trial under '{condition}' (but: {there})"
    num, den, stimulus = ratio_arrays(metric, trials)
    n = int((den != 0).sum())
    if not missing and not len(den):
        missing = "no trials"
    elif not missing and den.sum() == 0:
        missing = f"no trial counts: the denominator is 0 over {len(den)} trials"
    score = Score(metric=metric.name, value=None, reason=missing, n=n, excluded=len(den) - n, condition=condition)
    score = replace(score, role=metric.role, flags=tuple(flags))
    if missing:
        return score
    counts = (num != 0) | (den != 0)
    num, den, stimulus = num[counts], den[counts], stimulus[counts]
    clusters = shared_clusters(metric, metric.own(trials).where(counts))
    if clusters:  # the interval is about other levels of these factors
        sizes = (f"{len(set(at.tolist()))} {name.removesuffix(EXEMPLAR)}s" for name, at in clusters.items())
        return _robust(score, num, den, clusters, metric, f", clustered ({' x '.join(sizes)})")
    # The interval is about other stimuli; all trials of one go together.
    value, stimuli = float(num.sum() / den.sum()), len(set(stimulus.tolist()))
    if indicators(num, den) and stimuli == score.n:
        low, high = wilson(int(num.sum()), score.n, score.level)
        return replace(score, value=value, low=low, high=high, method="wilson")
    if stimuli < 2:
        return replace(score, value=value, flags=(*score.flags, "one stimulus: no interval"))
    return _robust(score, num, den, {"stimulus": stimulus}, metric, " (by stimulus)")


def ratio_arrays(metric: Metric, trials: Trials) -> tuple[Floats, Floats, Array]:
    """Return (numerator, denominator, stimulus), each [n], over the trials of the metric's role."""
    if metric.ratio is None:
        raise ValueError(f"metric '{metric.name}' is not a ratio of sums")
    own = metric.own(trials)
    if not len(own):
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=str)
    num, den = (np.asarray(part, dtype=float) for part in metric.ratio(own))
    if num.shape != (len(own),) or den.shape != num.shape:
        raise ValueError(f"metric '{metric.name}': needs one numerator and denominator per trial")
    if not (np.isfinite(num).all() and np.isfinite(den).all()):
        raise ValueError(f"metric '{metric.name}': a numerator or denominator is not finite")
    return num, den, own["stimulus"]


def share(of: Callable[[Trials], Array]) -> Ratio:
    """Return the mean of a value of each trial [n], over all trials."""
    return lambda trials: (of(trials), np.ones(len(trials), dtype=bool))


def under(condition: str, of: Callable[[Trials], Array]) -> Ratio:
    """Return the mean of a truth value of each trial [n], over the trials under a condition."""
    return lambda trials: ((own := trials["condition"] == condition) & of(trials), own)


def fall(kept: str, gone: str, right: Callable[[Trials], Array], of: str = "") -> Ratio:
    """Return the accuracy under one condition less that under another ("": none), image by image, of the same images.
    of: as a share of the correct answers under that condition."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        condition, hits = trials["condition"], right(trials)
        there = bool(np.isin([of or kept, gone or kept, kept], condition).all())
        lost = (condition == kept).astype(int) - (condition == gone)
        return lost * hits * there, (condition == of) & hits & there if of else (condition == kept) & there

    return ratio


def correct(trials: Trials) -> Array:
    """Return whether each answer is the image's category [n]. "na" (no answer) is never right and always counts."""
    return np.asarray(trials["response"] == trials["category"], dtype=bool)


def shape_or_texture(trials: Trials) -> tuple[Array, Array]:
    """Return the answers by shape, and by either cue, [n] bool: their ratio is the shape bias (Geirhos et al. 2019)."""
    conflict = trials["shape"] != trials["texture"]
    shape, texture = (conflict & (trials["response"] == trials[cue]) for cue in ("shape", "texture"))
    return shape, shape | texture


def indicators(num: Floats, den: Floats) -> bool:
    """Return whether both are 0/1 and num <= den: a proportion of trials."""
    return bool(np.isin(num, (0, 1)).all() and np.isin(den, (0, 1)).all() and (num <= den).all())


def _robust(score: Score, num: Floats, den: Floats, clusters: Clusters, metric: Metric, how: str) -> Score:
    """Return `score` with its value and t with the cluster-robust variance, within any bounds."""
    value = float(num.sum() / den.sum())
    levels = {len(set(at.tolist())): name.removesuffix(EXEMPLAR) for name, at in clusters.items()}
    least, influence = min(levels), ratio_influence(num, den)
    if few := len(clusters) > 1 and least < FEW_CLUSTERS:
        flag = f"{least} {levels[least]}s only: the interval may be wider than it must"
        score = replace(score, flags=(*score.flags, flag))
    spread = (few_clusters_variance if few else clustered_variance)(influence, [*clusters.values()])
    limits = (0.0, 1.0) if indicators(num, den) else metric.bounds
    low, high = robust_interval(value, spread, limits, score.level)
    return replace(score, value=value, low=low, high=high, method=f"{'wilson' if limits else 't'}{how}")
