"""PASCAL VOC: JPEGImages/, SegmentationClass/ (palette PNG) and ImageSets/Segmentation/."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_text
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size
from benchmark.stimuli.masked.outlines import fitting, main_object, only_edition, read_plane
from registry.foreign import foreign

LONGEST = 200  # letters of a name
VOID = 255  # outlines, and objects that were too hard to draw
#: The values 1 to 20 of a class image, in the order of the development kit; those of the sixteen under their names
#: there.
CLASSES = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
#: The list that is read: the first of these that is there.
LISTS = ("trainval.txt", "val.txt", "train.txt")


def read(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """The images of the segmentation list whose main object is of the sixteen categories.

    The mask is every pixel of the main category, void pixels are ignored. Raises StimuliError."""
    root = only_edition(roots_of(folder), folder, "JPEGImages and SegmentationClass of VOC")
    for stem in _listed(root):
        path = root / "SegmentationClass" / f"{stem}.png"
        if not path.is_file():
            raise StimuliError(f"{path}: there is no such class image, but ImageSets names it.")
        counts = np.bincount(_indices(path).ravel(), minlength=VOID + 1)
        unknown = np.flatnonzero(counts[len(CLASSES) + 1 : VOID])
        if len(unknown):
            raise StimuliError(
                f"{path}: the value {unknown[0] + len(CLASSES) + 1} is no class; "
                f"expected 0 to {len(CLASSES)} and {VOID}."
            )
        category = main_object({name: float(counts[i]) for i, name in enumerate(CLASSES, start=1)})
        if isinstance(category, LeftOut):
            yield category
        elif not (image := root / "JPEGImages" / f"{stem}.jpg").is_file():
            yield LeftOut("the image itself is not in the folder", absent=True)
        else:
            value = CLASSES.index(category) + 1
            drawn = Annotation(
                mask=partial(_of_value, path, value), ignored=partial(_of_value, path, VOID), files=(path,)
            )
            yield Item(image.name, image, {"category": category}, drawn)


def _of_value(path: Path, value: int, size: Size) -> Flags:
    """HW bool: where a class image has a value. Raises StimuliError."""
    return np.asarray(fitting(_indices(path), size, path) == value)


def roots_of(folder: Path) -> list[Path]:
    """The folders that hold JPEGImages: `folder` itself, else those in it, else in its VOCdevkit."""
    for pattern in ("JPEGImages", "*/JPEGImages", "VOCdevkit/*/JPEGImages"):
        if found := sorted(place.parent for place in folder.glob(pattern) if place.is_dir()):
            return found
    return []


def _listed(root: Path) -> list[str]:
    """Stems of the images with class images; without a list, all that there are."""
    for place in (root / "ImageSets" / "Segmentation" / name for name in LISTS):
        if place.is_file():
            with foreign("list of images", place, StimuliError):
                names = read_text(place).split()
            for name in names:  # none may lead out of the folder of images
                if set(name) & set("/\\\0") or len(name) > LONGEST:
                    raise StimuliError(f"{place}: {name!r:.80} is no image's name, such as 2007_000033.")
            return names
    drawn = root / "SegmentationClass"
    if not drawn.is_dir():
        raise StimuliError(f"{drawn}: there is no such folder. Expected class images such as 2007_000033.png.")
    return sorted(path.stem for path in drawn.glob("*.png"))


def _indices(path: Path) -> NDArray[np.uint8]:
    plane = read_plane(path)
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise StimuliError(
            f"{path}: a colour image. Expected the palette image as published, whose values are class numbers."
        )
    return np.asarray(plane, dtype=np.uint8)
