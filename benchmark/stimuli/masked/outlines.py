"""COCO's ways to write a mask: polygons, and run lengths as numbers or as text."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.stimuli.items import Flags, Size

LONGEST = 2**40  # pixels of a run; no image has as many
Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]


def flags_of(segmentation: Segmentation, size: Size) -> Flags:
    """HW bool of a list of polygons (their union) or of run lengths.

    size: height and width. Raises ValueError saying what is wrong with it.
    """
    if isinstance(segmentation, Mapping):
        return _from_runs(_runs(segmentation), _stated_size(segmentation, size))
    mask = np.zeros(size, dtype=bool)
    for outline in segmentation:
        mask |= inside(_corners(outline), size)
    return mask


def area_of(segmentation: Segmentation) -> float:
    """Pixels, without drawing: polygons by their corners, runs by their sum. Raises ValueError."""
    if isinstance(segmentation, Mapping):
        return float(sum(_runs(segmentation)[1::2]))
    return float(sum(_polygon_area(_corners(outline)) for outline in segmentation))


def inside(corners: NDArray[np.float64], size: Size) -> Flags:
    """HW bool of a polygon [k, 2] (x, y; pixel i spans i to i + 1): true where a pixel's centre lies
    inside by the even-odd rule. Polygons that share an edge share no pixel.
    """
    height, width = size
    # Each edge runs downwards whichever way its polygon goes round: rounding then puts the crossings of an
    # edge that two polygons share, or that one runs along twice, on the very same place.
    ends = np.stack([corners, np.roll(corners, -1, axis=0)])
    ends = np.where(ends[0, :, 1:] <= ends[1, :, 1:], ends, ends[::-1])
    (x, y), (x_next, y_next) = ends[0].T, ends[1].T
    centres = np.arange(height) + 0.5
    crossed = (y[None] <= centres[:, None]) != (y_next[None] <= centres[:, None])
    row, edge = np.nonzero(crossed)
    along = (centres[row] - y[edge]) / (y_next[edge] - y[edge])
    at = x[edge] + along * (x_next[edge] - x[edge])
    column = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), dtype=np.int64)
    np.add.at(turns, (row, column), 1)
    return np.asarray(turns.cumsum(axis=1)[:, :width] % 2 == 1)


def unpacked(text: str) -> list[int]:
    """Run lengths of COCO's text: five bits a letter, lowest first, from letter 48 on; the sixth bit
    says that more follow; from the fourth number on, the difference to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the letter '{letter}' is not of a run-length text")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the run-length text ends inside a number")
    return runs


def _runs(coded: Mapping[str, Any]) -> list[int]:
    """Lengths of background, object, background, ... down the columns."""
    counts = coded.get("counts")
    runs = unpacked(counts) if isinstance(counts, str) else counts
    if isinstance(runs, Sequence) and all(isinstance(run, int) for run in runs):
        if any(abs(run) > LONGEST for run in runs):
            raise ValueError(f"a run length of more than {LONGEST} pixels")
        return list(runs)
    raise ValueError("run lengths need 'counts', whole numbers or a text")


def _stated_size(coded: Mapping[str, Any], size: Size) -> Size:
    stated = coded.get("size")
    if not isinstance(stated, Sequence) or list(stated) != list(size):
        raise ValueError(f"run lengths of size {stated}, but the image has {list(size)}")
    return size


def _from_runs(runs: Sequence[int], size: Size) -> Flags:
    if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:
        raise ValueError(f"run lengths give {sum(runs)} pixels, the image has {size[0] * size[1]}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size, order="F")


def _corners(outline: Iterable[float]) -> NDArray[np.float64]:
    try:
        flat = np.asarray(outline, dtype=np.float64)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a polygon has a corner that is no number ({error})") from error
    if flat.ndim != 1 or len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all():
        raise ValueError("a polygon needs x and y of three corners or more")
    return flat.reshape(-1, 2)


def _polygon_area(corners: NDArray[np.float64]) -> float:
    closed = [*corners.tolist(), corners[0].tolist()]
    return float(abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(closed)))) / 2
