"""Estimates over networks and images, both drawn from more: the mean of a recipe, the difference of two recipes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, pi, sqrt
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.clusters import FEW_CLUSTERS, Variance, clustered_variance, few_clusters_variance, ratio_influence
from benchmark.stats.differences import Studentised
from benchmark.stats.intervals import Floats
from benchmark.stats.paired import image_factors, sums_at, trial_keys
from benchmark.stats.ratios import indicators

#: Weights of networks [m] -> the variance over images of the weighted sum of their values.
ImageVariance = Callable[[Floats], Variance]
#: A sign, and units [units, m]: weights of the networks behind each unit (one network, a pair, a line's mean).
Group = tuple[float, Floats]


@dataclass(frozen=True, kw_only=True)
class NetworkSample:
    """An estimate over networks and images, with the parts of its variance."""

    value: float
    networks: float  # differences between networks beyond what these images make of them
    images: float  # images, alike for all networks
    interaction: float  # each network's own answers to these images
    df: float
    alone: float  # mean absolute difference of two networks, one of each recipe, if the recipes were equal
    units: tuple[int, ...]  # of each group
    limit: float = inf  # the largest value that is possible

    @property
    def test(self) -> Studentised:
        """The test of the value against 0."""
        se = sqrt(self.networks + self.images + self.interaction)
        return Studentised(
            difference=self.value, se=se, df=self.df, limit=self.limit, people=self.networks, crossed=self.interaction
        )


def over_networks(groups: Sequence[Group], values: Floats, images: ImageVariance) -> NetworkSample:
    """Return the signed sum of the groups' means over their units, of which each group needs two.

    The spread between units, s^2 / k, contains the networks' own response to these images; what images do to all
    networks alike is their variance less that response. Both add up: V = sum of s^2 / k + V_images - V_both."""
    weights = np.sum([sign * units.mean(axis=0) for sign, units in groups], axis=0)
    of_images, largest = images(weights), max(len(units) for _, units in groups)
    # Of each group: units, s^2 / k, and what these images contribute to it.
    parts = [_spread(units, values, images) for _, units in groups]
    networks = sum(max(0.0, spread - own) for _, spread, own in parts)
    common = max(0.0, of_images.value - sum(own for *_, own in parts))
    # Three networks that are alike by chance would feign degrees of freedom: these are taken at spreads one standard
    # error above the estimate, and more in the smaller of two groups, where Welch's test rejects too often.
    wide = [spread * (1 + sqrt(2 / (k - 1))) * sqrt(largest / k) for k, spread, _ in parts]
    doubt = common**2 / of_images.df + sum(w**2 / (k - 1) for w, (k, *_) in zip(wide, parts, strict=True))
    return NetworkSample(
        value=float(weights @ values),
        networks=networks,
        images=common,
        interaction=sum(spread for _, spread, _ in parts) - networks,
        df=(common + sum(wide)) ** 2 / doubt if doubt else min(k for k, *_ in parts) - 1,
        alone=sqrt(2 / pi * sum(k * spread for k, spread, _ in parts)),
        units=tuple(k for k, *_ in parts),
    )


def _spread(units: Floats, values: Floats, images: ImageVariance) -> tuple[int, float, float]:
    k, middle = len(units), units.mean(axis=0)
    own = sum(images(row - middle).value for row in units) / (k * (k - 1))
    return k, float((units @ values).var(ddof=1)) / k, own


class SampledRatio(NamedTuple):
    """A ratio metric of several networks on the trials that all answered."""

    values: Floats  # [m]
    images: ImageVariance  # clustered by what images share
    n: int  # trials
    limits: tuple[float, float] | None  # of the values


def sampled_ratio(metric: Metric, networks: Sequence[Trials]) -> SampledRatio:
    """Return a ratio metric of m networks. Raise ValueError if no trial counts for one of them."""
    own = [metric.own(trials) for trials in networks]
    common = trial_keys(own[0])
    for trials in own[1:]:
        common = np.intersect1d(common, trial_keys(trials))
    sums = np.stack([sums_at(metric, trials, common) for trials in own], axis=1)
    counts = (sums != 0).any(axis=(1, 2))
    if not len(common) or not sums[:, :, 1].sum(axis=0).all():
        raise ValueError("no trial that all answered counts for each of them")
    num, den = np.moveaxis(sums[counts], 2, 0)
    influence = np.column_stack([ratio_influence(*pair) for pair in zip(num.T, den.T, strict=True)])
    factors, _ = image_factors(metric, own[0], common)
    shared = [np.unique(labels[counts], return_inverse=True)[1] for labels in factors]
    limits = (0.0, 1.0) if metric.bounds is None and indicators(num, den) else metric.bounds
    return SampledRatio(num.sum(axis=0) / den.sum(axis=0), _clustered(influence, shared), int(counts.sum()), limits)


def _clustered(influence: Floats, factors: Sequence[Array]) -> ImageVariance:
    """influence: [n, m]; factors: [n] each."""
    few = len(factors) > 1 and min(int(labels.max()) + 1 for labels in factors) < FEW_CLUSTERS
    estimate = few_clusters_variance if few else clustered_variance
    return lambda weights: estimate(influence @ weights, factors)


def from_pairs(single: Floats, paired: Floats, df: float) -> ImageVariance:
    """Return the variance of weighted sums from those of each value, single [m], and of each difference of two,
    paired [m, m]."""
    covariance = (single[:, None] + single[None, :] - paired) / 2
    return lambda weights: Variance(value=max(0.0, float(weights @ covariance @ weights)), df=df)


def fixed_images(_weights: Floats) -> Variance:
    """Return no variance: the images are these very ones."""
    return Variance(value=0.0, df=1.0)
