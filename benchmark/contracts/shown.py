"""What is shown: stimulus sets, transforms, blocks, and where a suite finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
#: whole: unchanged, or resized if the network's input has another size (psychophysics); card: the card's own resize and
#: crop (natural images); crop224: resize 256, centre crop 224, any transform, then resize to the network's input
#: (published corruption protocol); square224: squeezed to 224 x 224.
Presentation = Literal["whole", "card", "crop224", "crop224-bicubic", "square224"]
CHUNK = 256  # stimuli per stored chunk: the unit of commit, cache and resume, whatever the batch size


@dataclass(frozen=True, kw_only=True)
class Stimuli:
    """An ordered set of labelled images."""

    name: str  # catalogue name
    digest: str  # SHA-256 over the order, each item's digest and labels (a subset has another)
    space: str  # the label space of its labels ("geirhos16", "imagenet1k", "world16")
    ids: tuple[str, ...]  # unique image names
    items: Sequence[str]  # one content digest per image
    #: Columns of str, one value per image: always "category"; on cue-conflict sets also "shape" and "texture".
    labels: Mapping[str, Array]
    decode: Callable[[int], NDArray[np.uint8]]  # decode(i): HWC uint8 RGB
    #: mask(i): HW bool of the decoded image's size, if the set has object masks.
    mask: Callable[[int], NDArray[np.bool_]] | None = None
    #: ignored(i): HW bool, the pixels that are neither object nor background (disjoint from the mask); None: every
    #: pixel counts.
    ignored: Callable[[int], NDArray[np.bool_]] | None = None
    #: importance(i): HW float32 >= 0, how much people used each pixel, if the set has such maps; only the order
    #: matters.
    importance: Callable[[int], NDArray[np.float32]] | None = None
    whole: int | None = None  # number of images in the complete published set; shown as "n of total" if they differ
    origin: str = ""  # origin in words: "catalogue", "generated", "added", "trial tables"
    #: Whether it is in random order (`--limit`, `--precision-target`), so that every front part is proportional.
    sampled: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A named image transform: `apply(images NCHW float32 in [0,1], seeds uint64 [n]) -> same shape`, on a batch on its
    device; the result for an image depends only on that image and its seed."""

    name: str
    params: Mapping[str, Any]
    apply: Callable[[torch.Tensor, NDArray[np.uint64]], torch.Tensor]
    stored: bool = False  # `apply` takes and returns images as stored, uint8, without conversion
    #: `apply` computes on the processor, wherever its images are: they are made ahead where a network is elsewhere.
    on_processor: bool = False


@dataclass(frozen=True, kw_only=True)
class OtherNetwork:
    """Another network than the tested one."""

    name: str
    identity: str  # digest of its weights, preprocessing, labels and code
    #: load(device): the network there, a `registry.model.LoadedModel`.
    load: Callable[[str], Any] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Stimuli under one condition. Equal blocks of different suites are decoded and forwarded once."""

    stimuli: Stimuli
    condition: str = ""
    transform: Transform | None = None
    presentation: Presentation = "whole"
    role: str = ""  # the block's role in the suite's trial table ("cue-conflict", "edges", ...)
    #: The other networks whose answers the suite uses on these images (perturbations made on them).
    networks: tuple[OtherNetwork, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The blocks that a suite needs."""

    blocks: tuple[Block, ...]
    missing: Mapping[str, str] = field(default_factory=dict)  # role -> why its stimuli are missing, and how to get them


class Shelf(Protocol):
    """The stimulus sets that one observer can answer in one label space."""

    space: str  # the label space, e.g. "geirhos16"

    def find(self, role: str) -> Stimuli:
        """Open the set for a role ("cue-conflict", "edges", ...). Raises MissingStimuli with the remedy."""

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """Open the cells of a role: `parts("imagenet-c")["fog/3"]`. Raises MissingStimuli with the remedy."""

    def networks(self, names: Sequence[str]) -> tuple[OtherNetwork, ...]:
        """Return the named networks that answer in this label space and have installed weights, loaded once."""

    def textures(self, role: str) -> tuple[NDArray[np.uint8], ...]:
        """Read the images that a transform mixes in ("frost"), HWC uint8 RGB. Raises MissingStimuli, StimuliError."""
