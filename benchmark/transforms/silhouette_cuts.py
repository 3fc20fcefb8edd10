"""Silhouettes cut at a horizontal line and rearranged (after Baker and Elder 2022, iScience 25:104913)."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmark.contracts import Transform
from benchmark.transforms.basics import Seeds, stored_levels

Mask = NDArray[np.bool_]
ARRANGEMENTS = ("whole", "fragmented", "frankenstein", "inverted")
#: Halves are moved apart by this share of the object's height.
GAP = 0.2
VERSION = 1


def rearranged(name: str) -> Transform:
    """Show dark objects black on white in the middle: "whole" or "inverted" (upside down). "fragmented" moves the lower
    half down from the cut; "frankenstein" mirrors it about the middle of the cut, so that the outline is closed. An
    object with an arrangement beyond the frame is reduced in all of them."""
    return Transform(name=name, params={"gap": GAP, "version": VERSION}, apply=partial(_rearranged, name=name))


def _rearranged(images: torch.Tensor, seeds: Seeds, *, name: str) -> torch.Tensor:  # noqa: ARG001 - nothing is random
    ink = torch.zeros(len(images), 1, *images.shape[-2:])
    for i, mask in enumerate((stored_levels(images).float().mean(dim=1) < 127.5).cpu().numpy()):
        if mask.any():
            # Drawn in the middle of a frame that fits each of its arrangements.
            extents = [_points(mask, other).max(axis=0) + 1 for other in ARRANGEMENTS]
            room = max(1.0, float(np.max(np.array(extents) / mask.shape)))
            frame = np.ceil(room * np.array(mask.shape)).astype(int)
            points = _points(mask, name)
            points += (frame - points.max(axis=0) - 1) // 2
            canvas = torch.zeros(1, 1, *frame.tolist())
            canvas[0, 0, points[:, 0], points[:, 1]] = 1
            ink[i] = functional.interpolate(canvas, mask.shape, mode="area")[0]
    return ((1 - ink) * 255).round().div(255).to(images.device).repeat(1, 3, 1, 1)


def cut_of(mask: Mask) -> tuple[int, int, int]:
    """Choose the last row of the upper half, and return it with the object's first and last column there. It is the row
    of the object's middle half nearest to the middle that has it in one piece; without any, the middle row."""
    rows = np.flatnonzero(mask.any(axis=1))
    middle, quarter = (rows[0] + rows[-1]) / 2, (rows[-1] - rows[0]) / 4
    rows = rows[np.abs(rows - middle) <= quarter] if (np.abs(rows - middle) <= quarter).any() else rows
    pieces = np.diff(np.pad(mask[rows], ((0, 0), (1, 0))).astype(np.int8), axis=1).clip(0).sum(axis=1)
    candidates = rows[pieces == 1] if (pieces == 1).any() else rows
    cut = int(candidates[np.abs(candidates - middle).argmin()])
    columns = np.flatnonzero(mask[cut])
    return cut, int(columns[0]), int(columns[-1])


def _points(mask: Mask, name: str) -> NDArray[np.int64]:
    """Return the row and column of the object's pixels in an arrangement, [n, 2], from 0."""
    points, (cut, first, last) = np.argwhere(mask), cut_of(mask)
    lower = points[:, 0] > cut
    if name == "frankenstein":
        points[lower, 1] = first + last - points[lower, 1]
    elif name == "fragmented":
        points[lower, 0] += round(GAP * (np.ptp(points[:, 0]) + 1))
    elif name == "inverted":
        points[:, 0] = -points[:, 0]
    return np.asarray(points - points.min(axis=0))
