"""The public types: what a suite, a stimulus set, a block, a trial table and a score are.

Data flow: `Suite.plan` states blocks, the engine shows each block to each observer, `Suite.observe` turns
one batch (a `View`) into columns per trial, the store keeps them, `Suite.score` turns stored `Trials` into
`Score`s. `plan` and `score` are pure; `observe` is the only part that touches a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Needs = Literal["decisions", "logits", "gradients"]
Direction = Literal["higher", "lower", "none"]
#: whole: shown as it is, resized to the network's input only where it cannot take the size (psychophysics);
#: card: the card's own resize and crop (natural images); crop224: resize 256, centre crop 224, then any
#: transform, then resized to the network's input (published corruption protocol).
Presentation = Literal["whole", "card", "crop224", "crop224-bicubic"]
CHUNK = (
    256  # stimuli per stored chunk: the unit of commit, cache and resume, whatever the batch size
)


@dataclass(frozen=True)
class Stimuli:
    """An ordered set of labelled images.

    name: catalogue name; digest: SHA-256 over the order, each item's digest and labels (a subset has another);
    space: the decision space that its labels live in ("geirhos16", "imagenet1k", "world16");
    ids: unique image names; items: one content digest per image; labels: columns of str, one value per image
    ("category" always; "shape" and "texture" on cue-conflict sets); decode(i): HWC uint8 RGB;
    mask(i): HW bool of the decoded image's size, where the set has object masks; ignored(i): HW bool, the pixels
    that are neither object nor background (never overlaps the mask), None where every pixel counts;
    importance(i): HW float32 >= 0, how much people used each pixel, where the set has such maps: only their order
    has a meaning; whole: how many images the full published set has (n of total is shown where they differ).
    """

    name: str
    digest: str
    space: str
    ids: tuple[str, ...]
    items: Sequence[str]
    labels: Mapping[str, Array]
    decode: Callable[[int], NDArray[np.uint8]]
    mask: Callable[[int], NDArray[np.bool_]] | None = None
    ignored: Callable[[int], NDArray[np.bool_]] | None = None
    importance: Callable[[int], NDArray[np.float32]] | None = None
    whole: int | None = None
    origin: str = ""
    """Where it came from, in words: "catalogue", "generated", "added", "trial tables"."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Transform:
    """A named image transform: `apply(images NCHW float32 in [0,1], seeds uint64 [n]) -> same shape`.

    Batched, on the images' device; the result for one image depends on that image and its seed alone.
    stored: `apply` takes and gives images as they are stored, uint8, and nothing is converted on the way.
    """

    name: str
    params: Mapping[str, Any]
    apply: Callable[[torch.Tensor, NDArray[np.uint64]], torch.Tensor]
    stored: bool = False


@dataclass(frozen=True)
class Network:
    """Another network than the one that is tested. identity: digest of its weights, preprocessing, labels and code;
    load(device): the network there, a `registry.model.LoadedModel`.
    """

    name: str
    identity: str
    load: Callable[[str], Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Block:
    """Stimuli under one condition. Equal blocks of different suites are decoded and forwarded once."""

    stimuli: Stimuli
    condition: str = ""
    transform: Transform | None = None
    presentation: Presentation = "whole"
    role: str = ""
    """What the suite calls this block in its trial table ("cue-conflict", "edges", ...)."""
    networks: tuple[Network, ...] = ()
    """The other networks whose answers the suite uses on these images (perturbations made on them)."""


@dataclass(frozen=True)
class Plan:
    """What a suite asks for. `missing`: role -> why its stimuli are not there and how to get them."""

    blocks: tuple[Block, ...]
    missing: Mapping[str, str] = field(default_factory=dict)


class Shelf(Protocol):
    """The stimulus sets that one observer can answer in one decision space."""

    @property
    def space(self) -> str:
        """Decision space, e.g. "geirhos16"."""

    def find(self, role: str) -> Stimuli:
        """The set for a role ("cue-conflict", "edges", ...). Raises MissingStimuli with the remedy."""

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """The sets of a role that lies in several folders: `parts("imagenet-c")["gaussian_noise/3"]`.

        Raises MissingStimuli with the remedy.
        """

    def networks(self, names: Sequence[str]) -> tuple[Network, ...]:
        """The networks of those names that answer in this space and have their weights on this disk, loaded once."""

    def textures(self, role: str) -> tuple[NDArray[np.uint8], ...]:
        """The pictures that a transform mixes in ("frost"), HWC uint8 RGB, in their published order.

        Raises MissingStimuli with the remedy, StimuliError where a file is not the published one.
        """


class View(Protocol):
    """What a suite sees of one chunk: at most CHUNK stimuli. Lazy fields are computed at most once, in device
    batches, and shared by all suites. A suite's own forward passes go in parts of `batch` images.
    """

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
        through the same resize and crop with nearest neighbour. Raises MissingStimuli where the set has no masks.
        """

    def ignored(self, position: int) -> NDArray[np.bool_]:
        """The pixels that are neither object nor background, as `mask`; none where the set names none."""

    def importance(self, position: int) -> NDArray[np.float32]:
        """The graded human map, as `mask` but bilinear. Raises MissingStimuli where the set has no such maps."""


@dataclass(frozen=True)
class Trials:
    """Stored responses of one observer: columns of equal length, always with
    "role", "condition", "stimulus" (image name) and the label columns; then what `observe` returned.
    Where the stimuli have a label column "condition" (one set, many conditions), it stands for the block's.

    A column that a block does not have is filled with "" (text) or NaN (numbers).
    missing: role -> why there are no trials of it; training: the recipe tags of the observer's card.
    """

    columns: Mapping[str, Array]
    missing: Mapping[str, str] = field(default_factory=dict)
    training: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    def where(self, keep: NDArray[np.bool_]) -> Trials:
        """The trials at which `keep` [n] is true."""
        return replace(self, columns={name: values[keep] for name, values in self.columns.items()})

    def of(self, role: str) -> Trials:
        """The trials of one role."""
        return self.where(np.asarray(self["role"] == role, dtype=bool))


#: A flag that begins so says that the number may not mean what it says: `bench rank --flagged-last` heeds it.
DISTRUST = "trust: "


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty. `value` None: undefined, and `reason` says why (never 0, never dropped).

    low, high: bounds of the interval at `level`; method: how the interval was made; n: trials that count;
    excluded: trials that do not; role: the stimulus role that it was measured on; flags: short warnings.
    """

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


@dataclass(frozen=True)
class Metric:
    """A metric's definition, for tables and tests.

    ratio: where value = sum(numerator) / sum(denominator) over the trials of `role`: a function
    Trials -> (numerator [n], denominator [n]). Intervals, paired tests and rescoring derive from it.
    chance: what a uniform guesser gets; shown: whether the suite's default table has a column for it.
    clusters: what several stimuli share (factor -> level of each trial [n]): intervals are then about other shapes and
    textures. None: the label columns that end in "_exemplar" (`benchmark.stats.clusters`).
    bounds: the lowest and the highest value there is, where it has both: intervals over people stay within.
    """

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


@dataclass(frozen=True)
class Against:
    """Measures against other observers that answered the same stimuli: people; in the built-in world the ideal
    observers. Each takes name -> trials of the references, never with the observer itself.

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
    further trials, (config, its trials so far), asked after every stored chunk.
    """

    within: Callable[[float], Suite] | None = None
    settled: Callable[[Any, Trials], bool] | None = None


@dataclass(frozen=True)
class Suite:
    """A test suite: a frozen value with three plain functions.

    version: raised whenever scores change; needs: what an observer must offer; experiments: names under which
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
    stopping: EarlyStop | None = None
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


@dataclass(frozen=True)
class Policy:
    """How numbers are computed; part of an observation's identity.

    device: "cpu", "cuda", "mps" (never an index); precision: "fp32", "tf32" or "bf16".
    """

    device: str = "cpu"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: bool = False
    seed: int = 0


#: group: several people as one observer (all their trials pooled)
ObserverKind = Literal["network", "human", "published", "ideal", "group"]


@dataclass(frozen=True)
class Observer:
    """Anything that answers trials. identity: digest of what decides its answers (weights, preprocessing, labels;
    for imported observers: their trials' source name). card: the model card as plain data, {} for people."""

    name: str
    kind: ObserverKind
    identity: str
    card: Mapping[str, Any] = field(default_factory=dict)
