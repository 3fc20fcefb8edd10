"""Where the objects of a chunk are, and what a map on it is held against."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli, View
from suites.saliency.config import LARGEST, SMALLEST, columns_of
from suites.saliency.maps.localisation import Flags, Floats, area_share, auc_of_own, average_ranks, mean_auc_of_others


@dataclass(frozen=True)
class MaskContext:
    """masks: [n, h, w] of the chunk's own objects, at the network's input; valid: [n, h, w] pixels that are object or
    ground, not left open by whoever drew the masks (None: all); shape, texture: [n] categories of the object and of its
    texture (the same where a set has no textures); items: [n] digests of the images; pool: [k, h * w] 0 or 1, masks of
    the whole set; categories: [k] of their objects."""

    masks: Flags
    valid: Flags | None
    shape: Array
    texture: Array
    items: Array
    pool: Floats
    categories: Array

    @property
    def conflict(self) -> Flags:
        """[n] bool: images whose cues disagree."""
        return np.asarray(self.shape != self.texture)

    def cut(self, part: slice) -> "MaskContext":
        """The same of some of the images."""
        own = {name: getattr(self, name)[part] for name in ("masks", "shape", "texture", "items")}
        return replace(self, **own, valid=None if self.valid is None else self.valid[part])

    def areas(self, maps: Array, name: str) -> dict[str, Floats]:
        """AUC of maps [n, h, w] against the own mask, and its mean against masks of other categories."""
        own, other = columns_of(name)
        ranks = average_ranks(maps, self.valid)
        others = mean_auc_of_others(ranks, self.shape, self.pool, self.categories, self.valid)
        return {own: auc_of_own(ranks, self.masks, self.valid), other: others}


def context_of(view: View, pool: int) -> MaskContext:
    """The context of a chunk, with at most `pool` masks of the set to hold maps against: evenly spaced over its order,
    the same for every chunk. Masks are empty (so nothing is scored) where the set has none."""
    stimuli = view.block.stimuli
    category = objects(stimuli)
    shape = category[view.index]
    texture = np.asarray(view.labels.get("texture", shape))
    valid = None if stimuli.ignored is None else ~np.stack([view.ignored(int(i)) for i in view.index])
    count = min(pool, len(stimuli)) if stimuli.mask else 0
    index = np.arange(count, dtype=np.int64) * len(stimuli) // max(count, 1)
    others = _masks(view, index)
    area = area_share(others)
    fair = (area >= SMALLEST) & (area <= LARGEST)
    return MaskContext(
        _masks(view, view.index),
        None if valid is None or valid.all() else valid,
        shape,
        np.where(texture == "", shape, texture),
        np.asarray([stimuli.items[int(i)] for i in view.index]),
        others[fair].reshape(int(fair.sum()), others.shape[1] * others.shape[2]).astype(np.float64),
        category[index[fair]],
    )


def objects(stimuli: Stimuli) -> Array:
    """[n] category of the object that the mask shows: the shape, or the category where a set has no shapes."""
    category: Array = np.asarray(stimuli.labels["category"])
    shape = np.asarray(stimuli.labels.get("shape", category))
    return np.where(shape == "", category, shape)


def _masks(view: View, index: NDArray[np.int64]) -> Flags:
    """[n, h, w] at the network's input."""
    masks: Flags = np.zeros((len(index), *view.images.shape[2:]), dtype=bool)
    if view.block.stimuli.mask is not None:
        for row, position in enumerate(index):
            masks[row] = view.mask(int(position))
    return masks
