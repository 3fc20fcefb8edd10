"""Variances and intervals for stimuli made of shared parts (1,200 cue-conflict images are 160 shapes x 48 textures). An
image belongs to one cluster of every factor, and variances add up over factors: V = V_shape + V_texture - V_both
(Cameron, Gelbach & Miller 2011, J. Business & Economic Statistics 29:238)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.intervals import Ends, Floats, t_quantile, wilson

EXEMPLAR = "_exemplar"
#: With fewer levels of a factor degrees of freedom are estimated, and a test's variance is that at the estimate: under
#: the hypothesis the sums of G clusters are bound to the difference, so that no score test has a z above sqrt(G).
FEW_CLUSTERS = 16
Clusters = Mapping[str, Array]  # factor -> its level in each trial [n]


@dataclass(frozen=True, kw_only=True)
class Variance:
    """The variance of an estimate."""

    value: float
    # Of the t quantile: the smallest number of clusters minus one, or more (Satterthwaite 1946, Biometrics Bulletin
    # 2:110).
    df: float
    people: float = 0.0  # the part that only more people reduce
    crossed: float = 0.0  # the part that more people and more images reduce (each person's response to each image)


def shared_clusters(metric: Metric, trials: Trials) -> dict[str, Array]:
    """Return the factors by which a metric's intervals are clustered on these trials: name -> level of each [n]."""
    if not len(trials):
        return {}
    named = exemplar_columns(trials) if metric.clusters is None else metric.clusters(trials)
    return shared_levels(named, trials["stimulus"])


def shared_levels(named: Clusters, stimulus: Array) -> dict[str, Array]:
    """Return the factors with two levels or more, at least one of them shared by several stimuli: name -> level [n].
    stimulus: [n] names. A stimulus without a level ("") is its own cluster."""
    levels = {}
    for name, column in named.items():
        levels[name], stated = np.asarray(column), np.asarray(column) != ""
        if not stated.all():
            levels[name] = np.where(stated, column, np.char.add("\x1f", np.asarray(stimulus).astype(str)))
    stimuli = len(set(stimulus.tolist()))  # far quicker than sorting text
    return {name: at for name, at in levels.items() if 1 < len(set(at.tolist())) < stimuli}


def exemplar_columns(trials: Trials) -> dict[str, Array]:
    """Return the label columns that name an image's components: `shape_exemplar`, `texture_exemplar` or any other."""
    return {name: trials[name] for name in trials.columns if name.endswith(EXEMPLAR) and (trials[name] != "").any()}


def ratio_influence(num: Floats, den: Floats) -> Floats:
    """Return the influence of each trial [n] on sum(num) / sum(den), to first order; sums to 0."""
    total = den.sum()
    return np.asarray((num - num.sum() / total * den) / total)


def clustered_variance(influence: Floats, clusters: Sequence[Array]) -> Variance:
    """Return the variance of an estimate from the influence of each trial [n] and its level in each factor ([n] each).
    It is the sum over factors minus their overlaps, each times G / (G - 1) for G clusters. That sum can be too small if
    clusters matter little: the variance is at least that over single stimuli."""
    cells = list(overlaps(clusters))
    sizes = [len(np.bincount(codes)) for _, codes in cells[: len(clusters)]]
    total = single = 0.0
    for sign, codes in cells:
        sums = np.bincount(codes, influence)
        single = float((sums**2).sum()) * len(sums) / (len(sums) - 1)
        total += sign * single
    return Variance(value=max(total, single), df=min(sizes) - 1)


def overlaps(factors: Sequence[Array]) -> Iterator[tuple[int, Array]]:
    """Yield (1 or -1, each trial's cluster [n]) of every combination of factors, that of all of them last."""
    levels = [np.unique(labels, return_inverse=True)[1].reshape(-1) for labels in factors]
    for order in range(1, len(levels) + 1):
        for at, *others in combinations(levels, order):
            for more in others:
                at = np.unique(at * (int(more.max()) + 1) + more, return_inverse=True)[1].reshape(-1)
            yield (1 if order % 2 else -1), at


def few_clusters_variance(influence: Floats, clusters: Sequence[Array]) -> Variance:
    """Return the variance for fewer than FEW_CLUSTERS levels of a factor: that over single stimuli plus the addition of
    each factor. Degrees of freedom are Satterthwaite's with every factor's variance one standard error above its
    estimate, and at least those of the factor with fewest levels."""
    *_, (_, crossed) = overlaps(clusters)  # the combination of all factors
    single = clustered_variance(influence, [crossed]).value
    each = [clustered_variance(influence, [column]) for column in clusters]
    wide = [factor.value * (1 + sqrt(2 / factor.df)) for factor in each]
    variance = single + sum(max(0.0, factor.value - single) for factor in each)
    at_wide = single + sum(max(0.0, factor - single) for factor in wide)
    doubt = sum(w**2 / factor.df for w, factor in zip(wide, each, strict=True))
    least = min(factor.df for factor in each)
    return Variance(value=variance, df=max(least, at_wide**2 / doubt) if doubt else least)


def crossed_variance(images: Floats, persons: Floats, people: Floats, factors: Sequence[Array] = ()) -> Variance:
    """Return the variance of an estimate from random samples of n images and k people, to first order. `images` [n] are
    the contributions of images, with the people fixed, and `persons` [n, k] those through each person. `people` [k] are
    those of each person beyond the mean. factors: components that images share, [n] each."""
    # Variances of crossed samples add: V_images + V_people - V_both (Cameron, Gelbach & Miller 2011), because
    # differences between people contain the noise of their answers to these images, which V_images contains already.
    # Resampling both at once counts that noise three times (Owen 2007, Annals of Applied Statistics 1:386).
    shared = list(factors) or [np.arange(len(images))]
    of_images = clustered_variance(images, shared)
    k = len(people)
    if k < 2:
        return of_images
    apart = persons - persons.mean(axis=1, keepdims=True)
    noise = k / (k - 1) * sum(clustered_variance(column, shared).value for column in apart.T)
    spread = k / (k - 1) * float((people**2).sum())
    of_people = max(0.0, spread - noise)
    # A few people who are alike by chance would feign degrees of freedom besides a small variance: these are taken at
    # a spread one standard error above the estimate.
    wide = spread * (1 + sqrt(2 / (k - 1)))
    doubt = of_images.value**2 / of_images.df + wide**2 / (k - 1)
    at_wide = of_images.value + max(0.0, wide - noise)
    df = at_wide**2 / doubt if doubt else of_images.df
    return Variance(value=of_images.value + of_people, df=df, people=of_people, crossed=min(noise, of_images.value))


def variance_of_mean(variances: Sequence[Variance], together: float = 0.0) -> Variance:
    """Return the variance of a mean over estimates. together: the sum of all covariances of two of them (none:
    independent). Never below half of what independent ones would have: covariances are estimates, too."""
    each = [estimate.value / len(variances) ** 2 for estimate in variances]
    doubt = sum(v**2 / estimate.df for v, estimate in zip(each, variances, strict=True) if v)  # one image has df 0
    df = sum(each) ** 2 / doubt if doubt else variances[0].df
    people, crossed = (
        sum(part) / len(variances) ** 2 for part in zip(*((v.people, v.crossed) for v in variances), strict=True)
    )
    return Variance(
        value=max(sum(each) + together / len(variances) ** 2, sum(each) / 2), df=df, people=people, crossed=crossed
    )


def clustered_wilson(value: float, spread: Variance, level: float = 0.95) -> Ends:
    """Return Wilson's interval of a proportion within [0, 1], with the sample size that has this variance and a t
    quantile (Franco, Little, Louis & Slud 2019, J. Survey Statistics and Methodology 7:334). At 0 and 1, with no
    visible variance, each cluster of the factor with fewest counts as one trial."""
    if value in (0.0, 1.0) or spread.value <= 0:
        n = round(spread.df) + 1
        return wilson(round(value * n), n, level)
    t2 = t_quantile(level, spread.df) ** 2
    n_effective = value * (1 - value) / spread.value
    centre = (value + t2 / (2 * n_effective)) / (1 + t2 / n_effective)
    half = sqrt(t2 * (spread.value + t2 / (4 * n_effective**2))) / (1 + t2 / n_effective)
    return max(0.0, centre - half), min(1.0, centre + half)


def robust_interval(value: float, spread: Variance, bounds: Ends | None = None, level: float = 0.95) -> Ends:
    """Return value +- the t quantile times the standard error (Student 1908, Biometrika 6:1); of a number within
    `bounds`, `clustered_wilson` on its place between them, which stays within."""
    if bounds is None:
        half = t_quantile(level, spread.df) * sqrt(spread.value)
        return value - half, value + half
    start, size = bounds[0], bounds[1] - bounds[0]
    share = min(1.0, max(0.0, (value - start) / size))
    low, high = clustered_wilson(share, Variance(value=spread.value / size**2, df=spread.df), level)
    return start + size * low, start + size * high


def mean_interval(values: Floats | Sequence[float], bounds: Ends | None = None) -> Ends:
    """Return the interval of a mean over observers. values: [k] finite, k >= 2, within the bounds of the mean."""
    x = np.asarray(values, dtype=float)
    spread = Variance(value=float(x.var(ddof=1)) / len(x), df=len(x) - 1)
    return robust_interval(float(x.mean()), spread, bounds)
