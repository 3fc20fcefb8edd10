"""Object masks at the size of the gradient, and the pool of masks that a map is held against."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli
from suites.saliency.localisation import Flags, area_share

#: An object this small or large says little of where a map lies: left out of the scores and of the pool.
SMALLEST, LARGEST = 0.01, 0.95


@dataclass(frozen=True)
class Masked:
    """Stimuli whose masks are wanted at a size (height, width). Equal where the digests are."""

    digest: str
    size: tuple[int, int]
    stimuli: Stimuli = field(compare=False, repr=False)


@dataclass(frozen=True)
class Pool:
    """masks: [k, height * width] bool; categories: [k] of their objects."""

    masks: Flags
    categories: Array


def masked(stimuli: Stimuli, size: tuple[int, int]) -> Masked:
    """The masks of a set at the network's input size."""
    return Masked(stimuli.digest, size, stimuli)


def own_masks(source: Masked, index: NDArray[np.int64]) -> Flags:
    """[n, h, w] masks of the stimuli at `index`; empty (so never scored) where the set has none."""
    if source.stimuli.mask is None:
        return np.zeros((len(index), *source.size), dtype=bool)
    return np.stack([_mask(source, int(i)) for i in index])


@lru_cache(maxsize=8)
def pool_of(source: Masked, size: int) -> Pool:
    """At most `size` masks of the set, evenly spaced over its order: the same for every batch and observer."""
    count = min(size, len(source.stimuli)) if source.stimuli.mask else 0
    index = np.arange(count, dtype=np.int64) * len(source.stimuli) // max(count, 1)
    shown = own_masks(source, index) if count else np.zeros((0, *source.size), dtype=bool)
    area = area_share(shown)
    fair = (area >= SMALLEST) & (area <= LARGEST)
    flat = shown[fair].reshape(int(fair.sum()), source.size[0] * source.size[1])
    return Pool(flat, objects(source.stimuli)[index[fair]])


def objects(stimuli: Stimuli) -> Array:
    """[n] category of the object that the mask shows: the shape, or the category where a set has no shapes."""
    category: Array = np.asarray(stimuli.labels["category"])
    shape = np.asarray(stimuli.labels.get("shape", category))
    return np.where(shape == "", category, shape)


def nearest(mask: Flags, size: tuple[int, int]) -> Flags:
    """A mask [h, w] at another size (height, width), nearest neighbour, pixel centres aligned."""
    rows, columns = (_places(old, new) for old, new in zip(mask.shape, size, strict=True))
    return np.asarray(mask[rows[:, None], columns[None, :]])


@lru_cache(maxsize=512)
def _mask(source: Masked, index: int) -> Flags:
    assert source.stimuli.mask is not None
    return nearest(source.stimuli.mask(index), source.size)


def _places(old: int, new: int) -> NDArray[np.int64]:
    return ((np.arange(new) + 0.5) * old / new).astype(np.int64)
