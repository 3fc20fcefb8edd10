"""Two observers against the same people, or one against people as a group: differences of the human metrics, with the
difference in accuracy beside them. Images and people are both random samples (`benchmark.stats.clusters`)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats import Comparison, shared_clusters
from benchmark.stats.agreement import expected_consistency, kappa_of, match
from benchmark.stats.clusters import Variance, crossed_variance, variance_of_mean
from benchmark.stats.comparisons import decided, undecided
from benchmark.stats.differences import Discordant, Studentised
from benchmark.stats.intervals import Floats
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.image_names import SHAPE, exemplars
from registry.files import digest_data
from suites.human_comparison.bootstrap import answered, answers_of, sampled
from suites.human_comparison.metrics import AGREEMENT, METRICS
from suites.human_comparison.score import coverage_flag, roles_of
from suites.human_comparison.shown_experiments import BY_ROLE, Observers, Shown


def with_each(metric: str, one: Array, others: Array) -> tuple[Floats, Floats]:
    """Return the values of one observer with each of k others [k], and n times the contribution of each image to them
    [n, k], which sum to 0 over images. The correct answers, bool, are `one` [n] and `others` [n, k]."""
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


METHOD = "t test, images and people"  # both drawn from more
FIXED = "t test, images"  # simulated people are no sample of anybody: these very ones
OTHER = "\x1fb"  # the name of the second observer among the people's; no real name
ACCURACY = "ood_accuracy"
ROUNDING = 1e-9  # of a metric's range: a spread below it is none
NOBODY = "no images that both, and people, answered"
NO_GROUP = "fewer than three people answered the same images: no agreement of people with one another"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric in one experiment."""

    a: float
    b: float
    variance: Variance  # of their difference
    n: int  # images
    shapes: Mapping[str, float]  # what the images of each shape that other experiments show too add to the difference


@dataclass(frozen=True, kw_only=True)
class SharedAnswers:
    """Answers to the images of an experiment's kept conditions that the first observer answered: [n, observers]."""

    right: Array
    present: Array  # whether the observer saw the image
    condition: Array  # [n] numbers
    factors: tuple[Array, ...]  # components that images share, [n] each
    shape: Array  # [n], "" if unknown
    groups: Sequence[tuple[Array, Array]]  # images [n] bool, and the columns of people who saw them
    persons: Array  # all columns of people


def compare_pair(a: Trials, b: Trials | None, references: Observers, experiments: Shown = BY_ROLE) -> list[Comparison]:
    """Return a minus b (None: people as a group) for each human metric, per experiment (condition: its role) and over
    those that both answered. Both are compared on their common images against the same people."""
    who, method = _sample(references)
    by_role: dict[str, dict[str, Difference]] = {}
    for role in roles_of(a, experiments):
        own, others = a.of(role), dict[str, Trials]()
        if b is not None:
            other = b.of(role)
            own, others = own.where(np.isin(own.keys, other.keys)), {OTHER: other.where(np.isin(other.keys, own.keys))}
        if len(own) and (answers := _shared(experiments[role], own, others, references)):
            found = {m: _difference(m, answers, 0, None if b is None else 1, who) for m in (*AGREEMENT, ACCURACY)}
            parts = {metric: each for metric, each in found.items() if each}
            by_role |= {role: parts} if len(parts) == len(found) else {}
    comparisons = []
    for metric in (*AGREEMENT, ACCURACY):
        if not by_role:
            comparisons.append(undecided(Comparison(metric=metric), NO_GROUP if b is None else NOBODY))
            continue
        # Of one experiment the mean is that experiment, and each one's accuracy is a metric of its own: one hypothesis.
        if len(by_role) > 1 and metric != ACCURACY:
            comparisons += [_tested(metric, role, [parts[metric]], method) for role, parts in by_role.items()]
        every = [own[metric] for own in by_role.values()]
        comparisons.append(_tested(metric, "", every, method, len(experiments)))
    return comparisons


def _sample(references: Observers) -> tuple[slice, str]:
    """Return the columns of people who are a sample, and the test's name: of simulated people none is."""
    return (slice(None), METHOD) if sampled(references) else (slice(1), FIXED)  # no spread of one person


def _shared(experiment: Experiment, own: Trials, others: Observers, people: Observers) -> SharedAnswers | None:
    """Return the answers of an observer, of others to the same images, and of the people who answered them all; of a
    partial experiment, of the people who saw any. None without people."""
    if experiment.partial:
        shown = [part for name in sorted(people) if len(part := people[name].of(experiment.role))]
        matched = match([own, *others.values(), *shown], every=False)
        rows = matched.present[:, 0] & (experiment.single | np.isin(matched.condition, experiment.averaged))
        right, present, condition, stimulus = (
            column[rows] for column in (matched.right, matched.present, matched.condition, matched.stimulus)
        )
    else:
        answers = answers_of(experiment, "", own, {**people, **others})
        if not answers.kept or not others.keys() <= {*answers.observers}:
            return None
        places = [answers.observers.index(name) for name in ("", *others)]
        places += [at for at in range(len(answers.observers)) if at not in places]
        right = np.concatenate([part.right for part in answers.kept])[:, places]
        condition = np.repeat([part.condition for part in answers.kept], [len(part.right) for part in answers.kept])
        present, stimulus = np.ones_like(right), np.concatenate([part.stimuli for part in answers.kept])
    patterns, at = np.unique(present[:, 1 + len(others) :], axis=1, return_inverse=True)
    groups = [(seen, np.flatnonzero(at == i) + 1 + len(others)) for i, seen in enumerate(patterns.T) if seen.any()]
    if not groups:
        return None
    where = {pair: i for i, pair in enumerate(zip(own["condition"].tolist(), own["stimulus"].tolist(), strict=True))}
    index = [where[pair] for pair in zip(condition.tolist(), stimulus.tolist(), strict=True)]
    labels = Trials(columns={name: column[index] for name, column in own.columns.items()})
    return SharedAnswers(
        right=right, present=present, condition=np.unique(condition, return_inverse=True)[1],
        factors=tuple(shared_clusters(METRICS[0], labels).values()),
        shape=exemplars(labels).get(SHAPE, np.full(len(labels), "")),
        groups=groups, persons=np.sort(np.concatenate([group for _, group in groups])),
    )  # fmt: skip


def _with_people(metric: str, answers: SharedAnswers, one: int) -> tuple[Floats, Floats]:
    """Return an observer's mean over common conditions with each of k people (NaN: none), and images' part [n, k]."""
    values, adds = np.full(answers.right.shape[1], np.nan), np.zeros(answers.right.shape)
    for seen, group in answers.groups:
        both = seen & answers.present[:, one]
        conditions = [np.flatnonzero(both & (answers.condition == at)) for at in np.unique(answers.condition[both])]
        found = [with_each(metric, answers.right[rows, one], answers.right[np.ix_(rows, group)]) for rows in conditions]
        for rows, (_, share) in zip(conditions, found, strict=True):
            adds[np.ix_(rows, group)] = share / (len(rows) * len(found))
        values[group] = np.mean([value for value, _ in found], axis=0) if found else np.nan
    return values[answers.persons], adds[:, answers.persons]


def _among(metric: str, answers: SharedAnswers) -> tuple[float, Floats, Floats, Floats] | None:
    """Return the agreement of people with one another, and what images [n], images through people [n, k], and people
    [k] add to it; None where no pair is left without one."""
    k = len(answers.persons)
    pairs = [_with_people(metric, answers, one) for one in answers.persons]
    values, shares = np.stack([each for each, _ in pairs]), np.stack([adds for _, adds in pairs], axis=1)
    for one in range(k):  # nobody is a pair
        values[one, one], shares[:, one, one] = np.nan, 0.0
    sums, counts, through = np.nansum(values, axis=1), np.isfinite(values).sum(axis=1), shares.sum(axis=2)
    if (rest := counts.sum() / 2 - counts).min() <= 0:
        return None
    value, leverage = float(sums.sum() / counts.sum()), (k - 1) / rest  # the jackknife of a mean over pairs
    return value, through.sum(axis=1) / counts.sum(), through * leverage, (sums - counts * value) * leverage


def _difference(metric: str, answers: SharedAnswers, a: int, b: int | None, who: slice) -> Difference | None:
    """Return the difference of two observers (columns), or of one from people as a group (b None)."""
    n, k = len(answers.right), len(answers.persons)
    if metric == ACCURACY:
        own = answers.right[:, 0].astype(float)
        if b is not None:
            other, persons, each = answers.right[:, b].astype(float), np.zeros((n, k)), np.zeros(k)
        else:  # people's mean, of the images that each saw
            theirs, seen = (part[:, answers.persons].astype(float) for part in (answers.right, answers.present))
            each = theirs.sum(axis=0) / seen.sum(axis=0)
            persons = -(theirs - each) * seen / (seen.sum(axis=0) * k)
            other = each.mean() - n * persons.sum(axis=1)
        of_a, of_b = own.mean(), other.mean()
        images, people = ((own - of_a) - (other - of_b)) / n, -(each - each.mean()) / k
    else:
        each, adds = _with_people(metric, answers, a)
        if b is None:
            if (second := _among(metric, answers)) is None:
                return None
        else:
            theirs, through = _with_people(metric, answers, b)
            second = theirs.mean(), through.mean(axis=1), through, theirs - theirs.mean()
        of_a, (of_b, shares, through, gap) = each.mean(), second
        images, persons, people = adds.mean(axis=1) - shares, (adds - through) / k, (each - each.mean() - gap) / k
    shapes, at = np.unique(answers.shape, return_inverse=True)
    sums = dict(zip(shapes.tolist(), np.bincount(at, images, len(shapes)).tolist(), strict=True))
    return Difference(
        a=float(of_a), b=float(of_b), variance=crossed_variance(images, persons[:, who], people[who], answers.factors),
        n=n, shapes={name: total for name, total in sums.items() if name},
    )  # fmt: skip


def compare_all(
    networks: Observers, references: Observers, experiments: Shown = BY_ROLE
) -> list[tuple[str, str, Comparison]]:
    """Return (a, b, test of a minus b) of the error consistency of every two networks, like `compare_pair`. Experiments
    count if the two networks and people answered exactly the same images."""
    parts = defaultdict[tuple[str, str], list[Difference]](list)
    (who, method), of = _sample(references), len(experiments)
    for role, experiment in experiments.items():
        alike = defaultdict[str, dict[str, Trials]](dict)
        for name in sorted(networks):
            if answered(own := networks[name].of(role)):
                alike[digest_data(own.keys[own.by_key].tolist())][name] = own
        for group in alike.values():
            (_, first), *others = group.items()
            answers = _shared(experiment, first, dict(others), references)
            for (i, a), (j, b) in combinations(enumerate(group), 2):
                difference = answers and _difference(METRICS[0].name, answers, i, j, who)
                parts[a, b] += [difference] if difference else []
    return [(a, b, _tested(METRICS[0].name, "", own, method, of)) for (a, b), own in parts.items() if own]


def _tested(metric: str, role: str, parts: Sequence[Difference], method: str, of: int = 1) -> Comparison:
    """Test a difference, where it varies; of accuracy always, as every image, or cluster of them, is one answer."""
    a, b = (float(np.mean(values)) for values in zip(*((p.a, p.b) for p in parts), strict=True))
    gap = a - b
    start = Comparison(metric=metric, condition=role, a=a, b=b, difference=gap, n=sum(part.n for part in parts))
    start = start if role else replace(start, average="".join(coverage_flag(len(parts), of)))
    # Twice the covariances of all pairs of experiments that show images of the same shapes.
    total = 0.0
    for first, second in combinations(parts, 2):
        shared = first.shapes.keys() & second.shapes.keys()
        products = (first.shapes[name] * second.shapes[name] for name in sorted(shared))
        total += 2 * sum(products) * len(shared) / max(1, len(shared) - 1)
    variance = variance_of_mean([part.variance for part in parts], total)
    limit = 2.0 if metric == "error_consistency" else 1.0  # the largest difference of two values
    if sqrt(variance.value) > ROUNDING * limit:
        test = Studentised(
            difference=gap, se=sqrt(variance.value), df=variance.df, limit=limit, people=variance.people,
            crossed=variance.crossed,
        )  # fmt: skip
        return decided(start, test, method)
    if metric != ACCURACY or gap not in (-1.0, 0.0, 1.0):
        return undecided(start, "the difference does not vary over images")
    n = 1 + round(variance.df)
    return decided(start, Discordant(b=n * (gap > 0), c=n * (gap < 0), n=n), method)
