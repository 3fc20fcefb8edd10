"""The type of a suite: a value with three functions and two optional ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.shown import Array, Block, Plan, Shelf
from benchmark.contracts.trials import Trials

if TYPE_CHECKING:
    import torch


Direction = Literal["higher", "lower", "none"]
DISTRUST = "trust: "  # prefix of flags that put the meaning of a number in doubt; `bench rank --flagged-last` uses it
#: Flags of observers whose answers do not depend on the images: boards do not rank them.
AT_CHANCE, ONE_ANSWER = f"{DISTRUST}answers at chance", f"{DISTRUST}one answer"
TOO_FEW = "too few images to tell its answers from chance"
IMAGES = "images"  # default of `Metric.over`: most intervals are over other images
_ROUNDING = 1e-9


def distrust_flags(flags: Iterable[str]) -> list[str]:
    """Select the flags that put the meaning of a number in doubt."""
    return [flag for flag in flags if flag.startswith(DISTRUST)]


def is_guessing(flags: Iterable[str]) -> bool:
    """Return whether flags say that answers do not depend on the images."""
    return any(flag.startswith((AT_CHANCE, ONE_ANSWER)) for flag in flags)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number with its uncertainty. An undefined `value` is None with a `reason` (never 0, never dropped)."""

    metric: str
    value: float | None
    reason: str = ""
    low: float | None = None  # bounds of the interval at `level`
    high: float | None = None
    level: float = 0.95
    method: str = ""  # method of the interval
    n: int = 0  # trials that count
    excluded: int = 0  # trials that do not count
    condition: str = ""
    role: str = ""  # role of the measured stimuli
    flags: tuple[str, ...] = ()  # short warnings


Ratio = Callable[[Trials], tuple[Array, Array]]
ClustersOf = Callable[[Trials], Mapping[str, Array]]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's definition, for tables and tests."""

    name: str
    title: str
    definition: str
    direction: Direction = "higher"
    role: str = ""  # the role whose trials it measures; "" for all
    headline: bool = False  # whether it ranks the board
    chance: float | None = None  # value of a uniform guesser
    shown: bool = True  # whether the suite's default table has a column for it
    #: Trials -> (numerator [n], denominator [n]), if value = sum(numerator) / sum(denominator) over the trials of
    #: `role`. Intervals, paired tests and rescoring derive from it.
    ratio: Ratio | None = None
    #: Factors that stimuli share -> level of each trial [n]; intervals are then over other shapes and textures. None:
    #: the label columns that end in "_exemplar" (`benchmark.stats.clusters`).
    clusters: ClustersOf | None = None
    #: The lowest and the highest possible value; intervals over people are kept within them.
    bounds: tuple[float, float] | None = None
    clean: bool = False  # whether it is accuracy on clean images, which a summary shows once for all suites
    #: Range of imported values if it differs from `bounds` (inf: unlimited); intervals are not limited to it.
    span: tuple[float, float] | None = None
    #: Whether a verdict on a new model also requires it, as agreement does not show how many answers are correct.
    guard: bool = False
    over: str = IMAGES  # what is sampled and thus the subject of intervals, unless `clusters` apply
    #: Condition of the scores of single experiments, one a role, if the value is their plain mean; otherwise "".
    parts: str = ""
    #: "shape" or "texture" if a higher value means more use of that cue; such metrics of all suites are compared.
    cue: str = ""
    plain: str = ""  # of a share: its value in 100 in plain words, after "People": "go by shape in {} of 100 conflicts"

    def own(self, trials: Trials) -> Trials:
        """Select the trials that it measures."""
        return trials.of(self.role) if self.role and len(trials) else trials

    def outside(self, value: float) -> str:
        """Return why this metric cannot have a value, in words; "" if it can."""
        low, high = self.span or self.bounds or (-inf, inf)
        if low - _ROUNDING <= value <= high + _ROUNDING:
            return ""
        ends = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}"
        return f"'{self.name}' is {value:g}; it is {ends}"


class View(Protocol):
    """One chunk of a block for a suite: at most CHUNK stimuli. Lazy fields are computed at most once, in device
    batches, and shared by all suites. A suite's own forward passes go in parts of `batch` images."""

    @property
    def block(self) -> Block:
        """The block of this chunk."""

    @property
    def index(self) -> NDArray[np.int64]:
        """Positions of the chunk in `block.stimuli`."""

    @property
    def batch(self) -> int:
        """How many images the device takes at once, found by tuning or given by the user."""

    @property
    def labels(self) -> Mapping[str, Array]:
        """Label columns of the chunk."""

    @property
    def seeds(self) -> NDArray[np.uint64]:
        """One seed per stimulus: never depends on batch size, order or subset."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the label space, in order."""

    @property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """outputs[c]: the columns of `logits` whose mean probability is that of `categories[c]`."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, categories] by the decision rule of the label space."""

    @property
    def responses(self) -> Array:
        """[n] str: the decided category. Near-ties were re-checked on the plain path."""

    @property
    def images(self) -> torch.Tensor:
        """NCHW float32 in [0,1] at the network's input, on the device."""

    @property
    def logits(self) -> torch.Tensor:
        """[n, classes] float32."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run the network on other images (attacks, gradients): NCHW in [0,1] -> float32 logits."""

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """Run `forward` without gradient on the network as loaded: float32, nothing folded or compiled."""

    def picture(self, position: int) -> torch.Tensor:
        """Return the image at any position of `block.stimuli`, [3, h, w] as in `images`, without the transform."""

    def mask(self, position: int) -> NDArray[np.bool_]:
        """Return the object mask at any position of `block.stimuli` at the network's input: [h, w] of `images`, with
        the same resize and crop by nearest neighbour. Raises MissingStimuli if the set has no masks."""

    def ignored(self, position: int) -> NDArray[np.bool_]:
        """Return the pixels that are neither object nor background, as `mask`; all false if the set names none."""

    def importance(self, position: int) -> NDArray[np.float32]:
        """Return the graded human map, as `mask` but bilinear. Raises MissingStimuli if the set has no such maps."""


Needs = Literal["decisions", "logits", "gradients"]
FigureKind = Literal["dots", "curve", "strip", "matrix", "path", "agreement", "gallery"]


@dataclass(frozen=True, kw_only=True)
class SuiteFigure:
    """A figure of a suite as plain data, drawn by the report for every board that has its scores."""

    #: "dots": `metrics` over all conditions, a panel for each, a row for each observer; "curve": the first metric
    #: against levels, a line for each network and a band for people; "strip": a row for each condition with a mark for
    #: each network and one for people; "path": the second metric against the first, a line for each network through its
    #: conditions, and one through a third and a fourth that all share; "matrix": a cell for each condition, coloured by
    #: the first metric; "agreement": error consistency of all pairs of observers, from their trials; "gallery":
    #: pictures kept by `bench plot gallery`.
    kind: FigureKind
    name: str  # stem of its files
    title: str
    caption: str = ""  # meaning of the numbers; n, intervals, stimuli and people are added
    metrics: tuple[str, ...] = ()
    #: Regular expression for the full name of a condition, with named groups. Groups other than `along` and `across`
    #: have a figure for each value ("1": without a part).
    conditions: str = "(?P<condition>.+)"
    along: str = "condition"  # group on the axis: levels of a curve, rows of a strip or matrix
    across: str = ""  # group of a matrix's columns, with a panel for each network; "": the networks are the columns
    order: tuple[str, ...] = ()  # order of the values on the axis, others follow; numbers need none
    #: Titles of the axis of conditions and of that of values; they and `title` may name groups in braces.
    axes: tuple[str, str] = ("", "")
    line: tuple[float, str] | None = None  # a dashed value, and its meaning
    source: str = ""  # the paper of the original figure

    def __post_init__(self) -> None:
        groups = re.compile(self.conditions).groupindex
        unknown = {self.along, self.across} - {"", *groups}
        if unknown or self.kind not in get_args(FigureKind):
            wrong = f"kind '{self.kind}'" if not unknown else f"no group {sorted(unknown)}"
            raise ValueError(f"figure '{self.name}': {wrong} (kinds: {get_args(FigureKind)})")


@dataclass(frozen=True, kw_only=True)
class Against:
    """Measures against other observers of the same stimuli (name -> trials): people, or the world's simulated ones."""

    #: Scores of one observer: (config, its trials, references).
    scores: Callable[[Any, Trials, Mapping[str, Trials]], Sequence[Score]]
    #: Scores of people as a group (name -> trials of each), if pooling their trials is not the measure.
    group: Callable[[Any, Mapping[str, Trials]], Sequence[Score]] | None = None
    #: Paired tests of two observers against the same references (`benchmark.stats.Comparison`), for metrics that are
    #: not ratios of sums: (a, b, references); b None: the references as a group.
    pair: Callable[[Trials, Trials | None, Mapping[str, Trials]], Sequence[Any]] | None = None
    #: The headline's test for every two observers: (name -> trials of each, references) -> (a, b, test).
    pairs: Callable[[Mapping[str, Trials], Mapping[str, Trials]], Sequence[tuple[str, str, Any]]] | None = None


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Sampling a condition only until its interval is narrow enough."""

    #: X -> the variant "NAME:within-X", whose intervals have a half-width of at most X.
    within: Callable[[float], Suite] | None = None
    #: Whether one block needs no further trials, (config, its trials so far); called after every stored chunk.
    settled: Callable[[Any, Trials], bool] | None = None
    #: Whether images may be shown in random order, and the headline is a mean over images of values in [0, 1].
    shuffle: bool = False


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A test suite: a frozen value with three plain functions."""

    name: str
    version: int  # raised whenever scores change
    summary: str
    needs: Needs  # what an observer must offer
    metrics: tuple[Metric, ...]
    plan: Callable[[Any, Shelf], Plan]
    observe: Callable[[Any, View], Mapping[str, Array]]
    score: Callable[[Any, Trials], Sequence[Score]]
    config: Any = None
    spaces: tuple[str, ...] = ("geirhos16", "world16")
    #: Category -> the classes of networks (WordNet ids or names) that stand for it, in an experiment's own label space.
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own_space: bool = False  # whether it also runs on sets labelled with a model's own classes
    #: Stimulus set name -> role, for trials of people and published networks.
    experiments: Mapping[str, str] = field(default_factory=dict)
    #: Whether people's answers to a part of an experiment's images count, for what both they and a network saw.
    partial: bool = False
    #: Trials [n] -> whether their condition enters an experiment's averages (None: all do).
    averaged: Callable[[Trials], Array] | None = None
    #: Role -> its undegraded condition where that has a name, on which answers must beat chance; None: images that
    #: networks were seen to fail on, which nobody has to beat.
    controls: Mapping[str, str | None] = field(default_factory=dict)
    against: Against | None = None
    #: An experiment that a user added (`benchmark.stimuli.experiments`) -> the suite of it; None: it cannot show it.
    of_experiment: Callable[[Any], Suite | None] | None = None
    #: Condition -> name: scores under it are not an observer's, but those of an edge map, a blob or noise on the same
    #: stimuli. They depend on the stimuli alone; boards show them as rows under the ranking.
    references: Mapping[str, str] = field(default_factory=dict)
    #: Forward passes that one trial costs, roughly (a backward counts two): for the estimates of a dry run.
    passes: float = 1.0
    #: Other protocols of this suite by name, each a whole suite called "NAME:VARIANT" with boards of its own.
    variants: Mapping[str, Suite] = field(default_factory=dict)
    stopping: EarlyStop = EarlyStop()
    #: Raised whenever the images that `plan` selects or the columns of `observe` change (a plug-in's files are compared
    #: instead).
    trial_version: int = 1
    #: [n] bool: trials under a condition that a recipe with these tags trains on: (tags, trials).
    seen: Callable[[Sequence[str], Trials], Array] | None = None

    figures: tuple[SuiteFigure, ...] = ()  # what the report draws of it; its headline where this is empty
    #: Another suite -> what is asked of the two headlines over networks: "does shape bias buy robustness?".
    questions: Mapping[str, str] = field(default_factory=dict)
    citations: tuple[str, ...] = ()  # publications of its definition: "Authors (year). Title. Venue. arXiv:1811.12231".

    @property
    def headline(self) -> Metric:
        """The metric that ranks."""
        return next(metric for metric in self.metrics if metric.headline)

    def metric(self, name: str) -> Metric:
        """Return the metric of that name. Raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name]
