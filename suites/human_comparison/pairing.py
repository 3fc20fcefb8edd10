"""Two observers against the same people, or one against people as a group: differences of the human metrics.

Images and people are both taken as drawn from more (`benchmark.stats.crossed`): each difference is linearised, and p
and interval come from the same t statistic. Experiments have people of their own; edges, silhouettes and cue conflict
are made from the same 160 shapes, so that over them variances do not simply add.

Agreement with people says nothing of how many answers are right: a network that is always wrong agrees with people as
well as one that is always right, kappa 0 both. So the difference in accuracy on the same images stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats import Comparison, shared_clusters
from benchmark.stats.agreement import expected_consistency, kappa_of
from benchmark.stats.comparisons import decided, undecided
from benchmark.stats.crossed import Variance, crossed_variance, mean_of
from benchmark.stats.differences import Discordant, Studentised
from benchmark.stats.intervals import Floats
from benchmark.stimuli.generated import SHAPE, exemplars
from benchmark.stimuli.trials import PEOPLE
from suites.human_comparison.consistency import Tables, common, tabulate
from suites.human_comparison.metrics import AGREEMENT, METRICS
from suites.human_comparison.score import counted, roles_of

# The human metrics of pairs of observers, and what each image adds to them to first order.


#: The largest difference of two values of each metric.
LIMITS = {"error_consistency": 2.0, "observed_consistency": 1.0, "accuracy_difference": 1.0}


def with_each(metric: str, one: Array, others: Array) -> tuple[Floats, Floats]:
    """Values of one observer with each of k others [k], and n times what each image adds to them [n, k].

    one: [n], others: [n, k], bool: who was right. The additions sum to 0 over images.
    """
    x, y = one.astype(float)[:, None], others.astype(float)
    p, q = x.mean(axis=0), y.mean(axis=0)
    if metric == "accuracy_difference":
        return (p - q) ** 2, 2 * (p - q) * ((x - p) - (y - q))
    same = (x == y).astype(float)
    observed = same.mean(axis=0)
    if metric == "observed_consistency":
        return observed, same - observed
    expected = expected_consistency(p, q)
    kappa, room = kappa_of(observed, expected), np.where(expected < 1, 1 - expected, 1.0)
    chance = (2 * q - 1) * (x - p) + (2 * p - 1) * (y - q)
    return kappa, ((same - observed) - (1 - kappa) * chance) / room


def among(metric: str, right: Array) -> tuple[Floats, Floats]:
    """`with_each` of all pairs of k observers: [k, k] and [n, k, k], 0 on the diagonal."""
    n, k = right.shape
    values, adds = np.zeros((k, k)), np.zeros((n, k, k))
    for i in range(k):
        values[i], adds[:, i] = with_each(metric, right[:, i], right)
        values[i, i], adds[:, i, i] = 0.0, 0.0
    return values, adds


METHOD = "t test, images and people"  # both drawn from more
FIXED = "t test, images"  # simulated people are no sample of anybody: these very ones
OTHER = "\x1fb"  # the name of the second observer among the people's; no real name
ACCURACY = "ood_accuracy"
ROUNDING = 1e-9  # of a metric's range: a spread below it is none
NOBODY = "no images that both, and people, answered"
NO_GROUP = "fewer than three people answered the same images: no agreement of people with one another"


@dataclass(frozen=True)
class Difference:
    """One metric in one experiment: values of the two, the variance of their difference, images; shapes: what the
    images of each shape that other experiments show, too, add to the difference."""

    a: float
    b: float
    variance: Variance
    n: int
    shapes: Mapping[str, float]


@dataclass(frozen=True)
class Parts:
    """What images [n], people through images [n, k], and people [k] add to a difference."""

    a: float
    b: float
    images: Floats
    persons: Floats
    people: Floats


def compare_pair(a: Trials, b: Trials | None, references: Mapping[str, Trials]) -> list[Comparison]:
    """a minus b for each human metric, per experiment (condition: its role) and over those that both answered.

    Both are taken on their common images against the same people. b None: people as a group, whose value is their
    agreement with one another (the ceiling).
    """
    return list(_compared(a, b, references))


def _compared(a: Trials, b: Trials | None, references: Mapping[str, Trials]) -> Iterator[Comparison]:
    found = {role: made for role in roles_of(a) if (made := _experiment(role, a, b, references))}
    method = METHOD if _sampled(references) else FIXED
    for metric in (*AGREEMENT, ACCURACY):
        parts = {role: made[metric] for role, made in found.items()}
        if not parts:
            yield undecided(Comparison(metric, reason=NO_GROUP if b is None else NOBODY))
        # Of one experiment the mean is that experiment, and each one's accuracy is a metric of its own: one hypothesis.
        apart = len(parts) > 1 and metric != ACCURACY
        for role, one in parts.items() if apart else ():
            yield _tested(metric, role, [one], method)
        if parts:
            yield _tested(metric, "", list(parts.values()), method)


def _experiment(
    role: str, a: Trials, b: Trials | None, references: Mapping[str, Trials]
) -> dict[str, Difference] | None:
    """metric -> difference; None where there is nothing to compare with."""
    mine, theirs = common(a.of(role), a.of(role) if b is None else b.of(role))
    if not len(mine):
        return None
    tables = tabulate(role, "", mine, references if b is None else {**references, OTHER: theirs})
    if tables.reason or not any(table.kept for table in tables.tables):
        return None
    second = tables.observers.index(OTHER) if OTHER in tables.observers else None
    people = [i for i, name in enumerate(tables.observers) if i and name != OTHER]
    if len(people) < (3 if b is None else 1) or (b is not None and second is None):
        return None
    labels = _labels(tables, mine)
    sampled = slice(None) if _sampled(references) else slice(1)  # of one person no spread is taken
    return {metric: _difference(metric, tables, second, people, labels, sampled) for metric in (*AGREEMENT, ACCURACY)}


def _sampled(references: Mapping[str, Trials]) -> bool:
    """Whether the references are people, who could have been others."""
    return any(name.startswith(PEOPLE) for name in references)


def _difference(
    metric: str, tables: Tables, second: int | None, people: list[int], labels: Trials, who: slice
) -> Difference:
    """Mean over the kept conditions; of accuracy over their images."""
    kept = [table.right for table in tables.tables if table.kept]
    if metric == ACCURACY:
        parts = [_accuracy_parts(np.concatenate(kept), second, people)]
    else:
        parts = [_parts(metric, right, second, people) for right in kept]
    share = 1 / len(parts)
    images = np.concatenate([part.images for part in parts]) * share
    persons = np.concatenate([part.persons for part in parts]) * share
    spread = np.mean([part.people for part in parts], axis=0)
    factors = tuple(shared_clusters(METRICS[0], labels).values())
    variance = crossed_variance(images, persons[:, who], spread[who], factors)
    a, b = (float(np.mean(values)) for values in zip(*((p.a, p.b) for p in parts), strict=True))
    own = exemplars(labels).get(SHAPE, np.full(len(images), ""))
    shapes, at = np.unique(own, return_inverse=True)
    sums = np.bincount(at, images, len(shapes)).tolist()
    named = {name: one for name, one in zip(shapes.tolist(), sums, strict=True) if name}
    return Difference(a, b, variance, len(images), named)


def _accuracy_parts(right: Array, second: int | None, people: list[int]) -> Parts:
    """As `_parts`, of the share of right answers; b None: people's mean share."""
    n, k = len(right), len(people)
    mine, nobody = right[:, 0].astype(float), np.zeros((n, k))
    if second is not None:
        other, persons, each = right[:, second].astype(float), nobody, np.zeros(k)
    else:
        theirs = right[:, people].astype(float)
        other, each = theirs.mean(axis=1), theirs.mean(axis=0)
        persons = -(theirs - each) / (n * k)
    a, b = float(mine.mean()), float(other.mean())
    images = ((mine - a) - (other - b)) / n
    return Parts(a, b, images, persons, -(each - each.mean()) / k)


def _parts(metric: str, right: Array, second: int | None, people: list[int]) -> Parts:
    """One condition; right: [n, observers], the first one is a. second: the column of b, None for people."""
    n, k = len(right), len(people)
    each, adds = with_each(metric, right[:, 0], right[:, people])
    if second is not None:
        other, theirs = with_each(metric, right[:, second], right[:, people])
        persons = (adds - theirs) / (n * k)
        gap = each - other
        return Parts(each.mean(), other.mean(), persons.sum(axis=1), persons, (gap - gap.mean()) / k)
    pairs, between = among(metric, right[:, people])  # [k, k], [n, k, k]; nothing on the diagonal
    mine, ceiling = pairs.sum(axis=1) / (k - 1), pairs.sum() / (k * (k - 1))
    through = between.sum(axis=2) / (k - 1)
    images = (adds.mean(axis=1) - through.mean(axis=1)) / n
    twice = 2 * (k - 1) / (k - 2)  # a person is in two of k pairs' ends; k - 2: jackknife of a mean over pairs
    spread = (each - each.mean() - twice * (mine - ceiling)) / k
    return Parts(each.mean(), float(ceiling), images, (adds - twice * through) / (n * k), spread)


def _tested(metric: str, role: str, parts: Sequence[Difference], method: str) -> Comparison:
    """No test where nothing varies, but of accuracy: there every image, or cluster of them, is one answer."""
    a, b = (float(np.mean(values)) for values in zip(*((p.a, p.b) for p in parts), strict=True))
    gap = a - b
    start = Comparison(metric, role, a, b, gap, n=sum(part.n for part in parts))
    start = start if role else replace(start, average=counted(len(parts))[0])
    # Twice the covariances of all pairs of experiments that show images of the same shapes.
    total = 0.0
    for one, other in combinations(parts, 2):
        common = one.shapes.keys() & other.shapes.keys()
        products = (one.shapes[name] * other.shapes[name] for name in sorted(common))
        total += 2 * sum(products) * len(common) / max(1, len(common) - 1)
    variance = mean_of([part.variance for part in parts], total)
    limit = LIMITS.get(metric, 1.0)
    if sqrt(variance.value) > ROUNDING * limit:
        return decided(start, Studentised(gap, sqrt(variance.value), variance.df, limit), method)
    if metric != ACCURACY or gap not in (-1.0, 0.0, 1.0):
        return undecided(replace(start, reason="the difference does not vary over images"))
    n = 1 + round(variance.df)
    return decided(start, Discordant(n * (gap > 0), n * (gap < 0), n), method)


def _labels(tables: Tables, trials: Trials) -> Trials:
    """The trials of the kept conditions, in the order of the tables."""
    parts = []
    for table in tables.tables:
        if table.kept:
            mine = trials.where(trials["condition"] == table.condition)
            order = np.argsort(mine["stimulus"], kind="stable")
            parts.append({name: column[order] for name, column in mine.columns.items()})
    return Trials({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
