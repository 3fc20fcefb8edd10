"""Which part of an image the answer comes from: the object alone, or its ground alone, is exchanged for another's.

A game of two players, object and ground of image i, against those of another image j: four pictures, (i on i),
(i on j), (j on i), (j on j), and the log-odds of i's category on each. The Shapley value (Shapley 1953) splits all of
the evidence, (i on i) - (j on j), into the object's part and the ground's. Each part adds a whole and a pasted picture
and takes away a pasted and a whole one, so what pasting itself does to a network cancels.

Answers alone decide: a backward pass that is not the network's own changes nothing here.
Imported when a network is shown something, for it needs torch.
"""

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from benchmark.contracts import Array, View
from suites.saliency.config import EVIDENCE, LARGEST, PARTNER, SMALLEST
from suites.saliency.maps.gradients import log_odds, membership, part_size, target_rows
from suites.saliency.maps.localisation import Flags, Floats
from suites.saliency.maps.mask_context import Scene
from suites.saliency.maps.masks import objects


def evidence_columns(view: View, scene: Scene) -> dict[str, Array]:
    """[n] evidence for the object's category, in nats, that the object carries and that its ground carries, and the
    name of the image that it exchanged with; NaN and "" where there was none."""
    n = len(view.index)
    found: Floats = np.full((2, n), np.nan)
    lent = partners(view)
    ids = np.array([*view.block.stimuli.ids, ""])
    table = membership(view.outputs, view.logits.shape[1]).to(view.images.device)
    for rows in _parts(np.flatnonzero(lent >= 0), min(view.batch, part_size(view.images.device))):
        target = target_rows(table, view.categories, scene.shape[rows])
        found[:, rows] = _split(view, rows, lent[rows], target)
    return {**dict(zip(EVIDENCE, found, strict=True)), PARTNER: ids[lent]}


def partners(view: View) -> Array:
    """[n] position in the set of the image that each exchanges with, -1 where there is none.

    Two images exchange with one another: what depends on both is a pair's own, so that pairs can be drawn where an
    interval is made. The whole set is gone through in the order of the images' digests, the same in every chunk.
    """
    stimuli = view.block.stimuli
    order = sorted(range(len(stimuli)), key=lambda i: (crc32(str(stimuli.items[i]).encode()), i))
    fair = [i for i in order if _fair(view.mask(i))]
    matched = _matched(fair, objects(stimuli))
    return np.array([matched.get(int(position), -1) for position in view.index])


def _matched(order: Sequence[int], category: Array) -> dict[int, int]:
    """Pairs of different categories: each takes the next that is free. Those left at the end are of one category: two
    of them split the first pair that has none of it."""
    found: dict[int, int] = {}
    free, left = list(order), []
    while free:
        first = free.pop(0)
        match = next((i for i in free if category[i] != category[first]), None)
        if match is None:
            left.append(first)
        else:
            free.remove(match)
            found |= {first: match, match: first}
    for one, two in zip(left[::2], left[1::2], strict=False):
        split = (i for i, j in found.items() if category[one] not in (category[i], category[j]))
        if (third := next(split, None)) is not None:
            fourth = found[third]
            found |= {one: third, third: one, two: fourth, fourth: two}
    return found


def grounds(images: Tensor, holes: Flags) -> Tensor:
    """[n, 3, h, w] images whose holes [n, h, w] are filled, each pixel by the nearest one outside; as they were where
    nothing is outside."""
    filled = images.flatten(2).clone()
    for image, hole in zip(filled, holes, strict=True):
        at = np.flatnonzero(hole)
        to, from_ = (torch.from_numpy(x).to(images.device) for x in (at, _nearest(hole)[at]))
        image[:, to] = image[:, from_]
    return filled.reshape(images.shape)


def _split(view: View, rows: Array, lent: Array, target: Tensor) -> Floats:
    """[2, rows] the object's and the ground's part of the log-odds."""
    own = view.images[torch.from_numpy(rows)]
    other = torch.stack([_picture(view, int(position)) for position in lent])
    masks = _masks(view, view.index[rows]), _masks(view, lent)
    open_ = _open(view, view.index[rows]), _open(view, lent)
    behind = [grounds(x, m | o) for x, m, o in zip((own, other), masks, open_, strict=True)]
    here, there = (torch.from_numpy(mask).to(own.device)[:, None] for mask in masks)
    with torch.no_grad():
        shown = (torch.where(here, own, behind[1]), torch.where(there, other, behind[0]), other)
        own_on_other, other_on_own, whole_other = (log_odds(view.forward(x), target) for x in shown)
        whole = log_odds(view.logits[torch.from_numpy(rows)].to(own.device), target)
    by_object = ((whole - other_on_own) + (own_on_other - whole_other)) / 2
    by_ground = ((whole - own_on_other) + (other_on_own - whole_other)) / 2
    return torch.stack([by_object, by_ground]).double().cpu().numpy()


def _picture(view: View, position: int) -> Tensor:
    """[3, h, w] of the view where it is there, else read for the purpose."""
    at = np.flatnonzero(view.index == position)
    return view.images[int(at[0])] if len(at) else view.picture(position)


def _masks(view: View, positions: Sequence[int] | Array) -> Flags:
    return np.stack([view.mask(int(position)) for position in positions])


def _open(view: View, positions: Sequence[int] | Array) -> Flags:
    """[n, h, w] what is neither object nor ground: it is taken out of every pasted picture."""
    return np.stack([view.ignored(int(position)) for position in positions])


def _nearest(hole: Flags) -> Array:
    """[h * w] flat place of the nearest pixel outside the hole."""
    if hole.all() or not hole.any():
        return np.arange(hole.size)
    found = np.arange(hole.size).reshape(hole.shape)
    around = _around(hole)
    down, across = distance_transform_edt(hole[around], return_distances=False, return_indices=True)
    found[around] = found[around][down, across]
    return found.ravel()


def _around(hole: Flags) -> tuple[slice, slice]:
    """The rows and columns of the hole and the next on each side: nothing outside them is as near to any of it."""
    sides = (np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0)))
    down, across = (slice(max(0, int(at[0]) - 1), int(at[-1]) + 2) for at in sides)
    return down, across


def _fair(mask: Flags) -> bool:
    return bool(SMALLEST <= np.count_nonzero(mask) / mask.size <= LARGEST)


def _parts(rows: Array, size: int) -> Iterator[Array]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
