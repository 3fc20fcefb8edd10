"""Two observers against the same people, or one against people as a group: differences of the human metrics, with the
difference in accuracy beside them. Images and people are both random samples (`benchmark.stats.clusters`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats import Comparison, shared_clusters
from benchmark.stats.agreement import Matched, expected_consistency, kappa_of, match
from benchmark.stats.clusters import Variance, crossed_variance, variance_of_mean
from benchmark.stats.comparisons import decided, undecided
from benchmark.stats.differences import Discordant, Studentised
from benchmark.stats.intervals import Floats
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.image_names import SHAPE, exemplars
from benchmark.stimuli.trial_tables import PEOPLE
from registry.files import digest_data
from suites.human_comparison.bootstrap import ExperimentAnswers, answered, answers_of
from suites.human_comparison.metrics import AGREEMENT, METRICS
from suites.human_comparison.score import coverage_flag, roles_of
from suites.human_comparison.shown_experiments import BY_ROLE, Shown


def with_each(metric: str, one: Array, others: Array) -> tuple[Floats, Floats]:
    """Return the values of one observer with each of k others [k], and n times the contribution of each image to
    them [n, k], which sum to 0 over images. one: [n], others: [n, k], bool: correct answers."""
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


#: The factors that images share (the level of each image, [n] each), and the shape of each [n], "" if unknown.
SharedImages = tuple[tuple[Array, ...], Array]
#: Values of the two, and what images [n], people through images [n, k], and people [k] add to the difference.
Additions = tuple[float, float, Floats, Floats, Floats]


def compare_pair(
    a: Trials, b: Trials | None, references: Mapping[str, Trials], experiments: Shown = BY_ROLE
) -> list[Comparison]:
    """Return a minus b for each human metric, per experiment (condition: its role) and over those that both
    answered, on their common images against the same people. b None: people as a group, whose value is the ceiling."""
    shown = [experiments[role] for role in roles_of(a, experiments)]
    by_role = {own.role: parts for own in shown if (parts := _differences(own, a, b, references))}
    method = METHOD if _sampled(references) else FIXED
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


def _sampled(references: Mapping[str, Trials]) -> bool:
    """Return whether the references are people, who could have been others."""
    return any(name.startswith(PEOPLE) for name in references)


def _differences(
    experiment: Experiment, a: Trials, b: Trials | None, references: Mapping[str, Trials]
) -> dict[str, Difference] | None:
    """Return metric -> difference; None where there is nothing to compare with."""
    own, sampled = a.of(experiment.role), slice(None) if _sampled(references) else slice(1)  # no spread of one person
    if b is not None:
        other = b.of(experiment.role)
        own, other = own.where(np.isin(own.keys, other.keys)), other.where(np.isin(other.keys, own.keys))
        references = {**references, OTHER: other}
    if not len(own):
        return None
    if experiment.partial:
        shown = [references[name].of(experiment.role) for name in sorted(references) if name != OTHER]
        return _on_own_images(experiment, own, b and other, [x for x in shown if len(x)], sampled)
    answers = answers_of(experiment, "", own, references)
    second = answers.observers.index(OTHER) if OTHER in answers.observers else None
    people = [i for i, name in enumerate(answers.observers) if i and name != OTHER]
    if not answers.kept or len(people) < (3 if b is None else 1) or (b is not None and second is None):
        return None
    right, images = [part.right for part in answers.kept], _images(own, answers)
    additions = {metric: [added(metric, part, second, people) for part in right] for metric in AGREEMENT}
    additions[ACCURACY] = [_added_accuracy(np.concatenate(right), second, people)]
    return {metric: _mean(parts, images, sampled) for metric, parts in additions.items()}


def _on_own_images(
    experiment: Experiment, own: Trials, other: Trials | None, people: Sequence[Trials], who: slice
) -> dict[str, Difference] | None:
    """Return metric -> difference of two observers who answered the same images, or of one from people (other: None),
    each person and pair of people on the images that they saw: means over conditions, then over people or pairs.
    None where nobody saw any, or one person is in every pair."""
    matched = match([own, *([] if other is None else [other]), *people], every=False)
    shown = matched.present[:, 0] & (experiment.single | np.isin(matched.condition, experiment.averaged))
    columns = {name: getattr(matched, name)[shown] for name in ("right", "present", "role", "condition", "stimulus")}
    answers = replace(matched, **columns)
    persons = [
        at for at in range(2 - (other is None), len(people) + 2 - (other is None)) if answers.present[:, at].any()
    ]
    labels = own.where(np.isin(own.keys, own.keys[own.by_key][shown[matched.present[:, 0]]]))
    images = _factors(Trials(columns={name: column[labels.by_key] for name, column in labels.columns.items()}))
    differences = {}
    for metric in (*AGREEMENT, ACCURACY) if persons else ():
        if metric == ACCURACY:
            parts = _added_accuracy(answers.right, None if other is None else 1, persons, answers.present)
        else:
            each, adds = _with_own(metric, answers, 0, persons)
            second = _among(metric, answers, persons) if other is None else _second(metric, answers, persons)
            if second is None:
                return None
            value, shares, through, gap = second
            k = len(persons)
            parts = each.mean(), value, adds.mean(axis=1) - shares, (adds - through) / k, (each - each.mean() - gap) / k
        differences[metric] = _mean([parts], images, who)
    return differences or None


def _with_own(metric: str, answers: Matched, one: int, others: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the value of one observer with each of k others on the images that both saw, NaN without any, and what
    each image adds to it [n, k]."""
    values, adds = np.full(len(others), np.nan), np.zeros((len(answers.right), len(others)))
    for at, second in enumerate(others):
        both = answers.present[:, one] & answers.present[:, second]
        rows = [np.flatnonzero(both & (answers.condition == name)) for name in np.unique(answers.condition[both])]
        found = [with_each(metric, answers.right[own, one], answers.right[own][:, [second]]) for own in rows]
        values[at] = np.mean([value[0] for value, _ in found]) if found else np.nan
        for own, (_, share) in zip(rows, found, strict=True):
            adds[own, at] = share[:, 0] / (len(own) * len(rows))
    return values, adds


#: The value of the second, what images [n], images through persons [n, k], and people [k] add to it.
Second = tuple[float, Floats, Floats, Floats]


def _second(metric: str, answers: Matched, persons: Sequence[int]) -> Second:
    """Return the agreement of the second observer with people."""
    each, adds = _with_own(metric, answers, 1, persons)
    return float(each.mean()), adds.mean(axis=1), adds, each - each.mean()


def _among(metric: str, answers: Matched, persons: Sequence[int]) -> Second | None:
    """Return the agreement of people with one another; None where no pair is left without one of them."""
    k = len(persons)
    pairs = [_with_own(metric, answers, at, [other for other in persons if other != at]) for at in persons]
    sums, counts = (np.array([by(values) for values, _ in pairs]) for by in (np.nansum, lambda x: np.isfinite(x).sum()))
    shares = np.stack([adds.sum(axis=1) for _, adds in pairs], axis=1)
    if (rest := counts.sum() / 2 - counts).min() <= 0:
        return None
    value, leverage = float(sums.sum() / counts.sum()), (k - 1) / rest  # the jackknife of a mean over pairs
    return value, shares.sum(axis=1) / counts.sum(), shares * leverage, (sums - counts * value) * leverage


def compare_all(
    networks: Mapping[str, Trials], references: Mapping[str, Trials], experiments: Shown = BY_ROLE
) -> list[tuple[str, str, Comparison]]:
    """Return (a, b, test of a minus b) of the error consistency of every two networks, like `compare_pair`, over the
    experiments in which they and people answered exactly the same images."""
    parts: dict[tuple[str, str], list[Difference]] = {}
    sampled = slice(None) if _sampled(references) else slice(1)
    for role, experiment in experiments.items():
        for a, b in combinations(sorted(networks), 2) if experiment.partial else ():
            if (one := _differences(experiment, networks[a], networks[b], references)) is not None:
                parts.setdefault((a, b), []).append(one[METRICS[0].name])
        alike: dict[str, list[str]] = {}
        for name in sorted(networks):
            if answered(own := networks[name].of(role)):
                alike.setdefault(digest_data(own.keys[own.by_key].tolist()), []).append(name)
        for names in alike.values():
            own = networks[names[0]].of(role)
            answers = answers_of(
                experiment, names[0], own, {**references, **{name: networks[name] for name in names[1:]}}
            )
            place = {name: at for at, name in enumerate(answers.observers)}
            people = [at for name, at in place.items() if name in references]
            if not people or not answers.kept:
                continue
            images, order = _images(own, answers), range(2, 2 + len(people))
            for a, b in combinations(names, 2):
                both = [part.right[:, [place[a], place[b], *people]] for part in answers.kept]
                additions = [added(METRICS[0].name, right, 1, list(order)) for right in both]
                parts.setdefault((a, b), []).append(_mean(additions, images, sampled))
    method = METHOD if _sampled(references) else FIXED
    of = len(experiments)
    return [(a, b, _tested(METRICS[0].name, "", own, method, of)) for (a, b), own in parts.items()]


def _images(own: Trials, answers: ExperimentAnswers) -> SharedImages:
    """Return the shared components of the images of the kept conditions, in the order of the answers."""
    parts = []
    for part in answers.kept:
        shown = own.where((own["condition"] == part.condition) & np.isin(own["stimulus"], part.stimuli))
        order = np.argsort(shown["stimulus"], kind="stable")
        parts.append({name: column[order] for name, column in shown.columns.items()})
    return _factors(Trials(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]}))


def _factors(labels: Trials) -> SharedImages:
    shapes = exemplars(labels).get(SHAPE, np.full(len(labels), ""))
    return tuple(shared_clusters(METRICS[0], labels).values()), shapes


def _mean(parts: Sequence[Additions], shared: SharedImages, who: slice) -> Difference:
    """Return the mean over the kept conditions; of accuracy over their images."""
    of_a, of_b, of_images, of_persons, of_people = zip(*parts, strict=True)
    factors, shape = shared
    images, persons = (np.concatenate(each) / len(parts) for each in (of_images, of_persons))
    spread = np.mean(of_people, axis=0)
    variance = crossed_variance(images, persons[:, who], spread[who], factors)
    a, b = float(np.mean(of_a)), float(np.mean(of_b))
    shapes, at = np.unique(shape, return_inverse=True)
    sums = dict(zip(shapes.tolist(), np.bincount(at, images, len(shapes)).tolist(), strict=True))
    known = {name: total for name, total in sums.items() if name}
    return Difference(a=a, b=b, variance=variance, n=len(images), shapes=known)


def _added_accuracy(right: Array, second: int | None, people: list[int], saw: Array | None = None) -> Additions:
    """Return as `added`, of accuracy; second None: people's mean, each person's on the images that they saw."""
    n, k = len(right), len(people)
    own = right[:, 0].astype(float)
    if second is not None:
        other, persons, each = right[:, second].astype(float), np.zeros((n, k)), np.zeros(k)
    else:
        theirs, seen = right[:, people].astype(float), np.ones((n, k)) if saw is None else saw[:, people]
        each = theirs.sum(axis=0) / seen.sum(axis=0)
        persons = -(theirs - each) * seen / (seen.sum(axis=0) * k)
        other = theirs.mean(axis=1) if saw is None else each.mean() - n * persons.sum(axis=1)
    a, b = float(own.mean()), float(other.mean())
    return a, b, ((own - a) - (other - b)) / n, persons, -(each - each.mean()) / k


def added(metric: str, right: Array, second: int | None, people: list[int]) -> Additions:
    """Return what one condition adds; right: [n, observers], a first. second: the column of b, None for people."""
    n, k = len(right), len(people)
    each, adds = with_each(metric, right[:, 0], right[:, people])
    if second is not None:
        other, theirs = with_each(metric, right[:, second], right[:, people])
        persons = (adds - theirs) / (n * k)
        gap = each - other
        return each.mean(), other.mean(), persons.sum(axis=1), persons, (gap - gap.mean()) / k
    crowd, pairs, between = right[:, people], np.zeros((k, k)), np.zeros((n, k, k))  # nothing on the diagonal
    for i in range(k):
        pairs[i], between[:, i] = with_each(metric, crowd[:, i], crowd)
        pairs[i, i], between[:, i, i] = 0.0, 0.0
    own, ceiling = pairs.sum(axis=1) / (k - 1), pairs.sum() / (k * (k - 1))
    through = between.sum(axis=2) / (k - 1)
    images = (adds.mean(axis=1) - through.mean(axis=1)) / n
    twice = 2 * (k - 1) / (k - 2)  # a person is in two of k pairs' ends; k - 2: jackknife of a mean over pairs
    spread = (each - each.mean() - twice * (own - ceiling)) / k
    return each.mean(), float(ceiling), images, (adds - twice * through) / (n * k), spread


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
