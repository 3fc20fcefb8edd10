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
#: whole: shown as it is, resized to the network's input only where it cannot take the size (psychophysics);
#: card: the card's own resize and crop (natural images); crop224: resize 256, centre crop 224, then any
#: transform, then resized to the network's input (published corruption protocol); square224: squeezed to 224 x 224.
Presentation = Literal["whole", "card", "crop224", "crop224-bicubic", "square224"]
CHUNK = 256  # stimuli per stored chunk: the unit of commit, cache and resume, whatever the batch size


@dataclass(frozen=True, kw_only=True)
class Stimuli:
    """An ordered set of labelled images.

    name: catalogue name; digest: SHA-256 over the order, each item's digest and labels (a subset has another); space:
    the decision space that its labels live in ("geirhos16", "imagenet1k", "world16"); ids: unique image names; items:
    one content digest per image; labels: columns of str, one value per image ("category" always; "shape" and "texture"
    on cue-conflict sets); decode(i): HWC uint8 RGB; mask(i): HW bool of the decoded image's size, where the set has
    object masks; ignored(i): HW bool, the pixels that are neither object nor background (never overlaps the mask), None
    where every pixel counts; importance(i): HW float32 >= 0, how much people used each pixel, where the set has such
    maps: only their order has a meaning; whole: how many images the full published set has (n of total is shown where
    they differ)."""

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
    sampled: bool = False
    """In random order (`--limit`, `--precision-target`): every front part has the proportions of the whole."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A named image transform: `apply(images NCHW float32 in [0,1], seeds uint64 [n]) -> same shape`.

    Batched, on the images' device; the result for one image depends on that image and its seed alone. stored: `apply`
    takes and gives images as they are stored, uint8, and nothing is converted on the way."""

    name: str
    params: Mapping[str, Any]
    apply: Callable[[torch.Tensor, NDArray[np.uint64]], torch.Tensor]
    stored: bool = False


@dataclass(frozen=True, kw_only=True)
class OtherNetwork:
    """Another network than the one that is tested. identity: digest of its weights, preprocessing, labels and code;
    load(device): the network there, a `registry.model.LoadedModel`."""

    name: str
    identity: str
    load: Callable[[str], Any] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Stimuli under one condition. Equal blocks of different suites are decoded and forwarded once."""

    stimuli: Stimuli
    condition: str = ""
    transform: Transform | None = None
    presentation: Presentation = "whole"
    role: str = ""
    """What the suite calls this block in its trial table ("cue-conflict", "edges", ...)."""
    networks: tuple[OtherNetwork, ...] = ()
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
        """The sets of a role that lies in several folders: `parts("imagenet-c")["gaussian_noise/3"]`. Raises
        MissingStimuli with the remedy."""

    def networks(self, names: Sequence[str]) -> tuple[OtherNetwork, ...]:
        """The networks of those names that answer in this space and have their weights on this disk, loaded once."""

    def textures(self, role: str) -> tuple[NDArray[np.uint8], ...]:
        """The pictures that a transform mixes in ("frost"), HWC uint8 RGB, in their published order. Raises
        MissingStimuli with the remedy, StimuliError where a file is not the published one."""
