"""Stimuli made of shared parts: variances and intervals that are about other shapes and other textures.

1,200 cue-conflict images are 160 shapes crossed with 48 textures. Answers to images of one shape, or of one texture, go
together, so that an interval over images is too narrow. Here an image belongs to one cluster of every *factor* (its
shape, its texture), and variances add up over factors: Cameron, Gelbach & Miller 2011 (J. Business & Economic
Statistics 29:238), V = V_shape + V_texture - V_shape and texture.

How clusters are declared: a metric names them by `Metric.clusters` (trials -> factor -> level of each trial); a metric
that does not is clustered by the label columns of its stimuli whose names end in "_exemplar" (`shape_exemplar`,
`texture_exemplar`), so a set of one's own says so in its labels. How they are used: `shared_clusters(metric, trials)`
gives the factors that matter; the influence of each trial on an estimate (`ratio_influence`; that of a difference is
the difference of influences) goes through `clustered_variance`; then through `t_interval`, or `clustered_wilson`
for a proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.intervals import Floats, t_quantile, wilson

EXEMPLAR = "_exemplar"
#: With fewer levels of a factor degrees of freedom are estimated, and a test's variance is that at the estimate: under
#: the hypothesis the sums of G clusters are bound to the difference, so that no score test has a z above sqrt(G).
FEW_CLUSTERS = 16
Clusters = Mapping[str, Array]  # factor -> its level in each trial [n]


@dataclass(frozen=True)
class Clustered:
    """A variance and the degrees of freedom of its t quantile: the smallest number of clusters minus one, or more."""

    variance: float
    df: float


def shared_clusters(metric: Metric, trials: Trials) -> dict[str, Array]:
    """The factors by which a metric's intervals are clustered on these trials: name -> level of each trial [n]. Empty
    where every stimulus stands for itself. trials: those that count, of the metric's role.
    """
    if not len(trials):
        return {}
    told = exemplar_columns(trials) if metric.clusters is None else metric.clusters(trials)
    return shared_levels(told, trials["stimulus"])


def shared_levels(told: Clusters, stimulus: Array) -> dict[str, Array]:
    """The factors of which several stimuli share a level, and that have two levels or more: name -> level [n].

    stimulus: [n] names; those without a level ("") are a cluster each.
    """
    if not told:
        return {}
    levels = {name: _levels(np.asarray(column), stimulus) for name, column in told.items()}
    stimuli = len(np.unique(stimulus))
    return {name: at for name, at in levels.items() if 1 < len(np.unique(at)) < stimuli}


def exemplar_columns(trials: Trials) -> dict[str, Array]:
    """The label columns that name what an image is made of: `shape_exemplar`, `texture_exemplar` or any other."""
    return {
        name: values
        for name, values in trials.columns.items()
        if name.endswith(EXEMPLAR) and (np.asarray(values) != "").any()
    }


def ratio_influence(num: Floats, den: Floats) -> Floats:
    """What each trial [n] adds to sum(num) / sum(den), to first order; sums to 0. The denominator must not be 0."""
    total = den.sum()
    found: Floats = (num - num.sum() / total * den) / total
    return found


def clustered_variance(influence: Floats, clusters: Sequence[Array]) -> Clustered:
    """Variance of an estimate from the influence of each trial [n] and its level in each of the factors ([n] each).

    The sum over factors less that of their overlaps, each times G / (G - 1) for G clusters. That sum can come out too
    small, even below 0, where clusters matter little: it is never taken below the variance over single stimuli. Leave
    out trials that do not count. ValueError: no factor, or one of a single level.
    """
    codes = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in clusters]
    sizes = [int(code.max()) + 1 for code in codes]
    if min(sizes, default=0) < 2:
        raise ValueError("clusters need a factor, and two levels of each")
    total = single = 0.0
    for order in range(1, len(codes) + 1):
        for chosen in combinations(codes, order):
            single = _one_way(influence, _crossed(chosen))
            total += single if order % 2 else -single
    return Clustered(max(total, single), min(sizes) - 1)


def few_clusters_variance(influence: Floats, clusters: Sequence[Array]) -> Clustered:
    """As `clustered_variance`, of fewer than FEW_CLUSTERS levels of a factor: the variance over single stimuli and what
    each factor adds to it.

    Degrees of freedom are Satterthwaite's with every factor's variance one standard error above its estimate (as in
    `benchmark.stats.crossed`), at least those of the factor with fewest levels: where textures matter little, three of
    them must not stretch the interval by the t quantile of two.
    """
    codes = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in clusters]
    single = clustered_variance(influence, [_crossed(codes)]).variance
    each = [clustered_variance(influence, [column]) for column in clusters]
    wide = [one.variance * (1 + sqrt(2 / one.df)) for one in each]
    variance = single + sum(max(0.0, one.variance - single) for one in each)
    at_wide = single + sum(max(0.0, one - single) for one in wide)
    doubt = sum(w**2 / one.df for w, one in zip(wide, each, strict=True))
    least = min(one.df for one in each)
    return Clustered(variance, max(least, at_wide**2 / doubt) if doubt else least)


def clustered_wilson(value: float, found: Clustered, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion, with the sample size that has this variance and a t quantile: within [0, 1].

    value: in (0, 1). Franco, Little, Louis & Slud 2019 (J. Survey Statistics and Methodology 7:334). At 0 and 1, where
    no variance is seen, each cluster of the factor with fewest counts as one trial.
    """
    if value in (0.0, 1.0) or found.variance <= 0:
        n = round(found.df) + 1
        return wilson(round(value * n), n, level)
    t2 = t_quantile(level, found.df) ** 2
    n_effective = value * (1 - value) / found.variance
    centre = (value + t2 / (2 * n_effective)) / (1 + t2 / n_effective)
    half = sqrt(t2 * (found.variance + t2 / (4 * n_effective**2))) / (1 + t2 / n_effective)
    return max(0.0, centre - half), min(1.0, centre + half)


def bounded_interval(
    value: float, found: Clustered, bounds: tuple[float, float], level: float = 0.95
) -> tuple[float, float]:
    """Interval of a number between a lowest and a highest value, `bounds`: `clustered_wilson` on its place there.

    value: within the bounds, but for rounding.
    """
    start, size = bounds[0], bounds[1] - bounds[0]
    share = min(1.0, max(0.0, (value - start) / size))
    low, high = clustered_wilson(share, replace(found, variance=found.variance / size**2), level)
    return start + size * low, start + size * high


def t_interval(value: float, found: Clustered, level: float = 0.95) -> tuple[float, float]:
    """value +- the t quantile times the standard error; not clipped."""
    half = t_quantile(level, found.df) * sqrt(found.variance)
    return value - half, value + half


def mean_interval(
    values: Floats | Sequence[float], level: float = 0.95, bounds: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Interval of a mean over observers: t (Student 1908, Biometrika 6:1), or with `bounds` on the values that the mean
    can take the like of `clustered_wilson`, which stays within.

    values: [k] finite, k >= 2, within the bounds (else ValueError).
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError("an interval over observers needs at least two finite values")
    found = Clustered(float(x.var(ddof=1)) / len(x), len(x) - 1)
    mean = float(x.mean())
    if bounds is None:
        return t_interval(mean, found, level)
    if x.min() < bounds[0] or x.max() > bounds[1]:
        raise ValueError(f"values must lie within {bounds}")
    return bounded_interval(mean, found, bounds, level)


def _levels(column: Array, stimulus: Array) -> Array:
    """[n] text: the level, or the stimulus itself where none is stated."""
    told = column != ""
    if told.all():
        return column
    return np.where(told, column, np.char.add("\x1f", stimulus.astype(str)))


def _crossed(codes: Sequence[Array]) -> Array:
    """[n] one code for each combination of levels that occurs, ordered by the first factor, then the next."""
    at = codes[0]
    for more in codes[1:]:
        both = at * (int(more.max()) + 1) + more
        at = np.unique(both, return_inverse=True)[1].reshape(-1)
    return at


def _one_way(influence: Floats, codes: Array) -> float:
    """G / (G - 1) times the sum of squares over G clusters; codes: each trial's cluster [n], none empty."""
    sums = np.bincount(codes, influence)
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1)
