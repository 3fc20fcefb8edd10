"""Configural shape: is an object named by its whole outline? (Baker and Elder 2022; docs/suites/configural.md)"""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.contracts import Block, Plan, Score, Shelf, Trials
from benchmark.contracts.declarations import declared_suite
from benchmark.stats import ratio_score
from benchmark.stats.ratios import correct, fall, share
from benchmark.stimuli.experiments import observe

ROLE = "silhouettes"
WHOLE = "whole"
COSTS = {"configural_sensitivity": "frankenstein", "fragmentation_cost": "fragmented", "inversion_cost": "inverted"}


def plan(_config: None, shelf: Shelf) -> Plan:
    """Return the silhouettes in every arrangement."""
    from benchmark.transforms.silhouette_cuts import ARRANGEMENTS, rearranged

    block = Block(stimuli=shelf.find(ROLE), presentation="whole", role=ROLE)
    return Plan(tuple(replace(block, condition=name, transform=rearranged(name)) for name in ARRANGEMENTS))


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Return the costs over all objects; the accuracy in each arrangement."""
    shown = trials.coded("condition").used if len(trials) else ()
    accuracy = CONFIGURAL.metric("silhouette_accuracy")
    return [
        *(ratio_score(CONFIGURAL.metric(name), trials) for name in COSTS),
        *(ratio_score(accuracy, trials, condition=name) for name in shown),
    ]


CONFIGURAL = declared_suite(
    "suites.cue_conflict", "configural",
    {**{name: fall(WHOLE, other, correct) for name, other in COSTS.items()}, "silhouette_accuracy": share(correct)},
    plan=plan, observe=observe, score=score,
)  # fmt: skip
