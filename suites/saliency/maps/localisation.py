"""The position of maps [n, h, w] >= 0 relative to objects' masks [n, h, w]. Each image has one value (NaN: its map is
zero or not finite, or its mask empty or full). `valid` are the pixels [n, h, w] that count (None: every one)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, View
from suites.saliency.config import LARGEST, SMALLEST, columns_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Valid = Flags | None


def defined(maps: Array) -> Flags:
    """Return [n] bool: maps that are finite and somewhere above 0. ValueError where one is negative."""
    flat = maps.reshape(len(maps), -1)
    if bool((flat < 0).any()):
        raise ValueError("a saliency map is negative: take absolute values first")
    return np.asarray(np.isfinite(flat).all(axis=1) & (flat > 0).any(axis=1))


def pixel_ranks(maps: Array, valid: Flags | None = None) -> Floats:
    """Return [n, h * w] mean ranks from 1 upwards among valid pixels, 0 on others; NaN where a map is undefined."""
    flat, counts = maps.reshape(len(maps), -1), _pixels(maps, valid)
    ranks = np.full(flat.shape, np.nan)
    for row in np.flatnonzero(defined(maps)):
        # Like scipy's `rankdata`, in less than half its time, which is most of the cost of a map.
        values = flat[row, counts[row]]
        order = np.argsort(values)
        ordered, own = values[order], np.empty(len(values))
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        tied = np.diff(first, append=len(values))
        own[order] = np.repeat(first + (tied + 1) / 2, tied)
        ranks[row] = 0.0
        ranks[row, counts[row]] = own
    return ranks


def auc_of_ranks(ranks: Floats, masks: Floats, valid: Flags | None = None) -> Floats:
    """Return [n, k] area under the ROC curve of each map against each mask (Mann & Whitney 1947): the chance that an
    object pixel gets more than a ground pixel, ties half. ranks: [n, p], of `pixel_ranks`; masks: [k, p]."""
    counts, sizes = _pixels(ranks, valid), masks.sum(axis=1)[None]
    sizes = sizes if valid is None else counts @ masks.T
    m = sizes.astype(np.float64)
    sums = ranks @ masks.T  # of halves: exact in any order
    return quotient(sums - m * (m + 1) / 2, m * (counts.sum(axis=1)[:, None] - m))


def auc_of_own(ranks: Floats, masks: Flags, valid: Flags | None = None) -> Floats:
    """Return [n] AUC of each map against its own mask, from ranks [n, p]; chance 0.5, whatever the object's size."""
    return np.diagonal(auc_of_ranks(ranks, masks.reshape(ranks.shape).astype(np.float64), valid))


def mean_auc_of_others(ranks: Floats, own: Array, pool: Floats, categories: Array, valid: Valid = None) -> Floats:
    """Return [n] mean AUC of each map against the masks of other categories (NaN: none): the value of its position.
    ranks: [n, p]; own: [n] categories; pool: [k, p] masks, of categories [k]."""
    areas = auc_of_ranks(ranks, pool, valid)
    other = (own[:, None] != categories[None, :]) & np.isfinite(areas)
    return quotient(np.where(other, areas, 0.0).sum(axis=1), other.sum(axis=1))


def area_share(masks: Flags, valid: Flags | None = None) -> Floats:
    """Return [n] share of object pixels among the valid pixels; 0 without valid pixels."""
    counts = _pixels(masks, valid)
    inside = np.count_nonzero(masks.reshape(counts.shape) & counts, axis=1)
    return np.asarray(inside / np.maximum(np.count_nonzero(counts, axis=1), 1))


def mass_columns(maps: Array, masks: Flags, valid: Flags | None = None) -> dict[str, Floats]:
    """Return mass_ratio [n], the share of the map's mass on the object over its area share (1 by chance, at most 1 /
    area). Also return skill [n]: (mass - area) / (1 - area) (0 by chance, 1 with all mass on it)."""
    counts, area = _pixels(maps, valid), area_share(masks, valid)
    flat = np.where(counts, maps.reshape(counts.shape), 0).astype(np.float64)
    share = quotient(np.where(masks.reshape(counts.shape), flat, 0.0).sum(axis=1), flat.sum(axis=1))
    mass = np.where(defined(flat) & (area > 0) & (area < 1), share, np.nan)
    return {"mass_ratio": quotient(mass, area), "skill": quotient(mass - area, 1 - area)}


def rank_accuracy(maps: Array, masks: Flags, valid: Flags | None = None) -> Floats:
    """Return [n] share of object pixels among the m strongest, m the object's size (Arras et al. 2022)."""
    counts, area, shares = _pixels(maps, valid), area_share(masks, valid), np.full(len(maps), np.nan)
    flat, inside = (values.reshape(counts.shape) for values in (maps, masks))
    for row in np.flatnonzero(defined(np.where(counts, flat, 0)) & (area > 0) & (area < 1)):
        values, on_object = flat[row, counts[row]], inside[row, counts[row]]
        size = int(on_object.sum())
        last = np.partition(values, len(values) - size)[len(values) - size]
        above, tied = values > last, values == last
        # Of pixels tied at rank m, the share on the object counts.
        drawn = (size - above.sum()) * (on_object & tied).sum() / tied.sum()
        shares[row] = ((on_object & above).sum() + drawn) / size
    return shares


def _pixels(values: Array, valid: Flags | None) -> Flags:
    """Return [n, p] the pixels that count."""
    every = np.ones(values.shape, dtype=bool) if valid is None else valid
    return every.reshape(len(values), int(np.prod(values.shape[1:])))


def quotient(num: Floats, den: Array, good: Array | None = None) -> Floats:
    """Return num / den, NaN where it is not good (None: where den is 0)."""
    return np.asarray(np.divide(num, den, out=np.full(num.shape, np.nan), where=den != 0 if good is None else good))


# Where the objects of a chunk are, and what a map on it is held against.


@dataclass(frozen=True, kw_only=True)
class MaskContext:
    """The masks of a chunk, and those of the whole set that a map is held against."""

    masks: Flags  # [n, h, w] of the chunk's own objects, at the network's input
    # [n, h, w] pixels that are object or ground, not left open by whoever drew the masks (None: all)
    valid: Flags | None
    shape: Array  # [n] categories of the objects
    texture: Array  # [n] categories of their textures: the same where a set has none
    items: Array  # [n] digests of the images
    pool: Floats  # [k, h * w] 0 or 1, masks of the whole set
    categories: Array  # [k] of their objects

    @property
    def conflict(self) -> Flags:
        """Return [n] bool: images whose cues disagree."""
        return np.asarray(self.shape != self.texture)

    def cut(self, part: slice) -> "MaskContext":
        """Return the same of some of the images."""
        own = {name: getattr(self, name)[part] for name in ("masks", "shape", "texture", "items")}
        return replace(self, **own, valid=None if self.valid is None else self.valid[part])

    def areas(self, maps: Array, name: str) -> dict[str, Floats]:
        """Return AUC of maps [n, h, w] against the own mask, and its mean against masks of other categories."""
        own, other = columns_of(name)
        ranks = pixel_ranks(maps, self.valid)
        others = mean_auc_of_others(ranks, self.shape, self.pool, self.categories, self.valid)
        return {own: auc_of_own(ranks, self.masks, self.valid), other: others}


def context_of(view: View, pool: int) -> MaskContext:
    """Return the context of a chunk, with at most `pool` masks, evenly spaced over the set, to hold maps against."""
    stimuli = view.block.stimuli
    category = objects(stimuli.labels)
    shape = category[view.index]
    texture = np.asarray(view.labels.get("texture", shape))
    valid = None if stimuli.ignored is None else ~np.stack([view.ignored(int(i)) for i in view.index])
    count = min(pool, len(stimuli)) if stimuli.mask else 0
    index = np.arange(count, dtype=np.int64) * len(stimuli) // max(count, 1)
    others = _masks(view, index)
    area = area_share(others)
    fair = (area >= SMALLEST) & (area <= LARGEST)
    return MaskContext(
        masks=_masks(view, view.index), valid=None if valid is None or valid.all() else valid, shape=shape,
        texture=np.where(texture == "", shape, texture), items=np.asarray([stimuli.items[int(i)] for i in view.index]),
        pool=others[fair].reshape(int(fair.sum()), others.shape[1] * others.shape[2]).astype(np.float64),
        categories=category[index[fair]],
    )  # fmt: skip


def objects(labels: Mapping[str, Array]) -> Array:
    """Return [n] category of the object that the mask shows: the shape, or the category where a set has no shapes."""
    category, shape = (np.asarray(labels.get(name, labels["category"])) for name in ("category", "shape"))
    return np.where(shape == "", category, shape)


def _masks(view: View, index: NDArray[np.int64]) -> Flags:
    masks: Flags = np.zeros((len(index), *view.images.shape[2:]), dtype=bool)
    if view.block.stimuli.mask is not None:
        for row, position in enumerate(index):
            masks[row] = view.mask(int(position))
    return masks
