"""Estimates over images and people, both drawn from more: other images and other people would give another value.

Variances of crossed samples add: V = V_images + V_people, where V_people is what people differ by beyond the noise that
each one's answers to these images bring, which V_images holds already: V_images + V_people - V_both (Cameron, Gelbach &
Miller 2011). Drawing images and people with replacement at once counts that noise three times (Owen 2007, Annals of
Applied Statistics 1:386).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.stats.clusters import clustered_variance, ratio_influence, shared_clusters
from benchmark.stats.comparisons import Comparison, decided, undecided
from benchmark.stats.differences import Studentised
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import ratio_arrays


@dataclass(frozen=True)
class Variance:
    """The variance of an estimate and its degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110)."""

    value: float
    df: float


def crossed_variance(images: Floats, persons: Floats, people: Floats, factors: Sequence[Array] = ()) -> Variance:
    """Of an estimate from n images and k people, to first order.

    images: [n] what each image adds to it, people as they are; persons: [n, k] what each image adds through each
    person, who would be drawn anew; people: [k] what each person adds, beyond the mean person. factors: what images
    share, label arrays [n] (none: nothing). With one person the variance is about images alone.
    """
    shared = list(factors) or [np.arange(len(images))]
    of_images = clustered_variance(images, shared)
    k = len(people)
    if k < 2:
        return Variance(of_images.variance, of_images.df)
    apart = persons - persons.mean(axis=1, keepdims=True)
    noise = k / (k - 1) * sum(clustered_variance(column, shared).variance for column in apart.T)
    spread = k / (k - 1) * float((people**2).sum())
    total = of_images.variance + max(0.0, spread - noise)
    # A few people who are alike by chance would feign degrees of freedom besides a small variance: these are taken at
    # a spread one standard error above the estimate.
    wide = spread * (1 + sqrt(2 / (k - 1)))
    doubt = of_images.variance**2 / of_images.df + wide**2 / (k - 1)
    at_wide = of_images.variance + max(0.0, wide - noise)
    return Variance(total, at_wide**2 / doubt if doubt else of_images.df)


def mean_of(variances: Sequence[Variance], together: float = 0.0) -> Variance:
    """The variance of a mean over estimates. together: the sum of all covariances of two of them (none: independent).

    Never below half of what independent ones would have: covariances are estimates, too.
    """
    each = [one.value / len(variances) ** 2 for one in variances]
    doubt = sum(v**2 / one.df for v, one in zip(each, variances, strict=True))
    df = sum(each) ** 2 / doubt if doubt else variances[0].df
    return Variance(max(sum(each) + together / len(variances) ** 2, sum(each) / 2), df)


# One observer against people as a group, on a metric that is a ratio of sums; images and people drawn from more.


METHOD = "t test, images and people"  # both drawn from more


def compare_people(metric: Metric, a: Trials, people: Sequence[Trials]) -> Comparison:
    """a minus people, whose trials are pooled, on the (role, condition, stimulus) that a and somebody answered.

    No test, with the reason: no ratio, no such trial, nothing that counts, fewer than two people.
    """
    if metric.ratio is None:
        return undecided(Comparison(metric.name, reason="the metric has no value per trial"))
    everybody = [metric.own(one) for one in (a, *people)]
    everybody = [everybody[0], *(one for one in everybody[1:] if len(one))]
    if len(everybody) < 3:
        return undecided(Comparison(metric.name, reason="answers of fewer than two people"))
    keys, places = _common(everybody)
    only = len(everybody[0]) - int((places[0] >= 0).sum())
    start = Comparison(metric.name, n=len(keys), only_a=only)
    if len(keys) < 2:
        return undecided(replace(start, reason="fewer than two trials in common"))
    parts = [_sums(metric, t, at, len(keys)) for t, at in zip(everybody, places, strict=True)]
    num, den = (np.column_stack(columns) for columns in zip(*parts, strict=True))
    counts = ((num != 0) | (den != 0)).any(axis=1)
    heard = ((num != 0) | (den != 0)).any(axis=0)  # who has no trial that counts is no person more
    heard[0] = True
    num, den = num[:, heard], den[:, heard]
    if heard.sum() == 2:
        return undecided(replace(start, reason="trials of fewer than two people count"))
    if counts.sum() < 2:
        return undecided(replace(start, reason="fewer than two common trials count"))
    factors = [labels[counts] for labels in _shared(metric, everybody[0], places[0])]
    start = replace(start, n=int(counts.sum()))
    return _tested(start, num[counts], den[counts], factors)


def _tested(start: Comparison, num: Floats, den: Floats, factors: Sequence[Array]) -> Comparison:
    """num, den: [n, 1 + k], the observer's in the first column."""
    mine, theirs = den[:, 0].sum(), den[:, 1:].sum()
    if not mine or not theirs:
        who = "a" if not mine else "people"
        return undecided(replace(start, reason=f"no common trial counts for {who}"))
    a, b = float(num[:, 0].sum() / mine), float(num[:, 1:].sum() / theirs)
    # [k] each person's own value; 0 where nothing counts.
    total = den[:, 1:].sum(axis=0)
    found: Floats = np.where(total != 0, num[:, 1:].sum(axis=0) / np.where(total != 0, total, 1.0), 0.0)
    own = found
    persons = -(num[:, 1:] - own * den[:, 1:]) / theirs
    crowd = -(num[:, 1:] - b * den[:, 1:]) / theirs
    images = ratio_influence(num[:, 0], den[:, 0]) + crowd.sum(axis=1)
    variance = crossed_variance(images, persons, crowd.sum(axis=0), factors)
    start = replace(start, a=a, b=b, difference=a - b)
    if variance.value <= 0:
        return undecided(replace(start, reason="the difference does not vary over images"))
    limit = 1.0 if ((num >= 0) & (num <= den)).all() else inf
    return decided(start, Studentised(a - b, sqrt(variance.value), variance.df, limit), METHOD)


def _common(everybody: Sequence[Trials]) -> tuple[list[str], list[Array]]:
    """Keys that the first and any other has, and for each trial of everybody the place of its key, -1 elsewhere."""
    keyed = [_keys(one) for one in everybody]
    others = set().union(*keyed[1:])
    keys = sorted(set(keyed[0]) & others)
    place = {key: at for at, key in enumerate(keys)}
    return keys, [np.array([place.get(key, -1) for key in one], dtype=np.int64) for one in keyed]


def _keys(trials: Trials) -> list[str]:
    columns = (trials[name].tolist() for name in ("role", "condition", "stimulus"))
    return ["\x1f".join(map(str, parts)) for parts in zip(*columns, strict=True)]


def _sums(metric: Metric, trials: Trials, place: Array, k: int) -> tuple[Floats, Floats]:
    """Numerator and denominator at each of k keys, of the common trials alone."""
    common = place >= 0
    num, den, _ = ratio_arrays(metric, trials.where(common))
    sums: list[Floats] = [np.bincount(place[common], x, k).astype(float) for x in (num, den)]
    return sums[0], sums[1]


def _shared(metric: Metric, trials: Trials, place: Array) -> tuple[Array, ...]:
    """What the stimuli of the keys share; the stimulus where a stimulus has several trials."""
    common = trials.where(place >= 0)
    order = np.unique(place[place >= 0], return_index=True)[1]
    one_each = replace(common, columns={name: c[order] for name, c in common.columns.items()})
    shared = shared_clusters(metric, one_each)
    return tuple(shared.values()) or (one_each["stimulus"],)
