"""Masks and maps that lie in image files: their values as stored, at the size of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.items import Flags, Size
from benchmark.stimuli.pixels import opened
from benchmark.stimuli.plain_files import read_plain

#: PIL modes whose values are what was meant: grey, palette index, colour, 16 and 32 bits. Others,
#: with opacity above all, become colour: opacity says nothing of an object.
_KEPT = frozenset({"1", "L", "P", "RGB", "I", "I;16", "I;16B", "F"})


@dataclass(frozen=True)
class AnythingDrawn:
    """mask(size): HW bool, true where an image file is not zero; opacity does not count."""

    path: Path

    def __call__(self, size: Size) -> Flags:
        """HW bool. Raises StimuliError where the file is no image or of another size."""
        drawn = read_plane(self.path) != 0
        return fitting(drawn.any(axis=2) if drawn.ndim == 3 else drawn, size, self.path)


def read_plane(path: Path) -> NDArray[Any]:
    """HW, or HWC of a colour image, as stored: of a palette image its indices. Raises StimuliError."""
    try:
        return plane_of(read_plain(path), str(path))
    except OSError as error:
        raise _broken(str(path), error) from error


def plane_of(data: bytes, where: str) -> NDArray[Any]:
    """`read_plane` of a file's bytes; errors name `where`."""
    with opened(BytesIO(data), partial(_broken, where)) as image:
        return np.array(image if image.mode in _KEPT else image.convert("RGB"))


def _broken(where: str, error: Exception) -> StimuliError:
    return StimuliError(f"{where}: not a complete image ({error}). Expected a whole PNG file.")


def fitting(plane: NDArray[Any], size: Size, where: object) -> NDArray[Any]:
    """`plane`, if it is as large as the image that it lies over; else StimuliError."""
    if plane.shape != size:
        raise StimuliError(
            f"{where}: {_spoken(plane.shape)} pixels, but the image that it belongs to has "
            f"{_spoken(size)}. Expected the same size."
        )
    return plane


def _spoken(shape: tuple[int, ...]) -> str:
    """ "WIDTH x HEIGHT", as people say it."""
    return " x ".join(str(side) for side in (*shape[1::-1], *shape[2:]))
