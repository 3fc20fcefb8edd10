"""Object masks as the network's input shows them, and the pool of masks that a map is held against."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli, View
from suites.saliency.config import LARGEST, SMALLEST
from suites.saliency.maps.localisation import Flags, area_share
from suites.saliency.maps.runs import Runs, runs_of


@dataclass(frozen=True)
class Pool:
    """masks: k of height * width pixels; categories: [k] of their objects."""

    masks: Runs
    categories: Array


@dataclass(frozen=True)
class Kept:
    """mask(i) of a set, each drawn or read once and kept packed, one bit a pixel: every network asks for them."""

    source: Callable[[int], NDArray[np.bool_]]
    _packed: dict[int, tuple[tuple[int, ...], NDArray[np.uint8]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __call__(self, index: int) -> NDArray[np.bool_]:
        """HW bool."""
        if index not in self._packed:
            mask = self.source(index)
            self._packed[index] = mask.shape, np.packbits(mask)
        shape, bits = self._packed[index]
        return np.unpackbits(bits, count=shape[0] * shape[1]).view(np.bool_).reshape(shape)


def kept(stimuli: Stimuli) -> Stimuli:
    """The same set, whose masks are made once."""
    mask, ignored = (one and Kept(one) for one in (stimuli.mask, stimuli.ignored))
    return replace(stimuli, mask=mask, ignored=ignored)


def own_masks(view: View) -> Flags:
    """[n, h, w] masks of the view's stimuli; empty (so never scored) where the set has none."""
    return _shown(view, view.index)


def valid_pixels(view: View) -> Flags | None:
    """[n, h, w]: pixels that are object or ground, not left open by whoever drew the masks; None where all are."""
    if view.block.stimuli.ignored is None:
        return None
    open_ = np.stack([view.ignored(int(i)) for i in view.index])
    return ~open_ if bool(open_.any()) else None


def pool_of(view: View, size: int) -> Pool:
    """At most `size` masks of the set, evenly spaced over its order: the same for every chunk."""
    stimuli = view.block.stimuli
    count = min(size, len(stimuli)) if stimuli.mask else 0
    index = np.arange(count, dtype=np.int64) * len(stimuli) // max(count, 1)
    shown = _shown(view, index)
    area = area_share(shown)
    fair = (area >= SMALLEST) & (area <= LARGEST)
    flat = shown[fair].reshape(int(fair.sum()), shown.shape[1] * shown.shape[2])
    return Pool(runs_of(flat), objects(stimuli)[index[fair]])


def objects(stimuli: Stimuli) -> Array:
    """[n] category of the object that the mask shows: the shape, or the category where a set has no shapes."""
    category: Array = np.asarray(stimuli.labels["category"])
    shape = np.asarray(stimuli.labels.get("shape", category))
    return np.where(shape == "", category, shape)


def _shown(view: View, index: NDArray[np.int64]) -> Flags:
    """[n, h, w] at the network's input."""
    found: Flags = np.zeros((len(index), *view.images.shape[2:]), dtype=bool)
    if view.block.stimuli.mask is not None:
        for row, position in enumerate(index):
            found[row] = view.mask(int(position))
    return found
