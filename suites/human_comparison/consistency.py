"""Right and wrong as a matrix, images x observers, one per condition: all pairs follow from one product.

The observer that is scored is column 0, the reference observers ("people") follow in the order of their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Trials
from benchmark.stats.agreement import match
from benchmark.stats.clusters import Clusters
from benchmark.stimuli.catalogue import any_answer
from benchmark.stimuli.generated import shared_exemplars
from suites.human_comparison.experiments import BY_ROLE


@dataclass(frozen=True)
class Table:
    """One condition: right [images, observers] bool, images in order of name; stimuli: those names.

    clusters: what the images are made of (shape, texture), [images] each; none where each stands for itself.
    """

    condition: str
    kept: bool
    right: NDArray[np.bool_]
    clusters: Clusters = field(default_factory=dict)
    stimuli: Array = field(default_factory=lambda: np.array([], dtype=str))


@dataclass(frozen=True)
class Tables:
    """One experiment: observers[0] is scored, observers[1:] are the people who saw all its images.

    left_out: people who answered this experiment but not all of the images; reason: why there is no table.
    """

    role: str
    observers: tuple[str, ...]
    tables: tuple[Table, ...]
    left_out: tuple[str, ...] = ()
    reason: str = ""


def tabulate(role: str, name: str, trials: Trials, references: Mapping[str, Trials]) -> Tables:
    """The tables of one experiment. People take part with the images that the observer answered, all or none."""
    mine = trials.of(role)
    others = {who: part for who in sorted(references) if answered(part := references[who].of(role))}
    shown = mine.keys[mine.by_key]
    inside = tuple(who for who, part in others.items() if _within(shown, part.keys[part.by_key]))
    left_out = tuple(who for who in others if who not in inside)
    if not inside:
        return Tables(role, (name,), (), left_out, _nobody(role, others))
    matched = match([mine, *(others[who] for who in inside)])
    conditions = _ordered(role, np.unique(matched.condition).tolist())
    clusters = shared_exemplars(mine, matched.stimulus, elsewhere=True)
    tables = tuple(
        Table(
            name,
            _is_kept(role, name),
            matched.right[inside],
            {factor: column[inside] for factor, column in clusters.items()},
            matched.stimulus[inside],
        )
        for name in conditions
        for inside in [matched.condition == name]
    )
    return Tables(role, (name, *inside), tables, left_out)


def answered(trials: Trials) -> bool:
    """Whether there is an answer among the trials: agreement with who never gave one says nothing."""
    return bool(len(trials)) and any_answer(trials["response"])


def _within(shown: Array, answered: Array) -> bool:
    """Whether sorted keys are all among others; mostly they are the very same."""
    return np.array_equal(shown, answered) or bool(np.isin(shown, answered).all())


def common(a: Trials, b: Trials) -> tuple[Trials, Trials]:
    """Both on the (role, condition, stimulus) that both answered."""
    keys = (a.keys, b.keys)
    return a.where(np.isin(keys[0], keys[1])), b.where(np.isin(keys[1], keys[0]))


def _nobody(role: str, others: Mapping[str, Trials]) -> str:
    if others:
        return f"none of the {len(others)} people of '{role}' answered all of these images"
    return (
        f"no answers of people to these images of '{role}': people's are imported with "
        "`bench data fetch human-trials`, then `bench import trials`; other images cannot be compared; "
        "in the built-in world run simulated people, `bench run -m 'world-reader-*'`"
    )


def _is_kept(role: str, condition: str) -> bool:
    experiment = BY_ROLE[role]
    return experiment.single or condition in experiment.kept


def _ordered(role: str, conditions: Sequence[str]) -> list[str]:
    """In the experiment's order; unknown ones last."""
    order = {condition.name: i for i, condition in enumerate(BY_ROLE[role].conditions)}
    return sorted(conditions, key=lambda name: (order.get(name, len(order)), name))
