"""Two observers on the stimuli that both answered: difference, interval, p, verdict in words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.contracts.trials import KEY
from benchmark.stats.clusters import FEW_CLUSTERS, few_clusters_variance, ratio_influence, shared_clusters
from benchmark.stats.comparisons import Comparison, adjust, decided, holm, undecided
from benchmark.stats.differences import Discordant, Quadratic, Restricted, Studentised, Test, quadratic
from benchmark.stats.intervals import Floats
from benchmark.stats.ratios import indicators, ratio_arrays

__all__ = ["Comparison", "adjust", "compare_ratio", "holm"]

#: Fewer trials (each stimulus's weight allowed for) than this in one denominator are no sample of a ratio.
FEWEST = 10
#: With fewer clusters of a factor a test, of whatever kind, rejects too rarely in some settings.
MANY_CLUSTERS = 32


@dataclass(frozen=True)
class _Pairs:
    """Sums per common trial: `sums` [pairs, 4] is num a, den a, num b, den b; keys, stimulus [pairs];
    factors: label arrays [pairs], one at least: pairs that share a label in any of them are not independent."""

    sums: Floats
    keys: Array
    stimulus: Array
    factors: tuple[Array, ...]
    only_a: int
    only_b: int


def compare_ratio(metric: Metric, a: Trials, b: Trials, *, condition: str = "", level: float = 0.95) -> Comparison:
    """The paired difference of a ratio metric, over the (role, condition, stimulus) that both answered.

    Right and wrong on the same trials, each stimulus once: McNemar's score test and Tango's interval. Otherwise a
    score test over whole stimuli: the variance of the linearised difference is taken under the difference tested, so
    ratios with different denominators keep their size. No common trial, an undefined value, or fewer than `FEWEST`
    trials that count for one of the two: no test, and `reason` says why. `condition` is a label: filter the trials
    yourself.
    """
    if metric.ratio is None:
        return undecided(Comparison(metric.name, condition, reason="the metric has no value per trial"))
    pairs = _paired(metric, a, b)
    start = Comparison(metric.name, condition, n=len(pairs.sums), only_a=pairs.only_a, only_b=pairs.only_b, level=level)
    if not len(pairs.sums):
        return undecided(replace(start, reason="no trial in common"))
    start = replace(_with_values(start, pairs.sums), same=_same(pairs))
    if start.reason:
        return undecided(start)
    pairs = _counted(pairs)
    start = replace(start, n=len(pairs.sums), discordant=_discordant(pairs))
    return _mcnemar(start, pairs) or _scored(start, pairs)


def _with_values(start: Comparison, sums: Floats) -> Comparison:
    """Both values and their difference, or the reason why there is none."""
    num_a, den_a, num_b, den_b = sums.sum(axis=0).tolist()
    a, b = (num / den if den else None for num, den in ((num_a, den_a), (num_b, den_b)))
    if a is None or b is None:
        who = " and ".join(name for name, value in (("a", a), ("b", b)) if value is None)
        return replace(start, a=a, b=b, reason=f"no common trial counts for {who}")
    return replace(start, a=a, b=b, difference=a - b)


def differing(metric: Metric, a: Trials, b: Trials) -> list[tuple[int, int, str]]:
    """Trials that only one of the two scores on: position in a, position in b, "a" or "b"; in order of their keys.

    Both of the metric's role alone. Empty for a metric that is no yes or no.
    """
    pairs = _paired(metric, a, b)
    if not len(pairs.sums) or _discordant(pairs) is None:
        return []
    gap = pairs.sums[:, 0] - pairs.sums[:, 2]
    at = [{key: i for i, key in enumerate(keys[order])} for keys, order in map(_keyed, (a, b))]
    return [(at[0][key], at[1][key], "a" if d > 0 else "b") for key, d in zip(pairs.keys, gap, strict=True) if d]


def _paired(metric: Metric, a: Trials, b: Trials) -> _Pairs:
    """Sums of both observers on the trials that both have, sorted by key."""
    mine = [metric.own(trials) for trials in (a, b)]
    (keys_a, at_a), (keys_b, at_b) = (_keyed(trials) for trials in mine)
    common, in_a, in_b = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
    sums_a = _sums(metric, mine[0], _places(in_a, len(keys_a))[at_a], len(common))
    sums_b = _sums(metric, mine[1], _places(in_b, len(keys_b))[at_b], len(common))
    stimulus = np.array([str(key).rsplit(KEY, 1)[-1] for key in common], dtype=str)
    both = np.concatenate([sums_a, sums_b], axis=1)
    factors = _factors(metric, mine[0], np.searchsorted(keys_a, common), at_a) or (stimulus,)
    only = len(keys_a) - len(common), len(keys_b) - len(common)
    return _Pairs(both, common, stimulus, factors, *only)


def _factors(metric: Metric, trials: Trials, wanted: Array, at: Array) -> tuple[Array, ...]:
    """What stimuli share, at each of the keys `wanted`; at: [n] the key of each trial. Empty: nothing."""
    if not len(wanted):
        return ()
    first = np.unique(at, return_index=True)[1][wanted]
    one_each = replace(trials, columns={name: c[first] for name, c in trials.columns.items()})
    return tuple(shared_clusters(metric, one_each).values())


def _counted(pairs: _Pairs) -> _Pairs:
    """The pairs that count for at least one of the two, in the numerator (of a ratio of two conditions) or below it."""
    keep = (pairs.sums != 0).any(axis=1)
    stimulus = pairs.stimulus[keep]
    factors = tuple(stimulus if labels is pairs.stimulus else labels[keep] for labels in pairs.factors)
    kept = pairs.sums[keep], pairs.keys[keep], stimulus, factors
    return _Pairs(*kept, pairs.only_a, pairs.only_b)


def _keyed(trials: Trials) -> tuple[Array, Array]:
    """Unique keys role/condition/stimulus [k], and which of them each trial has [n]."""
    if not len(trials):
        return np.zeros(0, dtype=str), np.zeros(0, dtype=np.int64)
    parts = zip(*(trials[name] for name in ("role", "condition", "stimulus")), strict=True)
    names, at = np.unique([KEY.join(map(str, part)) for part in parts], return_inverse=True)
    return names, at


def _places(kept: Array, k: int) -> Array:
    """[k] position of each key among those kept, -1 for others."""
    places = np.full(k, -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    return places


def _sums(metric: Metric, trials: Trials, place: Array, k: int) -> Floats:
    """Sums of num and den at each common key, [k, 2]. place: [n] the trial's key, -1 where it is not common.

    The ratio is given the common trials alone: it may weigh a trial by how many others there are.
    """
    common = place >= 0
    num, den, _ = ratio_arrays(metric, trials.where(common))
    return np.column_stack([np.bincount(place[common], x, k) for x in (num, den)])


def _discordant(pairs: _Pairs) -> tuple[int, int] | None:
    """How often a alone and b alone scores; None unless every trial is a yes or a no."""
    num_a, den_a, num_b, den_b = pairs.sums.T
    if not (indicators(num_a, den_a) and indicators(num_b, den_b)):
        return None
    return int((num_a > num_b).sum()), int((num_b > num_a).sum())


def _same(pairs: _Pairs) -> bool:
    """Whether nothing differs in any trial of either."""
    whole = not pairs.only_a and not pairs.only_b
    return whole and bool((pairs.sums[:, :2] == pairs.sums[:, 2:]).all())


def _mcnemar(start: Comparison, pairs: _Pairs) -> Comparison | None:
    """Where every pair counts for both, all are yes or no, and all are independent; else None."""
    num_a, den_a, num_b, den_b = pairs.sums.T
    whole = (den_a == 1).all() and (den_b == 1).all()
    alone = len(np.unique(pairs.factors[0])) == start.n
    if start.discordant is None or not whole or not alone:
        return None
    test = Discordant(*start.discordant, start.n)
    return decided(start, test, "McNemar score test; Tango interval", _data(pairs, num_a - num_b))


def _scored(start: Comparison, pairs: _Pairs) -> Comparison:
    """The score test over clusters; no test where too few trials count."""
    num_a, den_a, num_b, den_b = pairs.sums.T
    for who, den in (("a", den_a), ("b", den_b)):
        if (few := _effective(den, pairs.stimulus)) < FEWEST:
            reason = f"too few to test: {few:.0f} stimuli count for {who}"
            return undecided(replace(start, reason=reason))
    total_a, total_b = den_a.sum(), den_b.sum()
    share = total_a / (total_a + total_b)
    under = (num_a.sum() + num_b.sum()) / (total_a + total_b)  # both ratios, if they are equal
    residual = (num_a - under * den_a) / total_a - (num_b - under * den_b) / total_b
    slope = -(1 - share) * den_a / total_a - share * den_b / total_b
    test = _score_test(start, pairs, residual, slope)
    method, data = _method(pairs.factors), _data(pairs, residual)
    clusters = min(len(np.unique(labels)) for labels in pairs.factors)
    if pairs.factors[0] is not pairs.stimulus and clusters < MANY_CLUSTERS:
        start = replace(start, remark=f"{clusters} clusters only: little power")
    if not start.remark or clusters >= FEW_CLUSTERS or not isinstance(test, Restricted):
        return decided(start, test, method, data)
    influence = ratio_influence(num_a, den_a) - ratio_influence(num_b, den_b)
    found = few_clusters_variance(influence, pairs.factors)
    test = Studentised(test.difference, sqrt(found.variance), found.df, test.limit)
    return decided(start, test, method.replace("score", "t"), data)


def _score_test(start: Comparison, pairs: _Pairs, residual: Floats, slope: Floats) -> Test:
    """Where all answers to yes or no are alike, no variance is seen: each stimulus, or cluster, is then one answer."""
    difference = float(start.difference or 0.0)
    variance = _variance(residual, slope, pairs.factors, difference)
    alike = variance(difference) <= 1e-12 * variance.square
    if alike and start.discordant is not None and difference in (-1.0, 0.0, 1.0):
        n = min(len(np.unique(labels)) for labels in pairs.factors)
        return Discordant(n * (difference > 0), n * (difference < 0), n)
    return Restricted(difference, variance, 1.0 if _proportions(pairs.sums) else inf)


def _variance(u: Floats, v: Floats, factors: Sequence[Array], difference: float) -> Quadratic:
    """Cluster-robust; of several factors the sum less overlaps, unless that is no variance: then the largest of one."""
    found = quadratic(u, v, factors)
    if found(0.0) > 0 and found(difference) > 0:
        return found
    single = (quadratic(u, v, [labels]) for labels in factors)
    return max(single, key=lambda one: one(0.0))


def _effective(den: Floats, stimulus: Array) -> float:
    """How many equally weighted stimuli weigh as much as these."""
    by_stimulus = np.bincount(np.unique(stimulus, return_inverse=True)[1], den)
    return float(by_stimulus.sum() ** 2 / (by_stimulus**2).sum())


def _proportions(sums: Floats) -> bool:
    """Whether both ratios lie in [0, 1] whatever the trials."""
    num, den = sums[:, [0, 2]], sums[:, [1, 3]]
    return bool(((num >= 0) & (num <= den)).all())


def _method(factors: Sequence[Array]) -> str:
    if len(factors) == 1:
        return "score test, by stimulus"
    sizes = " x ".join(str(len(np.unique(labels))) for labels in factors)
    return f"score test, clustered ({sizes})"


def _data(pairs: _Pairs, values: Floats) -> str:
    """A digest of keys and values [pairs] up to sign and scale; of the sums where all values are 0."""
    top = np.abs(values).max(initial=0.0)
    plain = values / top if top else pairs.sums.ravel()
    first = plain[np.flatnonzero(plain)[:1]]
    signed = np.round(plain * np.sign(first) if len(first) else plain, 9) + 0.0
    text = hashlib.sha256("\n".join(pairs.keys.tolist()).encode())
    text.update(signed.tobytes())
    return text.hexdigest()
