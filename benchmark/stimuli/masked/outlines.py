"""COCO's forms of a mask: polygons, and run lengths as numbers or as text."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.stimuli.image_files import opened, read_plain, whole_image
from benchmark.stimuli.items import Flags, Size

LONGEST = 2**40  # pixels of a run; no image has as many
Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]


def flags_of(segmentation: Segmentation, size: Size) -> Flags:
    """Draw polygons (their union) or run lengths as HW bool. size: height, width. Raises ValueError with a problem."""
    if isinstance(segmentation, Mapping):
        stated, runs = segmentation.get("size"), _runs(segmentation)
        if not isinstance(stated, Sequence) or list(stated) != list(size):
            raise ValueError(f"run lengths of size {stated}, but the image has {list(size)}")
        if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:
            raise ValueError(f"run lengths give {sum(runs)} pixels, the image has {size[0] * size[1]}")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")
    mask = np.zeros(size, dtype=bool)
    for outline in segmentation:
        mask |= fill_polygon(_corners(outline), size)
    return mask


def area_of(segmentation: Segmentation) -> float:
    """Count pixels without drawing: polygons by their corners, runs by their sum. Raises ValueError."""
    if isinstance(segmentation, Mapping):
        return float(sum(_runs(segmentation)[1::2]))
    pairs = (zip(corners, np.roll(corners, -1, axis=0), strict=True) for corners in map(_corners, segmentation))
    return float(sum(abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in edges)) / 2 for edges in pairs))


def fill_polygon(corners: NDArray[np.float64], size: Size) -> Flags:
    """Draw a polygon [k, 2] (x, y; pixel i spans i to i + 1) as HW bool: true if a pixel's centre is inside by the
    even-odd rule. Polygons that share an edge share no pixel."""
    height, width = size
    # Each edge is directed downwards, so that rounding puts the crossings of a shared or repeated edge at equal places.
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


def decode_runs(text: str) -> list[int]:
    """Decode COCO's text of run lengths: five bits a letter, lowest first, from letter 48 on. The sixth bit marks a
    continued number; from the fourth number on, each is the difference to the last but one."""
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
    """Return the lengths of background, object, background, ... down the columns."""
    counts = coded.get("counts")
    runs = decode_runs(counts) if isinstance(counts, str) else counts
    if isinstance(runs, Sequence) and all(isinstance(run, int) for run in runs):
        if any(abs(run) > LONGEST for run in runs):
            raise ValueError(f"a run length of more than {LONGEST} pixels")
        return list(runs)
    raise ValueError("run lengths need 'counts', whole numbers or a text")


def _corners(outline: Iterable[float]) -> NDArray[np.float64]:
    flat = np.asarray(outline, dtype=np.float64)
    if flat.ndim != 1 or len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all():
        raise ValueError("a polygon needs x and y of three corners or more")
    return flat.reshape(-1, 2)


def only_edition(editions: Sequence[Path], folder: Path, expected: str) -> Path:
    """Return the only edition of a data set in `folder`. Raises StimuliError if there is none, or several."""
    if len(editions) > 1:
        names = ", ".join(place.name for place in editions)
        raise StimuliError(f"{folder}: several editions ({names}). Name or keep one of them.")
    if not editions:
        raise StimuliError(f"{folder}: expected {expected}.")
    return editions[0]


#: PIL modes whose values are kept: grey, palette index, colour, 16 and 32 bits. Others become colour, as
#: opacity does not describe objects.
_KEPT = frozenset({"1", "L", "P", "RGB", "I", "I;16", "I;16B", "F"})


def anything_drawn(path: Path, size: Size) -> Flags:
    """Return HW bool, true if an image's pixel is not zero, without opacity. Raises StimuliError."""
    drawn = read_plane(path) != 0
    return require_size(drawn.any(axis=2) if drawn.ndim == 3 else drawn, size, path)


def read_plane(path: Path) -> NDArray[Any]:
    """Read HW, or HWC of a colour image, as stored; a palette image as its indices. Raises StimuliError."""
    with whole_image(path, ""), opened(BytesIO(read_plain(path))) as image:
        return np.array(image if image.mode in _KEPT else image.convert("RGB"))


def require_size(plane: NDArray[Any], size: Size, where: object) -> NDArray[Any]:
    """Return `plane` if it has the size of its image. Raises StimuliError otherwise."""
    if plane.shape != size:
        here, expected = (" x ".join(map(str, (*shape[1::-1], *shape[2:]))) for shape in (plane.shape, size))
        raise StimuliError(f"{where}: {here} pixels, but the image that it belongs to has {expected}.")
    return plane
