"""The public types of a plug-in: what a suite, a block, a trial table and a score are."""

from benchmark.contracts import (
    CHUNK,
    DISTRUST,
    Against,
    Array,
    Block,
    Direction,
    EarlyStop,
    Metric,
    Needs,
    Observer,
    ObserverKind,
    Plan,
    Policy,
    Presentation,
    Ratio,
    Score,
    Shelf,
    Stimuli,
    Suite,
    Transform,
    Trials,
    View,
)

__all__ = [
    "CHUNK", "DISTRUST", "Against", "Array", "Block", "Direction", "EarlyStop", "Metric",
    "Needs", "Observer", "ObserverKind", "Plan", "Policy", "Presentation", "Ratio", "Score",
    "Shelf", "Stimuli", "Suite", "Transform", "Trials", "View",
]  # fmt: skip
