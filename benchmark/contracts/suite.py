"""What a suite is: a value with three functions, and two optional ones beside them."""

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
#: A flag that begins so says that the number may not mean what it says: `bench rank --flagged-last` heeds it.
DISTRUST = "trust: "
#: What most intervals are about others of.
IMAGES = "images"
_ROUNDING = 1e-9


def distrust_flags(flags: Iterable[str]) -> list[str]:
    """Those of the flags that say that a number may not mean what it says."""
    return [flag for flag in flags if flag.startswith(DISTRUST)]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number with its uncertainty. `value` None: undefined, and `reason` says why (never 0, never dropped).

    low, high: bounds of the interval at `level`; method: how the interval was made; n: trials that count; excluded:
    trials that do not; role: the stimulus role that it was measured on; flags: short warnings."""

    metric: str
    value: float | None
    reason: str = ""
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    n: int = 0
    excluded: int = 0
    condition: str = ""
    role: str = ""
    flags: tuple[str, ...] = ()


Ratio = Callable[[Trials], tuple[Array, Array]]
ClustersOf = Callable[[Trials], Mapping[str, Array]]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's definition, for tables and tests.

    ratio: where value = sum(numerator) / sum(denominator) over the trials of `role`: a function Trials -> (numerator
    [n], denominator [n]). Intervals, paired tests and rescoring derive from it. chance: what a uniform guesser gets;
    shown: whether the suite's default table has a column for it. clusters: what several stimuli share (factor -> level
    of each trial [n]): intervals are then about other shapes and textures. None: the label columns that end in
    "_exemplar" (`benchmark.stats.clusters`). bounds: the lowest and the highest value there is, where it has both:
    intervals over people stay within. span: the same where no interval is held to it (inf: no end; None: `bounds`);
    what is imported is held to either. clean: whether it is accuracy on images as they are: a summary shows it once for
    all suites. guard: whether a verdict on a new model looks at it beside the headline, as agreement alone says nothing
    of how many answers are right. over: what is sampled, so that its intervals are about others of it, unless stimuli
    share a part (`clusters`). parts: condition of the scores of single experiments, one a role, whose plain mean it
    is; "" where it is none. cue: "shape" or "texture" where more means that answers hang on it more: such metrics of
    all suites stand side by side ("which shape bias?")."""

    name: str
    title: str
    definition: str
    direction: Direction = "higher"
    role: str = ""
    headline: bool = False
    chance: float | None = None
    shown: bool = True
    ratio: Ratio | None = None
    clusters: ClustersOf | None = None
    bounds: tuple[float, float] | None = None
    clean: bool = False
    span: tuple[float, float] | None = None
    guard: bool = False
    over: str = IMAGES
    parts: str = ""
    cue: str = ""

    def own(self, trials: Trials) -> Trials:
        """The trials that it is measured on."""
        return trials.of(self.role) if self.role and len(trials) else trials

    def outside(self, value: float) -> str:
        """Why no value of this metric can be so, in words; "" where it can."""
        low, high = self.span or self.bounds or (-inf, inf)
        if low - _ROUNDING <= value <= high + _ROUNDING:
            return ""
        ends = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}"
        return f"'{self.name}' is {value:g}; it is {ends}"


class View(Protocol):
    """What a suite sees of one chunk: at most CHUNK stimuli. Lazy fields are computed at most once, in device batches,
    and shared by all suites. A suite's own forward passes go in parts of `batch` images."""

    @property
    def block(self) -> Block:
        """What is shown."""

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
        """Names of the decision space, in order."""

    @property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """outputs[c]: the columns of `logits` whose mean probability answers for `categories[c]`."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, categories] by the space's decision rule."""

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
        """The network on other images (attacks, gradients): NCHW in [0,1] -> float32 logits."""

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """As `forward`, without gradient, by the network as it was loaded: float32, nothing folded or compiled."""

    def picture(self, position: int) -> torch.Tensor:
        """The image at any position of `block.stimuli`, [3, h, w] as in `images`, without the block's transform."""

    def mask(self, position: int) -> NDArray[np.bool_]:
        """The object mask of any position of `block.stimuli` as the network's input shows it: [h, w] of `images`,
        through the same resize and crop with nearest neighbour. Raises MissingStimuli where the set has no masks."""

    def ignored(self, position: int) -> NDArray[np.bool_]:
        """The pixels that are neither object nor background, as `mask`; none where the set names none."""

    def importance(self, position: int) -> NDArray[np.float32]:
        """The graded human map, as `mask` but bilinear. Raises MissingStimuli where the set has no such maps."""


Needs = Literal["decisions", "logits", "gradients"]
FigureKind = Literal["dots", "curve", "strip", "matrix", "path", "agreement", "gallery"]


@dataclass(frozen=True, kw_only=True)
class SuiteFigure:
    """A figure of a suite as plain data: the report draws it for every board that has its scores.

    kind: "dots": `metrics` over all conditions, a panel for each, a row for each observer; "curve": the first metric
    against levels, a line for each network and a band for people; "strip": a row for each condition, in it a mark for
    each network and one for people; "path": the second metric against the first, a line for each network through its
    conditions, and one through a third and a fourth that all share; "matrix": a cell for each condition, coloured by
    the first metric; "agreement": error consistency of all pairs of observers, from their trials; "gallery": pictures
    kept by `bench plot gallery`.
    name: what its files are called; caption: what the numbers are (n, intervals, stimuli and people are added); source:
    the paper that it is after. conditions: a regular expression for the whole name of a condition, with named groups.
    along: the group along the axis (levels of a curve, rows of a strip or matrix); across: the group of a matrix's
    columns, a panel for each network ("": networks are the columns). Other groups have a figure for each of their
    values ("1": without a part). order: of the values along the axis, others follow (numbers need none). axes: titles
    of the axis of conditions and of that of values; they and `title` may name groups in braces. line: a value that is
    dashed, and what it is."""

    kind: FigureKind
    name: str
    title: str
    caption: str = ""
    metrics: tuple[str, ...] = ()
    conditions: str = "(?P<condition>.+)"
    along: str = "condition"
    across: str = ""
    order: tuple[str, ...] = ()
    axes: tuple[str, str] = ("", "")
    line: tuple[float, str] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        groups = re.compile(self.conditions).groupindex
        unknown = {self.along, self.across} - {"", *groups}
        if unknown or self.kind not in get_args(FigureKind):
            wrong = f"kind '{self.kind}'" if not unknown else f"no group {sorted(unknown)}"
            raise ValueError(f"figure '{self.name}': {wrong} (kinds: {get_args(FigureKind)})")


@dataclass(frozen=True, kw_only=True)
class Against:
    """Measures against other observers that answered the same stimuli: people; in the built-in world simulated people.
    Each takes name -> trials of the references, never with the observer itself.

    scores: of one observer, (config, its trials, references); group: of people as a group (name -> trials of each),
    where pooling their trials is not the measure; pair: paired tests of two observers against the same references
    (`benchmark.stats.Comparison`), where a metric is no ratio of sums: (a, b, references); b None: the references as a
    group; pairs: the headline's test for every two observers, (name -> trials of each, references) -> (a, b, test)."""

    scores: Callable[[Any, Trials, Mapping[str, Trials]], Sequence[Score]]
    group: Callable[[Any, Mapping[str, Trials]], Sequence[Score]] | None = None
    pair: Callable[[Trials, Trials | None, Mapping[str, Trials]], Sequence[Any]] | None = None
    pairs: Callable[[Mapping[str, Trials], Mapping[str, Trials]], Sequence[tuple[str, str, Any]]] | None = None


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Sampling a condition only until its interval is narrow enough.

    within: X -> the variant "NAME:within-X", whose intervals end at most +-X wide; settled: whether one block needs no
    further trials, (config, its trials so far), asked after every stored chunk; shuffle: whether the headline is a mean
    over images of values in [0, 1] and the plan's images may come in random order, so that two networks are compared
    only as far as the answer needs."""

    within: Callable[[float], Suite] | None = None
    settled: Callable[[Any, Trials], bool] | None = None
    shuffle: bool = False


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A test suite: a frozen value with three plain functions.

    version: raised whenever scores change; trial_version: raised whenever what `plan` shows or `observe` keeps changes
    (of a plug-in its files say that by themselves); needs: what an observer must offer; experiments: names under which
    published trial tables carry this suite's stimuli, each mapped to (set name, role)."""

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
    averaged: Callable[[Trials], Array] | None = None
    """Which trials [n] are of conditions that enter an experiment's averages (None: all)."""
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

    figures: tuple[SuiteFigure, ...] = ()
    """What the report draws of it; its headline where this is empty."""
    questions: Mapping[str, str] = field(default_factory=dict)
    """Another suite -> what is asked of the two headlines over networks: "does shape bias buy robustness?"."""

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
