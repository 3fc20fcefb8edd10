"""Two observers on the stimuli that both answered, or one and people as a group: difference, interval, p, verdict."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

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


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Sums per common trial."""

    sums: Floats  # [pairs, 4]: num a, den a, num b, den b
    keys: Array  # [pairs]
    stimulus: Array
    factors: tuple[Array, ...]  # one at least, label arrays [pairs]: pairs that share a label are not independent
    only_a: int
    only_b: int
    common: int  # trials of both, whether they count or not


def compare_ratio(metric: Metric, a: Trials, b: Trials, *, condition: str = "", level: float = 0.95) -> Comparison:
    """Return the paired difference of a ratio metric, over the (role, condition, stimulus) that both answered. Correct
    and incorrect answers, each stimulus once: McNemar's score test and Tango's interval. Otherwise a score test over
    whole stimuli, with the variance under the difference tested, so that ratios with different denominators keep their
    size. No test has a `reason`. `condition` is a label: filter the trials yourself."""
    start = Comparison(metric=metric.name, condition=condition, level=level)
    if metric.ratio is None:
        return undecided(start, "the metric has no value per trial")
    pairs = _paired(metric, a, b)
    start = replace(start, n=pairs.common, only_a=pairs.only_a, only_b=pairs.only_b)
    if not pairs.common:
        return undecided(start, "no trial in common")
    num_a, den_a, num_b, den_b = pairs.sums.sum(axis=0).tolist()
    value_a, value_b = (num / den if den else None for num, den in ((num_a, den_a), (num_b, den_b)))
    same = not pairs.only_a and not pairs.only_b and bool((pairs.sums[:, :2] == pairs.sums[:, 2:]).all())
    start = replace(start, a=value_a, b=value_b, same=same)
    if value_a is None or value_b is None:
        who = " and ".join(name for name, value in (("a", value_a), ("b", value_b)) if value is None)
        return undecided(start, f"no common trial counts for {who}")
    n, discordant = len(pairs.sums), _discordant(pairs)
    start = replace(start, difference=value_a - value_b, n=n, discordant=discordant)
    independent = len(np.unique(pairs.factors[0])) == n
    if discordant is None or not independent or not (pairs.sums[:, [1, 3]] == 1).all():
        return _scored(start, pairs)
    data = _data(pairs, pairs.sums[:, 0] - pairs.sums[:, 2])
    return decided(start, Discordant(b=discordant[0], c=discordant[1], n=n), "McNemar score test; Tango interval", data)


def differing(metric: Metric, a: Trials, b: Trials) -> list[tuple[int, int, str]]:
    """Return (position in a, position in b, "a" or "b") of trials that only one scores on, of yes-or-no metrics."""
    pairs = _paired(metric, a, b)
    if not len(pairs.sums) or _discordant(pairs) is None:
        return []
    gap = pairs.sums[:, 0] - pairs.sums[:, 2]
    at_a, at_b = ({key: at for at, key in enumerate(trials.keys.tolist())} for trials in (a, b))
    return [(at_a[key], at_b[key], "a" if d > 0 else "b") for key, d in zip(pairs.keys.tolist(), gap, strict=True) if d]


def _paired(metric: Metric, a: Trials, b: Trials) -> _Pairs:
    """Return the sums of both observers on the trials that both have and that count for one, sorted by key."""
    own_a, own_b = metric.own(a), metric.own(b)
    keys_a, keys_b = trial_keys(own_a), trial_keys(own_b)
    common = np.intersect1d(keys_a, keys_b)
    sums = np.concatenate([sums_at(metric, own, common) for own in (own_a, own_b)], axis=1)
    every, stimulus = image_factors(metric, own_a, common)
    counts = (sums != 0).any(axis=1)  # in the numerator (of a ratio of two conditions) or below it
    stimulus, factors = stimulus[counts], tuple(labels[counts] for labels in every if labels is not stimulus)
    return _Pairs(
        sums=sums[counts], keys=common[counts], stimulus=stimulus, factors=factors or (stimulus,), common=len(common),
        only_a=len(keys_a) - len(common), only_b=len(keys_b) - len(common),
    )  # fmt: skip


def trial_keys(trials: Trials) -> Array:
    """Return the sorted keys of the trials, each once."""
    return np.unique(trials.keys) if len(trials) else np.zeros(0, dtype=str)


def sums_at(metric: Metric, trials: Trials, keys: Array) -> Floats:
    """Return the sums of num and den at each of the sorted keys [k, 2], of the trials of these keys alone."""
    if not len(trials) or not len(keys):
        return np.zeros((len(keys), 2))
    there = np.isin(trials.keys, keys)
    num, den, _ = ratio_arrays(metric, trials.where(there))
    place = np.searchsorted(keys, trials.keys[there])
    return np.column_stack([np.bincount(place, part, len(keys)) for part in (num, den)])


def image_factors(metric: Metric, trials: Trials, keys: Array) -> tuple[tuple[Array, ...], Array]:
    """Return the shared components of the stimuli of the keys, or the stimuli themselves, and the stimuli."""
    stimulus = np.array([key.rsplit(KEY, 1)[-1] for key in keys.tolist()], dtype=str)
    if not len(keys):
        return (stimulus,), stimulus
    names, first = np.unique(trials.keys, return_index=True)
    at = first[np.searchsorted(names, keys)]
    one_each = replace(trials, columns={name: column[at] for name, column in trials.columns.items()})
    return tuple(shared_clusters(metric, one_each).values()) or (stimulus,), stimulus


def _discordant(pairs: _Pairs) -> tuple[int, int] | None:
    """Return how often only a and only b score; None unless every trial is a yes or a no."""
    num_a, den_a, num_b, den_b = pairs.sums.T
    if not (indicators(num_a, den_a) and indicators(num_b, den_b)):
        return None
    return int((num_a > num_b).sum()), int((num_b > num_a).sum())


def _scored(start: Comparison, pairs: _Pairs) -> Comparison:
    """Return the score test over clusters; no test where too few trials count."""
    num_a, den_a, num_b, den_b = pairs.sums.T
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
    num, den = pairs.sums[:, [0, 2]], pairs.sums[:, [1, 3]]
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


def _data(pairs: _Pairs, values: Floats) -> str:
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
    sums = np.stack([sums_at(metric, trials, common) for trials in (mine, *others)], axis=1)
    counts = (sums != 0).any(axis=(1, 2))
    # A person without trials that count does not add to the people.
    heard = (sums != 0).any(axis=(0, 2)) | (np.arange(len(others) + 1) == 0)
    if heard.sum() == 2:
        return undecided(start, "trials of fewer than two people count")
    if counts.sum() < 2:
        return undecided(start, "fewer than two common trials count")
    factors, _ = image_factors(metric, mine, common)
    num, den = np.moveaxis(sums[counts][:, heard], 2, 0)  # [n, 1 + k], the observer's in the first column
    start, observer, theirs = replace(start, n=int(counts.sum())), den[:, 0].sum(), den[:, 1:].sum()
    if not observer or not theirs:
        return undecided(start, f"no common trial counts for {'people' if observer else 'a'}")
    value, pooled = float(num[:, 0].sum() / observer), float(num[:, 1:].sum() / theirs)
    # [k] each person's own value; 0 where nothing counts.
    total = den[:, 1:].sum(axis=0)
    own: Floats = np.where(total != 0, num[:, 1:].sum(axis=0) / np.where(total != 0, total, 1.0), 0.0)
    persons = -(num[:, 1:] - own * den[:, 1:]) / theirs
    crowd = -(num[:, 1:] - pooled * den[:, 1:]) / theirs
    images = ratio_influence(num[:, 0], den[:, 0]) + crowd.sum(axis=1)
    variance = crossed_variance(images, persons, crowd.sum(axis=0), [labels[counts] for labels in factors])
    start = replace(start, a=value, b=pooled, difference=value - pooled)
    if variance.value <= 0:
        return undecided(start, "the difference does not vary over images")
    # Both are drawn from more: other images and people would give another value.
    test = Studentised(
        difference=value - pooled, se=sqrt(variance.value), df=variance.df,
        limit=1.0 if ((num >= 0) & (num <= den)).all() else inf, people=variance.people, crossed=variance.crossed,
    )  # fmt: skip
    return decided(start, test, "t test, images and people")
