"""Resample images within conditions and people within experiments, for all pairs of observers at once. Row 0 of every
array is the sample, rows 1..B are the resamples. docs/statistics.md has the methods."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.stats import agreement
from benchmark.stats.clusters import Clusters
from benchmark.stats.intervals import Floats, percentiles
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.image_names import SHAPE, any_answer, shared_exemplars
from benchmark.stimuli.trial_tables import PEOPLE
from suites.human_comparison.shown_experiments import Observers

# Right and wrong as a matrix, images x observers, one per condition: all pairs follow from one product. The observer
# that is scored is column 0, the reference observers ("people") follow in the order of their names.


@dataclass(frozen=True, kw_only=True)
class ConditionAnswers:
    """One condition."""

    condition: str
    kept: bool  # whether it enters the averages
    right: NDArray[np.bool_]  # [images, observers], images in order of name
    clusters: Clusters  # components of the images (shape, texture), [images] each, none without shared ones
    stimuli: Array  # [images] names


@dataclass(frozen=True, kw_only=True)
class ExperimentAnswers:
    """One experiment."""

    role: str
    observers: tuple[str, ...]  # the scored one, then the people who saw all its images
    conditions: tuple[ConditionAnswers, ...] = ()
    left_out: int = 0  # people who answered this experiment but not all of the images
    unseen: int = 0  # images that no person answered, which are not compared
    reason: str = ""  # for missing answers

    @property
    def kept(self) -> tuple[ConditionAnswers, ...]:
        """The conditions that enter the averages."""
        return tuple(part for part in self.conditions if part.kept)

    @property
    def n(self) -> int:
        """How many images they have."""
        return sum(len(part.right) for part in self.kept)


def answers_of(experiment: Experiment, name: str, trials: Trials, references: Observers) -> ExperimentAnswers:
    """Return the answers to one experiment, with the people who answered all images that the observer answered. Of an
    added experiment, images that people were not shown are left out."""
    role, own = experiment.role, trials.of(experiment.role)
    others = {who: part for who in sorted(references) if answered(part := references[who].of(role))}
    keys, known = set(own.keys.tolist()), {who: set(part.keys.tolist()) for who, part in others.items()}
    seen = [images for who, images in known.items() if who.startswith(PEOPLE)]
    every = set().union(*seen)  # if people saw different images, an image that one did not see is no extra one
    shown = keys & every if experiment.file and every in seen and keys & every else keys
    inside = {who: part for who, part in others.items() if shown <= known[who]}
    start = ExperimentAnswers(
        role=role, observers=(name, *inside), left_out=len(others) - len(inside), unseen=len(keys) - len(shown)
    )
    if not inside:
        reason = f"none of the {len(others)} people of '{role}' answered all of these images"
        return replace(start, reason=reason if others else NEEDS_PEOPLE)
    matched = agreement.match([own, *inside.values()])
    clusters = shared_exemplars(own, matched.stimulus, elsewhere=True)
    order, parts = {condition: at for at, condition in enumerate(experiment.levels)}, []
    for condition in sorted(set(matched.condition.tolist()), key=lambda name: (order.get(name, len(order)), name)):
        at = matched.condition == condition
        answers = ConditionAnswers(
            condition=condition, kept=experiment.single or condition in experiment.averaged, right=matched.right[at],
            clusters={factor: column[at] for factor, column in clusters.items()}, stimuli=matched.stimulus[at],
        )  # fmt: skip
        parts.append(answers)
    return replace(start, conditions=tuple(parts))


def answered(trials: Trials) -> bool:
    """Return whether the trials contain an answer: agreement with an observer without answers is meaningless."""
    return bool(len(trials)) and any_answer(trials["response"])


def sampled(observers: Iterable[str]) -> bool:
    """Return whether there are people among the observers, who could have been others."""
    return any(name.startswith(PEOPLE) for name in observers)


NEEDS_PEOPLE = (
    "no answers of people to these images: `bench data fetch human-trials`, then `bench import trials`; "
    "in the built-in world `bench run -m 'world-reader-*'`"
)
RESAMPLES = 1000
FEW_IMAGES = 5


#: Resampled people: standard normal effects [1 + B, k], 0 in the sample; k - 1 over a chi squared of k - 1 degrees of
#: freedom [1 + B], 1 in the sample; and B quantiles of Student's t in equal steps of probability.
Crowd = tuple[Floats, Floats, Floats]


@dataclass(frozen=True, kw_only=True)
class ExperimentDraws:
    """One experiment under resampling."""

    pairs: Mapping[str, Mapping[str, Floats]]  # condition -> metric -> [1 + B, k, k], all pairs of observers
    accuracy: Mapping[str, Floats]  # condition -> [1 + B, k]
    people: Crowd  # the reference observers
    kept: tuple[str, ...]  # conditions that enter the averages

    def mean(self, metric: str) -> Floats:
        """Return the mean over the kept conditions, [1 + B, k, k] (there must be one)."""
        return np.asarray(np.mean([self.pairs[name][metric] for name in self.kept], axis=0))


def draw(answers: ExperimentAnswers, resamples: int = RESAMPLES) -> ExperimentDraws:
    """Return all pairs of observers of one experiment, in the sample and in `resamples` resamples."""
    pairs, accuracy = {}, {}
    for part in answers.conditions:
        rng = np.random.default_rng([0, _number(answers.role), _number(part.condition)])
        if part.clusters:
            patterns, weights = part.right, crossed_weights(part.clusters, resamples, rng)
        else:
            patterns, counts = np.unique(part.right, axis=0, return_counts=True)
            weights = np.vstack([counts, rng.standard_gamma(counts, size=(resamples, len(counts)))])
        k, n = patterns.shape[1], weights.sum(axis=1)
        same = (patterns[:, :, None] == patterns[:, None, :]).reshape(len(patterns), k * k)
        agree = (weights @ same.astype(np.float64)).reshape(-1, k, k)
        correct = weights @ patterns.astype(np.float64)
        p = correct / n[:, None]
        accuracy[part.condition] = p
        pairs[part.condition] = {
            **_kappas(agree, correct, n, rng),
            "observed_consistency": agree / n[:, None, None],
            "accuracy_difference": (p[:, :, None] - p[:, None, :]) ** 2,
        }
    people, kept = draw_people(answers.role, len(answers.observers) - 1, resamples), answers.kept
    return ExperimentDraws(pairs=pairs, accuracy=accuracy, people=people, kept=tuple(part.condition for part in kept))


def draw_people(role: str, count: int, resamples: int = RESAMPLES) -> Crowd:
    """Draw `count` >= 1 people."""
    from scipy.special import stdtrit

    rng = np.random.default_rng([0, _number(role), _number("people")])
    effects, inverse = rng.standard_normal((1 + resamples, count)), np.ones(1 + resamples)
    effects[0] = 0
    if count > 1:
        inverse[1:] = (count - 1) / rng.chisquare(count - 1, resamples)
    return effects, inverse, np.asarray(stdtrit(count - 1, (np.arange(resamples) + 0.5) / resamples))


def mean_of_people(values: Floats, people: Crowd) -> Floats:
    """Return the mean over people of a value for each, [1 + B, k] under weights of images -> [1 + B], people drawn."""
    k, centre = values.shape[1], values.mean(axis=1)
    apart = values - centre[:, None]
    spread, noise = float((apart[0] ** 2).sum()), float(apart[1:].var(axis=0).sum())
    if k < 2 or spread == 0:
        return np.asarray(centre)
    effects, inverse, tails = people
    drawn = (effects @ apart[0]) * np.sqrt(inverse)
    # Student's t in the drawn order: the tails of a few people are too long for the ends of a thousand draws.
    drawn[1:][np.argsort(drawn[1:])] = tails
    real = np.sqrt(np.maximum(0.0, 1 - noise / (spread * inverse)))
    return np.asarray(centre + drawn * real * np.sqrt(spread / (k * (k - 1))))


def pairs_among(pairs: Floats, people: Crowd) -> Floats:
    """Return the mean over pairs of different people: [1 + B, h, h] -> [1 + B]; NaN if h = 1. A person contributes
    2 (h - 1) / (h - 2) times the distance of their pairs from the mean: the jackknife of a mean over pairs."""
    h = pairs.shape[1]
    if h < 2:
        return np.full(len(pairs), np.nan)
    own = np.where(np.eye(h, dtype=bool), 0.0, pairs).sum(axis=2) / (h - 1)
    centre = own.mean(axis=1, keepdims=True)
    if h == 2:
        return np.asarray(centre[:, 0])
    return mean_of_people(centre + 2 * (h - 1) / (h - 2) * (own - centre), people)


def accuracy_draws(role: str, right: Array, condition: Array, clusters: Clusters) -> Floats:
    """Return the accuracy of an experiment over its images [n], resampled within conditions: [1 + B]. clusters:
    components of the images ([n] each; then of one condition), which are resampled."""
    rng = np.random.default_rng([0, _number(role), _number("accuracy")])
    if clusters:
        weights = crossed_weights(clusters, RESAMPLES, rng)
        return np.asarray(weights @ right / weights.sum(axis=1))
    names, at = np.unique(condition, return_inverse=True)
    n = np.bincount(at)
    hits = np.bincount(at, right, len(names))
    drawn = rng.binomial(n, hits / n, size=(RESAMPLES, len(n))).sum(axis=1)
    return np.asarray(np.concatenate([[hits.sum()], drawn]) / n.sum())


def interval(draws: Floats, level: float = 0.95, *, centred: bool = False) -> tuple[float, float] | None:
    """Return the percentile interval of `draws` [1 + B], widened if needed to hold its value draws[0]. centred:
    resamples are first shifted by the distance of their mean from the value."""
    value, resamples = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    if not len(resamples) or np.ptp(resamples) == 0:
        return None
    if centred:
        resamples = resamples - resamples.mean() + value
    low, high = percentiles(resamples, level)
    return min(low, value), max(high, value)


def _kappas(agree: Floats, correct: Floats, n: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Return the kappa and related measures of all pairs [1 + B, k, k]. The arguments are weights of images: those on
    which both agree [1 + B, k, k], on which each is correct [1 + B, k], and of all images [1 + B]."""
    own, other, whole = correct[:, :, None], correct[:, None, :], n[:, None, None]
    # Twice the images on which both are right, neither, the first alone, the second alone.
    cells = (
        agree + own + other - whole,
        agree - own - other + whole,
        whole - agree + (own - other),
        whole - agree - (own - other),
    )
    few = np.min([cell[0] for cell in cells], axis=0) < 2 * FEW_IMAGES
    # Random weights of mean one half (Gamma of shape one half), the same for all pairs: what two observers share then
    # cancels in their difference. Nothing is added to the sample itself.
    drawn = rng.standard_gamma(0.5, size=(4, len(agree), 1, 1))
    drawn[:, 0] = 0
    upper = np.triu(np.ones(few.shape), 1)
    both, neither, first = drawn[0] * few, drawn[1] * few, (drawn[2] * upper + drawn[3] * upper.T) * few
    total = whole + both + neither + first + first.transpose(0, 2, 1)
    p, observed = (own + both + first) / total, (agree + both + neither) / total
    q = p.transpose(0, 2, 1)
    kappa, better = agreement.kappa_of(observed, agreement.expected_consistency(p, q)), p[:1] >= q[:1]
    least, most = agreement.attainable(p, q)
    return {
        "error_consistency": kappa,
        "unbiased_consistency": agreement.unbiased_kappa(kappa, whole[:1]),
        "lowest_consistency": least,
        "highest_consistency": most,
        "copy_probability": agreement.copy_probability(np.where(better, p, q), np.where(better, q, p), observed),
    }


def crossed_weights(clusters: Clusters, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the weights of images in sample and resamples, [1 + B, n]: the product of their components' weights."""
    weights = np.ones((1 + resamples, len(next(iter(clusters.values())))))
    for name, column in clusters.items():
        levels, at = np.unique(column, return_inverse=True)
        if name == SHAPE:  # equal in all experiments and for all observers
            own = (np.random.default_rng([_number(SHAPE), _number(level)]) for level in levels.tolist())
            drawn = np.column_stack([shape.standard_exponential(resamples) for shape in own])
        else:
            drawn = rng.standard_exponential((resamples, len(levels)))
        weights[1:] *= drawn.take(at.reshape(-1), axis=1)
    return weights


def _number(text: str) -> int:
    return zlib.crc32(text.encode())
