"""Right and wrong as a matrix, images x observers, one per condition: all pairs follow from one product.

The observer that is scored is column 0, the reference observers ("people") follow in the order of their names."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.stats.agreement import match
from benchmark.stats.clusters import Clusters
from benchmark.stimuli.catalogue import any_answer
from benchmark.stimuli.generated import shared_exemplars
from suites.human_comparison.experiments import BY_ROLE


@dataclass(frozen=True)
class ConditionAnswers:
    """One condition. kept: whether it enters the averages; right: [images, observers] bool, images in order of name;
    clusters: what the images are made of (shape, texture), [images] each, none where each stands for itself;
    stimuli: [images] names."""

    condition: str
    kept: bool
    right: NDArray[np.bool_]
    clusters: Clusters
    stimuli: Array


@dataclass(frozen=True)
class ExperimentAnswers:
    """One experiment: observers[0] is scored, observers[1:] are the people who saw all its images.

    left_out: how many people answered this experiment but not all of the images; reason: why there are no answers."""

    role: str
    observers: tuple[str, ...]
    conditions: tuple[ConditionAnswers, ...]
    left_out: int = 0
    reason: str = ""

    @property
    def kept(self) -> tuple[ConditionAnswers, ...]:
        """The conditions that enter the averages."""
        return tuple(part for part in self.conditions if part.kept)


def answers_of(role: str, name: str, trials: Trials, references: Mapping[str, Trials]) -> ExperimentAnswers:
    """The answers to one experiment. People take part with the images that the observer answered, all or none."""
    own, experiment = trials.of(role), BY_ROLE[role]
    others = {who: part for who in sorted(references) if answered(part := references[who].of(role))}
    keys = set(own.keys.tolist())
    inside = {who: part for who, part in others.items() if keys <= set(part.keys.tolist())}
    left_out = len(others) - len(inside)
    if not inside:
        reason = f"none of the {len(others)} people of '{role}' answered all of these images"
        if not others:
            reason = (
                f"no answers of people to these images of '{role}': people's are imported with "
                "`bench data fetch human-trials`, then `bench import trials`; other images cannot be compared; "
                "in the built-in world run simulated people, `bench run -m 'world-reader-*'`"
            )
        return ExperimentAnswers(role, (name,), (), left_out, reason)
    matched = match([own, *inside.values()])
    clusters = shared_exemplars(own, matched.stimulus, elsewhere=True)
    order = {condition: at for at, condition in enumerate(experiment.levels)}
    parts = []
    for condition in sorted(set(matched.condition.tolist()), key=lambda known: (order.get(known, len(order)), known)):
        at = matched.condition == condition
        kept = experiment.single or condition in experiment.kept
        made_of = {factor: column[at] for factor, column in clusters.items()}
        parts.append(ConditionAnswers(condition, kept, matched.right[at], made_of, matched.stimulus[at]))
    return ExperimentAnswers(role, (name, *inside), tuple(parts), left_out)


def answered(trials: Trials) -> bool:
    """Whether there is an answer among the trials: agreement with who never gave one says nothing."""
    return bool(len(trials)) and any_answer(trials["response"])
