"""Estimates over networks and images, both drawn from more: the mean of a recipe, the difference of two recipes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.clusters import FEW_CLUSTERS, Variance, clustered_variance, few_clusters_variance, ratio_influence
from benchmark.stats.comparisons import Comparison
from benchmark.stats.differences import Studentised
from benchmark.stats.intervals import Floats
from benchmark.stats.paired import common_trials, trial_keys
from benchmark.stats.ratios import indicators

#: Weights of networks [m] -> the variance over images of the weighted sum of their values.
ImageVariance = Callable[[Floats], Variance]
#: A sign, and units [units, m]: weights of the networks behind each unit (one network, a pair, a line's mean).
Group = tuple[float, Floats]

MANY, FAR = 1000, 1e6  # units, and degrees of freedom, beyond which a plan does not look
TIMES = [*(0.05 * i for i in range(1, 21)), *np.geomspace(1.1, 1e4, 97).tolist()]  # images, as shares of those now


@dataclass(frozen=True, kw_only=True)
class NetworkSample:
    """An estimate over networks and images, with the parts of its variance."""

    value: float
    networks: float  # differences between networks beyond what these images make of them
    images: float  # images, alike for all networks
    interaction: float  # each network's own answers to these images
    df: float
    single: tuple[float, float]  # variances of the value from one network of each recipe: networks, interaction
    units: tuple[int, ...]  # of each group
    limit: float = inf  # the largest value that is possible

    @property
    def spread(self) -> Variance:
        """The variance of the value."""
        return Variance(value=self.networks + self.images + self.interaction, df=self.df)

    @property
    def test(self) -> Studentised:
        """The test of the value against 0."""
        return Studentised(difference=self.value, se=sqrt(self.spread.value), df=self.df, limit=self.limit)

    def planned(self, units: float, times: float = 1.0) -> Studentised:
        """Return the test with so many units in each group, and so many times as many images."""
        spread = (self.single[0] + self.single[1] / times) / units
        degrees = len(self.units) * (units - 1)  # of groups with equal spreads
        variance = spread + self.images / times
        df = degrees * (variance / spread) ** 2 if spread else inf
        return Studentised(difference=self.value, se=sqrt(variance), df=min(df, FAR), limit=self.limit)


def over_networks(groups: Sequence[Group], values: Floats, images: ImageVariance) -> NetworkSample:
    """Return the signed sum of the groups' means over their units, of which each group needs two.

    The spread between units, s^2 / k, contains the networks' own response to these images; what images do to all
    networks alike is their variance less that response. Both add up: V = sum of s^2 / k + V_images - V_both."""
    weights = np.sum([sign * units.mean(axis=0) for sign, units in groups], axis=0)
    parts = [(len(own), (own @ values).var(ddof=1), _own(own, images), len(own) - 1) for _, own in groups]
    return _sampled(weights, values, images, parts)


def _sampled(
    weights: Floats, values: Floats, images: ImageVariance, parts: Sequence[tuple[int, float, float, int]]
) -> NetworkSample:
    """parts: units, variance between them, of it their own response to these images, and degrees of freedom."""
    k, variance, own, df = np.array(parts, dtype=float).T
    of_images = images(weights)
    common = max(0.0, of_images.value - float((own / k).sum()))
    # Three networks that are alike by chance would feign degrees of freedom: these are taken at spreads one standard
    # error above the estimate, and more in the smaller of two groups, where Welch's test rejects too often.
    wide = variance / k * (1 + np.sqrt(2 / df)) * np.sqrt(k.max() / k)
    doubt = common**2 / of_images.df + float((wide**2 / df).sum())
    beyond = np.maximum(0.0, variance - own)
    both = variance - beyond
    return NetworkSample(
        value=float(weights @ values), networks=float((beyond / k).sum()), images=common,
        interaction=float((both / k).sum()), df=(common + float(wide.sum())) ** 2 / doubt if doubt else float(df.min()),
        single=(float(beyond.sum()), float(both.sum())), units=tuple(part[0] for part in parts),
    )  # fmt: skip


def _own(units: Floats, images: ImageVariance) -> float:
    """Return the variance of a unit's own response to these images."""
    middle = units.mean(axis=0)
    return sum(images(row - middle).value for row in units) / (len(units) - 1)


def slope_over_networks(
    at: Sequence[int], doses: Floats, lines: Sequence[str], values: Floats, images: ImageVariance
) -> NetworkSample:
    """Return the slope on doses [k] of the networks `at` [k], within lines of architectures [k], of values [m]. Its
    variance is made as that of `over_networks`, of residuals in place of differences from a mean."""
    names = [*dict.fromkeys(lines)]
    design = np.column_stack([doses, *(np.equal(lines, name).astype(float) for name in names)])
    weights, units = np.zeros(len(values)), np.eye(len(values))[[*at]]
    weights[[*at]] = np.linalg.pinv(design)[0]
    fitted = design @ np.linalg.pinv(design) @ values[[*at]]
    df, size = len(at) - len(names) - 1, len(at) * float(weights @ weights)  # the variance is size * s^2 / k
    spread = float(((values[[*at]] - fitted) ** 2).sum()) / df
    return _sampled(weights, values, images, [(len(at), spread * size, _own(units, images) * size, df)])


class NetworkAnswers(NamedTuple):
    """A metric of several networks on the trials that all answered."""

    values: Floats  # [m]
    images: ImageVariance
    n: int  # trials
    limits: tuple[float, float] | None = None  # of the values
    num: Floats = np.zeros((0, 0))  # [n, m], of a ratio
    den: Floats = np.zeros((0, 0))
    factors: Sequence[Array] = ()  # what images share, [n] each


def sampled_ratio(metric: Metric, networks: Sequence[Trials]) -> NetworkAnswers | None:
    """Return a ratio metric of m networks; None if no trial that all answered counts for one of them."""
    own = [metric.own(trials) for trials in networks]
    common = trial_keys(own[0])
    for trials in own[1:]:
        common = np.intersect1d(common, trial_keys(trials))
    sums, _, _, factors = common_trials(metric, own, common)
    if not len(common) or not sums[:, :, 1].sum(axis=0).all():
        return None
    num, den = np.moveaxis(sums, 2, 0)
    influence = np.column_stack([ratio_influence(*pair) for pair in zip(num.T, den.T, strict=True)])
    shared = [np.unique(labels, return_inverse=True)[1] for labels in factors]
    limits = (0.0, 1.0) if metric.bounds is None and indicators(num, den) else metric.bounds
    values = num.sum(axis=0) / den.sum(axis=0)
    few = len(shared) > 1 and min(int(labels.max()) + 1 for labels in shared) < FEW_CLUSTERS
    estimate = few_clusters_variance if few else clustered_variance
    images: ImageVariance = lambda weights: estimate(influence @ weights, shared)  # noqa: E731
    return NetworkAnswers(values=values, images=images, n=len(num), limits=limits, num=num, den=den, factors=shared)


def from_pairs(
    names: Sequence[str], tests: Iterable[tuple[str, str, Comparison]], single: Floats
) -> ImageVariance | None:
    """Return how values vary over images (and people). Tests of every two networks and the standard error of each
    value, single [m], determine it; None unless every two have a t test."""
    paired, degrees = np.zeros((len(names), len(names))), list[float]()
    for a, b, row in tests:
        if isinstance(row.test, Studentised):
            i, j = names.index(a), names.index(b)
            paired[i, j] = paired[j, i] = row.test.se**2
            degrees.append(row.test.df)
    if not 0 < len(names) * (len(names) - 1) // 2 == len(degrees):
        return None
    covariance, df = (single[:, None] ** 2 + single[None, :] ** 2 - paired) / 2, float(np.median(degrees))
    return lambda weights: Variance(value=max(0.0, float(weights @ covariance @ weights)), df=df)


def fixed_images(_weights: Floats) -> Variance:
    """Return no variance: the images are these very ones."""
    return Variance(value=0.0, df=1.0)
