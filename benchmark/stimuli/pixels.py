"""Pixels of image files: RGB arrays and object masks. Values that can be sent to worker
processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

T = TypeVar("T")
#: Silhouettes are black objects on white: darker than this is object.
DARK = 128


@dataclass(frozen=True)
class FileImages:
    """decode(i): the i-th file as HWC uint8 RGB. Raises StimuliError naming the file and the
    remedy."""

    paths: Sequence[Path]
    remedy: str

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8 RGB."""
        return read_rgb(self.paths[index], self.remedy)


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
    with _opened(path, remedy) as image:
        return np.array(image.convert("RGB"))


def size_of(path: Path, remedy: str) -> tuple[int, int]:
    """Width and height in pixels, from the file's header. Raises StimuliError as `read_rgb`."""
    with _opened(path, remedy) as image:
        return image.size


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """HWC uint8 RGB as a PNG file (whatever its name says), in one move; its folder is made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    Image.fromarray(pixels).save(unfinished, "PNG")
    unfinished.replace(path)


@contextmanager
def _opened(path: Path, remedy: str) -> Iterator[PILImage]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise StimuliError(
            f"{path}: not a complete image ({error}). Expected a whole PNG or JPEG file. "
            f"Delete it and get the set again: {remedy}."
        ) from error
