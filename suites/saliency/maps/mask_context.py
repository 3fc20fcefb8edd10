"""Where the objects of a chunk are, and what a map on it is held against."""

from dataclasses import dataclass, replace

import numpy as np

from benchmark.contracts import Array, View
from suites.saliency.config import columns_of
from suites.saliency.maps.localisation import Flags, Floats, auc_of_own, average_ranks, mean_auc_of_others
from suites.saliency.maps.masks import Pool, objects, own_masks, pool_of, valid_pixels


@dataclass(frozen=True)
class Scene:
    """masks: [n, h, w] of the chunk's own objects; valid: [n, h, w] pixels that count (None: all); shape, texture:
    [n] categories of the object and of its texture (the same where a set has no textures); items: [n] digests of
    the images; pool: masks of the whole set."""

    masks: Flags
    valid: Flags | None
    shape: Array
    texture: Array
    items: Array
    pool: Pool

    @property
    def conflict(self) -> Flags:
        """[n] bool: images whose cues disagree."""
        return np.asarray(self.shape != self.texture)

    def cut(self, part: slice) -> "Scene":
        """The same of some of the images."""
        return replace(
            self,
            masks=self.masks[part],
            valid=None if self.valid is None else self.valid[part],
            shape=self.shape[part],
            texture=self.texture[part],
            items=self.items[part],
        )

    def areas(self, maps: Array, name: str) -> dict[str, Floats]:
        """AUC of maps [n, h, w] against the own mask, and its mean against masks of other categories."""
        own, other = columns_of(name)
        ranks = average_ranks(maps, self.valid)
        flat, pool, count = self.masks.reshape(len(self.masks), -1), self.pool, len(self.masks)
        valid = None if self.valid is None else self.valid.reshape(count, -1)
        others = mean_auc_of_others(ranks, self.shape, pool.masks, pool.categories, valid)
        return {own: auc_of_own(ranks, flat, valid), other: others}


def scene_of(view: View, pool: int) -> Scene:
    """The scene of a chunk, with at most `pool` masks to hold maps against."""
    stimuli = view.block.stimuli
    shape = objects(stimuli)[view.index]
    texture = np.asarray(view.labels.get("texture", shape))
    return Scene(
        own_masks(view),
        valid_pixels(view),
        shape,
        np.where(texture == "", shape, texture),
        np.asarray([stimuli.items[int(i)] for i in view.index]),
        pool_of(view, pool),
    )
