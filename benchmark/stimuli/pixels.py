"""Pixels of image files: RGB arrays and object masks. Values that can be sent to worker
processes."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.plain_files import open_plain, read_plain
from registry.whole_files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

T = TypeVar("T")
#: What Pillow raises on files that are damaged or no images, besides its own DecompressionBombError.
BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError),
    *(TypeError, KeyError, IndexError, struct.error, zlib.error),
)
MOST_PIXELS = 2**26  # 8192 x 8192: a header may state any size
#: Silhouettes are black objects on white: darker than this is object.
DARK = 128


@dataclass(frozen=True)
class FileImages:
    """decode(i): the i-th file as HWC uint8 RGB. Raises StimuliError naming the file and the
    remedy.

    digests: SHA-256 of each file as the set was planned: the bytes that are decoded are those bytes, or none.
    """

    paths: Sequence[Path]
    remedy: str
    digests: Sequence[str] | None = None

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8 RGB."""
        path = self.paths[index]
        data = _bytes_of(path, self.remedy)
        if self.digests is not None and hashlib.sha256(data).hexdigest() != self.digests[index]:
            raise changed(path)
        return _decoded(data, path, self.remedy)


def changed(path: Path) -> StimuliError:
    """The error for a file whose content is not that of the planned set."""
    return StimuliError(
        f"{path}: its content is not the one that was planned: it changed during the run, or its size and times were "
        "set back. Nothing of this set was answered from it. Run again; `bench data verify` reads every file anew."
    )


@dataclass(frozen=True)
class FileMasks:
    """mask(i): HW bool, true on the object, from the silhouette that fits the i-th image (pixel by
    pixel: the published images were made from the same photographs at the same size).
    """

    images: FileImages
    silhouettes: tuple[Path, ...]

    def __call__(self, index: int) -> NDArray[np.bool_]:
        """HW bool."""
        silhouette = read_rgb(self.silhouettes[index], self.images.remedy)
        width, height = size_of(self.images.paths[index], self.images.remedy)
        if silhouette.shape[:2] != (height, width):
            raise StimuliError(
                f"{self.silhouettes[index]}: {silhouette.shape[1]} x {silhouette.shape[0]} pixels, "
                f"but the image that it masks, {self.images.paths[index]}, has {width} x {height}. "
                "Use silhouettes of the same set."
            )
        return np.asarray(silhouette.mean(axis=2) < DARK)


@dataclass(frozen=True)
class Picked(Generic[T]):
    """A function of an index, seen through a choice of indices."""

    source: Callable[[int], T]
    index: tuple[int, ...]

    def __call__(self, index: int) -> T:
        """The source's value for the index-th chosen one."""
        return self.source(self.index[index])


def read_rgb(path: Path, remedy: str) -> NDArray[np.uint8]:
    """HWC uint8 RGB of an image file. Raises StimuliError where it is missing, cut short or no
    image."""
    return _decoded(_bytes_of(path, remedy), path, remedy)


def size_of(path: Path, remedy: str) -> tuple[int, int]:
    """Width and height in pixels, from the file's header. Raises StimuliError as `read_rgb`."""
    try:
        with open_plain(path) as file, opened(file, partial(_broken, path, remedy)) as image:
            return image.size
    except OSError as error:
        raise _broken(path, remedy, error) from error


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """HWC uint8 RGB as a PNG file (whatever its name says), in one move; its folder is made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        Image.fromarray(pixels).save(file, "PNG")


@contextmanager
def opened(file: BinaryIO, complaint: Callable[[Exception], StimuliError]) -> Iterator[PILImage]:
    """An image file, as Pillow sees it. Raises what `complaint` makes of what is wrong, here and in the body."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f"{image.width} x {image.height} pixels; at most {MOST_PIXELS} are read"
                )
            yield image
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise complaint(error) from error


def _broken(path: Path, remedy: str, error: Exception) -> StimuliError:
    return StimuliError(
        f"{path}: not a complete image ({error}). Expected a whole PNG or JPEG file. "
        f"Delete it and get the set again: {remedy}."
    )


def _bytes_of(path: Path, remedy: str) -> bytes:
    try:
        return read_plain(path)
    except OSError as error:
        raise _broken(path, remedy, error) from error


def _decoded(data: bytes, path: Path, remedy: str) -> NDArray[np.uint8]:
    with opened(BytesIO(data), partial(_broken, path, remedy)) as image:
        return rgb_of(image)


def rgb_of(image: PILImage) -> NDArray[np.uint8]:
    """HWC uint8 RGB of an opened image; of 16 bits a channel the upper eight, as of colour files. Raises ValueError
    where its values have no known white.
    """
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise ValueError(f"pixels of mode {image.mode}; expected 8 or 16 bits")
    if not image.mode.startswith("I"):
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
