"""Configural shape: is an object named by its whole outline, or by parts that a wrong whole has as well? (Baker and
Elder 2022)

Definition, numbers and deviations: docs/suites/configural.md."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Ratio, Score, Shelf, Suite, Trials
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, share
from suites.cue_conflict.observe import observe

ROLE = "silhouettes"
WHOLE = "whole"
COSTS = {"configural_sensitivity": "frankenstein", "fragmentation_cost": "fragmented", "inversion_cost": "inverted"}


def plan(_config: None, shelf: Shelf) -> Plan:
    """Return the silhouettes in every arrangement."""
    from benchmark.transforms.configural import ARRANGEMENTS, rearranged

    stimuli = shelf.find(ROLE)
    return Plan(
        tuple(
            Block(stimuli=stimuli, condition=name, transform=rearranged(name), presentation="whole", role=ROLE)
            for name in ARRANGEMENTS
        )
    )


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Return the costs over all objects; the accuracy in each arrangement."""
    shown = trials.coded("condition").used if len(trials) else ()
    accuracy = METRICS[len(COSTS)]
    return [
        *(ratio_score(metric, trials) for metric in METRICS[: len(COSTS)]),
        *(ratio_score(accuracy, trials, condition=name) for name in shown),
    ]


def _fall(name: str) -> Ratio:
    """Accuracy on whole silhouettes less that on others, object by object."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        condition, right = trials["condition"], correct(trials)
        there = bool(np.isin([WHOLE, name], condition).all())
        whole = condition == WHOLE
        return (whole.astype(int) - (condition == name)) * right * there, whole & there

    return ratio


_metric = partial(Metric, role=ROLE)
METRICS = (
    *(
        _metric(
            name=name,
            title=name.replace("_", " "),
            definition=f"accuracy on whole silhouettes - accuracy on {other} ones, object by object",
            direction="higher" if name == "configural_sensitivity" else "none",
            headline=name == "configural_sensitivity",
            cue="shape" if name == "configural_sensitivity" else "",
            ratio=_fall(other),
            span=(-1.0, 1.0),
        )
        for name, other in COSTS.items()
    ),
    _metric(
        name="silhouette_accuracy",
        title="accuracy",
        definition="right answers, by arrangement",
        chance=1 / 16,
        ratio=share(correct),
        shown=False,
    ),
)

CONFIGURAL = Suite(
    name="cue-conflict:configural",
    version=1,
    summary="Configural shape: whole, fragmented, Frankenstein and inverted silhouettes (Baker and Elder 2022)",
    needs="logits",  # an ideal observer reads labels, which no cut changes
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
)
