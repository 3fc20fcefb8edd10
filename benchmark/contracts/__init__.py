"""The public types. `Suite.plan` returns blocks, and the engine shows each to each observer. `Suite.observe` turns one
batch (a `View`) into columns per trial, which the store keeps. `Suite.score` turns stored `Trials` into `Score`s.
`plan` and `score` are pure. Only `observe` uses a model."""

from benchmark.contracts.shown import CHUNK, Array, Block, OtherNetwork, Plan, Presentation, Shelf, Stimuli, Transform
from benchmark.contracts.suite import (
    DISTRUST,
    Against,
    ClustersOf,
    Direction,
    EarlyStop,
    Metric,
    Needs,
    Ratio,
    Score,
    Suite,
    SuiteFigure,
    View,
    distrust_flags,
)
from benchmark.contracts.trials import Coded, Observer, ObserverKind, Policy, Trials

__all__ = [
    "CHUNK", "DISTRUST", "Against", "Array", "Block", "ClustersOf", "Coded", "Direction", "EarlyStop", "Metric",
    "Needs", "Observer", "ObserverKind", "OtherNetwork", "Plan", "Policy", "Presentation", "Ratio", "Score",
    "Shelf", "Stimuli", "Suite", "SuiteFigure", "Transform", "Trials", "View", "distrust_flags",
]  # fmt: skip
