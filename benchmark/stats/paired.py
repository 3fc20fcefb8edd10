"""Two observers on the stimuli that both answered, or one and people as a group: difference, interval, p, verdict."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.contracts.trials import KEY
from benchmark.stats.clusters import (
    FEW_CLUSTERS,
    crossed_variance,
    few_clusters_variance,
    ratio_influence,
    shared_clusters,
)
from benchmark.stats.comparisons import Comparison, decided, undecided
from benchmark.stats.differences import Discordant, Restricted, Studentised, Test, quadratic
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import indicators, ratio_arrays

FEWEST = 10  # fewer trials (each stimulus's weight allowed for) than this in one denominator are no sample of a ratio
MANY_CLUSTERS = 32  # with fewer clusters of a factor a test, of whatever kind, rejects too rarely in some settings


class CommonTrials(NamedTuple):
    """A ratio metric of m observers on common trials, of those that count for one of them."""

    sums: Floats  # [n, m, 2]: numerator and denominator
    keys: Array  # [n], sorted
    stimulus: Array  # [n]
    factors: tuple[Array, ...]  # one at least, labels [n] each: trials that share a label are not independent


def compare_ratio(metric: Metric, a: Trials, b: Trials, *, condition: str = "", level: float = 0.95) -> Comparison:
    """Return the paired difference of a ratio metric, over the (role, condition, stimulus) that both answered. Correct
    and incorrect answers, each stimulus once: McNemar's score test and Tango's interval. Otherwise a score test over
    whole stimuli, with the variance under the difference tested, so that ratios with different denominators keep their
    size. No test has a `reason`. `condition` is a label: filter the trials yourself."""
    start = Comparison(metric=metric.name, condition=condition, level=level)
    if metric.ratio is None:
        return undecided(start, "the metric has no value per trial")
    own = metric.own(a), metric.own(b)
    keys_a, keys_b = trial_keys(own[0]), trial_keys(own[1])
    common = np.intersect1d(keys_a, keys_b)
    only_a, only_b = (len(keys) - len(common) for keys in (keys_a, keys_b))
    start = replace(start, n=len(common), only_a=only_a, only_b=only_b)
    if not len(common):
        return undecided(start, "no trial in common")
    pairs = common_trials(metric, own, common)
    value_a, value_b = (num / den if den else None for num, den in pairs.sums.sum(axis=0).tolist())
    same = not only_a and not only_b and bool((pairs.sums[:, 0] == pairs.sums[:, 1]).all())
    start = replace(start, a=value_a, b=value_b, same=same)
    if value_a is None or value_b is None:
        who = " and ".join(name for name, value in (("a", value_a), ("b", value_b)) if value is None)
        return undecided(start, f"no common trial counts for {who}")
    n, discordant = len(pairs.sums), _discordant(pairs)
    start = replace(start, difference=value_a - value_b, n=n, discordant=discordant)
    independent = len(np.unique(pairs.factors[0])) == n
    if discordant is None or not independent or not (pairs.sums[:, :, 1] == 1).all():
        return _scored(start, pairs)
    data = _data(pairs, pairs.sums[:, 0, 0] - pairs.sums[:, 1, 0])
    return decided(start, Discordant(b=discordant[0], c=discordant[1], n=n), "McNemar score test; Tango interval", data)


def differing(metric: Metric, a: Trials, b: Trials) -> list[tuple[int, int, str]]:
    """Return (position in a, position in b, "a" or "b") of trials that only one scores on, of yes-or-no metrics."""
    own = metric.own(a), metric.own(b)
    pairs = common_trials(metric, own, np.intersect1d(trial_keys(own[0]), trial_keys(own[1])))
    if not len(pairs.sums) or _discordant(pairs) is None:
        return []
    gap = pairs.sums[:, 0, 0] - pairs.sums[:, 1, 0]
    at_a, at_b = ({key: at for at, key in enumerate(trials.keys.tolist())} for trials in (a, b))
    return [(at_a[key], at_b[key], "a" if d > 0 else "b") for key, d in zip(pairs.keys.tolist(), gap, strict=True) if d]


def trial_keys(trials: Trials) -> Array:
    """Return the sorted keys of the trials, each once."""
    return np.unique(trials.keys) if len(trials) else np.zeros(0, dtype=str)


def common_trials(metric: Metric, observers: Sequence[Trials], keys: Array) -> CommonTrials:
    """Return a metric of observers on the trials of the sorted keys. The first one's trials have the labels."""
    sums = np.zeros((len(keys), len(observers), 2))
    for i, trials in enumerate(observers if len(keys) else ()):
        if len(trials):
            there = np.isin(trials.keys, keys)
            num, den, _ = ratio_arrays(metric, trials.where(there))
            place = np.searchsorted(keys, trials.keys[there])
            sums[:, i] = np.column_stack([np.bincount(place, part, len(keys)) for part in (num, den)])
    counts = (sums != 0).any(axis=(1, 2))  # in the numerator (of a ratio of two conditions) or below it
    stimulus = np.array([key.rsplit(KEY, 1)[-1] for key in keys.tolist()], dtype=str)[counts]
    shared = dict[str, Array]()
    if len(keys):
        names, first = np.unique(observers[0].keys, return_index=True)
        at = first[np.searchsorted(names, keys)]
        columns = {name: column[at] for name, column in observers[0].columns.items()}
        shared = shared_clusters(metric, replace(observers[0], columns=columns))
    factors = tuple(labels[counts] for labels in shared.values()) or (stimulus,)
    return CommonTrials(sums=sums[counts], keys=keys[counts], stimulus=stimulus, factors=factors)


def _discordant(pairs: CommonTrials) -> tuple[int, int] | None:
    """Return how often only a and only b score; None unless every trial is a yes or a no."""
    num_a, den_a, num_b, den_b = pairs.sums.reshape(-1, 4).T
    if not (indicators(num_a, den_a) and indicators(num_b, den_b)):
        return None
    return int((num_a > num_b).sum()), int((num_b > num_a).sum())


def _scored(start: Comparison, pairs: CommonTrials) -> Comparison:
    """Return the score test over clusters; no test where too few trials count."""
    num_a, den_a, num_b, den_b = pairs.sums.reshape(-1, 4).T
    for who, den in (("a", den_a), ("b", den_b)):
        by_stimulus = np.bincount(np.unique(pairs.stimulus, return_inverse=True)[1], den)
        few = float(by_stimulus.sum() ** 2 / (by_stimulus**2).sum())  # as many of equal weights weigh as much
        if few < FEWEST:
            return undecided(start, f"too few to test: {few:.0f} stimuli count for {who}")
    total_a, total_b = den_a.sum(), den_b.sum()
    share = total_a / (total_a + total_b)
    under = (num_a.sum() + num_b.sum()) / (total_a + total_b)  # both ratios, if they are equal
    residual = (num_a - under * den_a) / total_a - (num_b - under * den_b) / total_b
    slope = -(1 - share) * den_a / total_a - share * den_b / total_b
    clusters = min(len(np.unique(labels)) for labels in pairs.factors)
    difference = float(start.difference or 0.0)
    num, den = np.moveaxis(pairs.sums, 2, 0)
    limit = 1.0 if ((num >= 0) & (num <= den)).all() else inf
    variance = quadratic(residual, slope, pairs.factors)
    if not (variance(0.0) > 0 and variance(difference) > 0):
        # Less overlaps it is no variance: the largest of one factor.
        single = (quadratic(residual, slope, [labels]) for labels in pairs.factors)
        variance = max(single, key=lambda spread: spread(0.0))
    test: Test = Restricted(difference=difference, variance=variance, limit=limit)
    # Where all answers to yes or no are alike, no variance is seen: each stimulus, or cluster, is then one answer.
    alike = variance(difference) <= 1e-12 * variance.square
    if alike and start.discordant is not None and difference in (-1.0, 0.0, 1.0):
        test = Discordant(b=clusters * (difference > 0), c=clusters * (difference < 0), n=clusters)
    sizes = " x ".join(str(len(np.unique(labels))) for labels in pairs.factors)
    how = "by stimulus" if len(pairs.factors) == 1 else f"clustered ({sizes})"
    data = _data(pairs, residual)
    if pairs.factors[0] is not pairs.stimulus and clusters < MANY_CLUSTERS:
        start = replace(start, remark=f"{clusters} clusters only: little power")
    if not start.remark or clusters >= FEW_CLUSTERS or not isinstance(test, Restricted):
        return decided(start, test, f"score test, {how}", data)
    spread = few_clusters_variance(ratio_influence(num_a, den_a) - ratio_influence(num_b, den_b), pairs.factors)
    test = Studentised(difference=difference, se=sqrt(spread.value), df=spread.df, limit=limit)
    return decided(start, test, f"t test, {how}", data)


def _data(pairs: CommonTrials, values: Floats) -> str:
    """Return a digest of keys and values [pairs] up to sign and scale; of the sums where all values are 0."""
    top = np.abs(values).max(initial=0.0)
    plain = values / top if top else pairs.sums.ravel()
    first = plain[np.flatnonzero(plain)[:1]]
    signed = np.round(plain * np.sign(first) if len(first) else plain, 9) + 0.0
    text = hashlib.sha256("\n".join(pairs.keys.tolist()).encode())
    text.update(signed.tobytes())
    return text.hexdigest()


def compare_people(metric: Metric, a: Trials, people: Sequence[Trials]) -> Comparison:
    """Return a minus people, whose trials are pooled, on the (role, condition, stimulus) that a and at least one person
    answered. No test, with the reason: not a ratio, no such trial, nothing that counts, fewer than two people."""
    start = Comparison(metric=metric.name)
    if metric.ratio is None:
        return undecided(start, "the metric has no value per trial")
    mine, others = metric.own(a), [trials for person in people if len(trials := metric.own(person))]
    nobody = np.zeros(0, dtype=str)
    common = np.intersect1d(trial_keys(mine), np.concatenate([nobody, *map(trial_keys, others)]))
    only = int((~np.isin(mine.keys, common)).sum()) if len(mine) else 0
    start = replace(start, n=len(common), only_a=only)
    sums, _, _, factors = common_trials(metric, (mine, *others), common)
    # A person without trials that count does not add to the people.
    heard = (sums != 0).any(axis=(0, 2)) | (np.arange(len(others) + 1) == 0)
    if heard.sum() == 2:
        return undecided(start, "trials of fewer than two people count")
    if len(sums) < 2:
        return undecided(start, "fewer than two common trials count")
    num, den = np.moveaxis(sums[:, heard], 2, 0)  # [n, 1 + k], the observer's in the first column
    start, observer, theirs = replace(start, n=len(sums)), den[:, 0].sum(), den[:, 1:].sum()
    if not observer or not theirs:
        return undecided(start, f"no common trial counts for {'people' if observer else 'a'}")
    value, pooled = float(num[:, 0].sum() / observer), float(num[:, 1:].sum() / theirs)
    # [k] each person's own value; 0 where nothing counts.
    total = den[:, 1:].sum(axis=0)
    own: Floats = np.where(total != 0, num[:, 1:].sum(axis=0) / np.where(total != 0, total, 1.0), 0.0)
    persons = -(num[:, 1:] - own * den[:, 1:]) / theirs
    crowd = -(num[:, 1:] - pooled * den[:, 1:]) / theirs
    images = ratio_influence(num[:, 0], den[:, 0]) + crowd.sum(axis=1)
    variance = crossed_variance(images, persons, crowd.sum(axis=0), factors)
    start = replace(start, a=value, b=pooled, difference=value - pooled)
    if variance.value <= 0:
        return undecided(start, "the difference does not vary over images")
    # Both are drawn from more: other images and people would give another value.
    test = Studentised(
        difference=value - pooled, se=sqrt(variance.value), df=variance.df,
        limit=1.0 if ((num >= 0) & (num <= den)).all() else inf, people=variance.people, crossed=variance.crossed,
    )  # fmt: skip
    return decided(start, test, "t test, images and people")
