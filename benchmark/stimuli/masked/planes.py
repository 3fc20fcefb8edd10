"""What lies beside an image: a mask as drawn, an image of class numbers, outlines, a graded map."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.stimuli.image_files import open_plain, opened, read_plain, whole_image
from benchmark.stimuli.items import Flags, Size
from registry.user_errors import foreign

#: PIL modes whose values are kept: grey, palette index, colour, 16 and 32 bits. Others become colour, as
#: opacity does not describe objects.
_KEPT = frozenset({"1", "L", "P", "RGB", "I", "I;16", "I;16B", "F"})
#: Of a set's class images: whether red + 256 * green is the class, the largest number, the number of ignored pixels.
ClassImages = tuple[bool, int, int]
#: COCO's: polygons, or run lengths of background, object, background, ... down the columns.
Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]


def anything_drawn(path: Path, size: Size) -> Flags:
    """Return HW bool, true if an image's pixel is not zero, without opacity. Raises StimuliError."""
    drawn = read_plane(path) != 0
    return require_size(drawn.any(axis=2) if drawn.ndim == 3 else drawn, size, path)


def class_numbers(path: Path, kind: ClassImages) -> NDArray[np.int64]:
    """Read the class of each pixel, HW. Raises StimuliError on another kind of image, or a number that is none."""
    colour, most, ignored = kind
    plane = read_plane(path)
    if plane.ndim != 2 + colour or plane.dtype != np.uint8:
        expected = "a colour image, red + 256 * green = class" if colour else "the palette image as published"
        raise StimuliError(f"{path}: expected {expected}.")
    plane = plane.astype(np.int64)
    numbers = plane[:, :, 0] + 256 * plane[:, :, 1] if colour else plane
    if len(unknown := numbers[(numbers > most) & (numbers != ignored)]):
        raise StimuliError(f"{path}: class {unknown[0]}; the set has 0 to {most}, and {ignored}.")
    return np.asarray(numbers)


def of_class(path: Path, value: int, kind: ClassImages, size: Size) -> Flags:
    """Return HW bool, true on the pixels of a class. Raises StimuliError."""
    return np.asarray(require_size(class_numbers(path, kind), size, path) == value)


def graded(path: Path, size: Size) -> NDArray[np.float32]:
    """Read a map as HW float32 >= 0 from a file of numbers or an image; several channels are averaged."""
    with foreign("maps", path, StimuliError, "It is not a whole NumPy file of numbers."), open_plain(path) as file:
        values = np.asarray(np.load(file, allow_pickle=False)) if path.suffix == ".npy" else read_plane(path)
    if values.dtype.kind not in "uifb":
        raise StimuliError(f"{path}: a map of {values.dtype}; expected numbers.")
    flat = values.mean(axis=2) if values.ndim == 3 else values
    plane: NDArray[np.float32] = require_size(flat, size, path).astype(np.float32)
    if not np.isfinite(plane).all() or plane.min(initial=0) < 0:
        raise StimuliError(f"{path}: a map with NaN, infinite or negative values; expected >= 0.")
    return plane


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


def flags_of(segmentation: Segmentation, size: Size) -> Flags:
    """Draw polygons (their union) or run lengths as HW bool. size: height, width. Raises ValueError with a problem."""
    if isinstance(segmentation, Mapping):
        runs, pixels = np.asarray(segmentation["counts"]), size[0] * size[1]
        if runs.dtype.kind not in "iu" or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
            raise ValueError(f"expected run lengths, whole numbers that add up to the image's {pixels} pixels")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")
    mask = np.zeros(size, dtype=bool)
    for outline in segmentation:
        flat = np.asarray(outline, dtype=np.float64)
        if flat.ndim != 1 or len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all():
            raise ValueError("a polygon needs x and y of three corners or more")
        mask |= fill_polygon(flat.reshape(-1, 2), size)
    return mask


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
