"""What a layout gives: images with their labels, and what else is known of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.names import GEIRHOS16, WNID

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
#: Spaces whose labels are the sixteen categories.
SIXTEEN = frozenset({"geirhos16", "world16"})
Size = tuple[int, int]  # height, width
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Item:
    """One image: its unique name, its file, its labels by column, what is drawn over it."""

    id: str
    path: Path
    labels: Mapping[str, str]
    annotation: Annotation | None = None


@dataclass(frozen=True)
class LeftOut:
    """An image that the set does not show, and why: images of one reason are counted together.

    absent: it is of the set, but its file is not in the folder.
    """

    reason: str
    absent: bool = False


@dataclass(frozen=True)
class Annotation:
    """What is known of an image's pixels; functions that can be sent to worker processes.

    mask, ignored: size (height, width) of the image -> HW bool (see `contracts.Stimuli`);
    importance: size -> HW float32; pixels: the image itself, HWC uint8, where it is no file of its
    own; files, text: what decides all of these, for the item's digest.
    """

    mask: Callable[[Size], Flags] | None = None
    ignored: Callable[[Size], Flags] | None = None
    importance: Callable[[Size], NDArray[np.float32]] | None = None
    pixels: Callable[[], NDArray[np.uint8]] | None = None
    files: tuple[Path, ...] = ()
    text: str = ""


def images_below(folder: Path) -> Iterator[Path]:
    """Image files of a folder tree in sorted order; hidden files and folders are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from images_below(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def check_category(category: str, space: str, where: object) -> None:
    """Raise StimuliError where `category` is not one of the space's."""
    if space in SIXTEEN and category not in GEIRHOS16:
        raise StimuliError(
            f"{where}: '{category}' is not one of the 16 categories ({', '.join(GEIRHOS16)})."
        )
    if space == "imagenet1k" and not WNID.fullmatch(category):
        raise StimuliError(f"{where}: '{category}' is not a WordNet id such as n01440764.")


def check_spelling(folder: Path, names: Sequence[str]) -> None:
    """Raise StimuliError where a name is not UTF-8: no leaderboard and no list of sets could hold it."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        name = next(name for name in names if not _is_text(name))
        raise StimuliError(
            f"{folder}: the name {os.fsencode(name)!r} is not UTF-8. Rename the file or folder."
        ) from None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_unique(items: Iterable[Item]) -> None:
    """Raise StimuliError where two images have one name."""
    seen: dict[str, Path] = {}
    for item in items:
        if item.id in seen:
            raise StimuliError(
                f"{item.path} and {seen[item.id]} are both called '{item.id}': "
                "image names must be unique."
            )
        seen[item.id] = item.path
