"""What a suite is: a value with three functions, and two optional ones beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark.contracts.answers import Trials
from benchmark.contracts.measures import Metric, Score
from benchmark.contracts.shown import Array, Plan, Shelf
from benchmark.contracts.view import View

Needs = Literal["decisions", "logits", "gradients"]


@dataclass(frozen=True)
class Against:
    """Measures against other observers that answered the same stimuli: people; in the built-in world
    simulated people. Each takes name -> trials of the references, never with the observer itself.

    scores: of one observer, (config, its trials, references); group: of people as a group (name -> trials of
    each), where pooling their trials is not the measure; pair: paired tests of two observers against the same
    references (`benchmark.stats.Comparison`), where a metric is no ratio of sums: (a, b, references); b None: the
    references as a group.
    """

    scores: Callable[[Any, Trials, Mapping[str, Trials]], Sequence[Score]]
    group: Callable[[Any, Mapping[str, Trials]], Sequence[Score]] | None = None
    pair: Callable[[Trials, Trials | None, Mapping[str, Trials]], Sequence[Any]] | None = None


@dataclass(frozen=True)
class EarlyStop:
    """Sampling a condition only until its interval is narrow enough.

    within: X -> the variant "NAME:within-X", whose intervals end at most +-X wide; settled: whether one block needs no
    further trials, (config, its trials so far), asked after every stored chunk; shuffle: whether the headline is a mean
    over images of values in [0, 1] and the plan's images may come in random order, so that two networks are compared
    only as far as the answer needs.
    """

    within: Callable[[float], Suite] | None = None
    settled: Callable[[Any, Trials], bool] | None = None
    shuffle: bool = False


@dataclass(frozen=True)
class Suite:
    """A test suite: a frozen value with three plain functions.

    version: raised whenever scores change; trial_version: raised whenever what `plan` shows or `observe` keeps changes
    (of a plug-in its files say that by themselves); needs: what an observer must offer; experiments: names under which
    published trial tables carry this suite's stimuli, each mapped to (set name, role).
    """

    name: str
    version: int
    summary: str
    needs: Needs
    metrics: tuple[Metric, ...]
    plan: Callable[[Any, Shelf], Plan]
    observe: Callable[[Any, View], Mapping[str, Array]]
    score: Callable[[Any, Trials], Sequence[Score]]
    config: Any = None
    spaces: tuple[str, ...] = ("geirhos16", "world16")
    own_space: bool = False
    """Whether it also runs on a set that is labelled in a model's own classes."""
    experiments: Mapping[str, str] = field(default_factory=dict)
    """Stimulus set name -> role, for trials of people and published networks."""
    against: Against | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    """Condition -> name: scores under it are no observer's own but what an edge map, a blob or noise gets on the same
    stimuli. They depend on the stimuli alone; boards show them as rows under the ranking."""
    passes: float = 1.0
    """Forward passes that one trial costs, roughly (a backward counts two): for the estimates of a dry run."""
    variants: Mapping[str, Suite] = field(default_factory=dict)
    """Other protocols of this suite by name, each a whole suite called "NAME:VARIANT" with boards of its own."""
    stopping: EarlyStop = EarlyStop()
    trial_version: int = 1
    seen: Callable[[Sequence[str], Trials], Array] | None = None
    """[n] bool: trials under a condition that a recipe with these tags trains on: (tags, trials)."""

    @property
    def headline(self) -> Metric:
        """The metric that ranks."""
        return next(metric for metric in self.metrics if metric.headline)

    def metric(self, name: str) -> Metric:
        """The metric of that name (KeyError where there is none)."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"suite '{self.name}' has no metric '{name}'")
