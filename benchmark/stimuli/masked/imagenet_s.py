"""ImageNet-S: validation/WNID/*.JPEG and validation-segmentation/WNID/*.png (Gao et al. 2022).

A mask is a colour PNG in which red + 256 * green is the class: 1 to 919, 300 or 50 in the order of
the sorted WordNet ids of that edition, 0 for everything else, 1000 for pixels that are to be
ignored. Three editions: ImageNetS919, ImageNetS300, ImageNetS50.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Annotation, Flags, Item, Size, check_category, images_below
from benchmark.stimuli.masked.outlines import read_plane
from registry.labels import label_space

IGNORED = 1000
#: Images, then the masks of these images.
SPLITS = (("validation", "validation-segmentation"), ("train-semi", "train-semi-segmentation"))
_EDITION = re.compile(r"imagenet-?s-?(50|300|919)", re.IGNORECASE)


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images of the validation split (else of train-semi), by class folder.

    Raises StimuliError where a mask is missing, or a class is not one of the edition.
    """
    root = root_of(folder)
    images, masks = split_of(root)
    edition = _edition(root, entry)
    values = values_of(edition)
    for path in images_below(images):
        category = path.parent.name
        check_category(category, "imagenet1k", path.parent)
        if category not in values:
            raise StimuliError(f"{path.parent}: no class of ImageNet-S {edition}.")
        mask = masks / category / f"{path.stem}.png"
        if not mask.is_file():
            raise StimuliError(f"{mask}: there is no such mask, but there is the image {path}.")
        drawn = Annotation(
            mask=OfClass(mask, values[category], edition),
            ignored=OfClass(mask, IGNORED, edition),
            files=(mask,),
            text=f"class {values[category]}",
        )
        yield Item(path.name, path, {"category": category}, drawn)


@dataclass(frozen=True)
class OfClass:
    """size -> HW bool: where a mask has a class's number."""

    path: Path
    value: int
    edition: int

    def __call__(self, size: Size) -> Flags:
        """HW bool. Raises StimuliError."""
        classes = _classes(self.path, size)
        unknown = classes[(classes > self.edition) & (classes != IGNORED)]
        if len(unknown):
            raise StimuliError(
                f"{self.path}: class {unknown[0]}; ImageNet-S {self.edition} has 1 to "
                f"{self.edition}, 0 and {IGNORED}. Is it of another edition?"
            )
        return np.asarray(classes == self.value)


def root_of(folder: Path) -> Path:
    """The folder that holds validation and validation-segmentation: `folder`, or the edition below
    it. Raises StimuliError where there is none, or several.
    """
    found = roots_of(folder)
    if len(found) > 1:
        names = ", ".join(place.name for place in found)
        raise StimuliError(f"{folder}: several editions ({names}). Name one of these folders.")
    if not found:
        wanted = " and ".join(SPLITS[0])
        raise StimuliError(f"{folder}: expected the folders {wanted} of ImageNet-S.")
    return found[0]


def roots_of(folder: Path) -> list[Path]:
    """`folder` and the folders in it that hold images and masks of a split."""
    places = (folder, *sorted(folder.iterdir()))
    return [p for p in places if any((p / a).is_dir() and (p / b).is_dir() for a, b in SPLITS)]


def split_of(root: Path) -> tuple[Path, Path]:
    """The folders of images and masks that are read."""
    return next(
        (root / a, root / b) for a, b in SPLITS if (root / a).is_dir() and (root / b).is_dir()
    )


@cache
def values_of(edition: int) -> Mapping[str, int]:
    """WordNet id -> its number in the masks of an edition (919, 300 or 50)."""
    import yaml

    text = (files("benchmark.stimuli.masked") / "imagenet_s.yaml").read_text(encoding="utf-8")
    spans = [span.partition("-") for span in str(yaml.safe_load(text)[edition]).split()]
    outputs = [i for a, _, b in spans for i in range(int(a), int(b or a) + 1)]
    wnids = label_space("imagenet1k").classes
    return {wnids[output]: value for value, output in enumerate(outputs, start=1)}


def _edition(root: Path, entry: Entry) -> int:
    """919, 300 or 50, from the folder's name, else the set's, else how many classes there are."""
    for name in (root.name, entry.name):
        if found := _EDITION.search(name):
            return int(found[1])
    classes = {path.name for path in split_of(root)[0].iterdir() if path.is_dir()}
    if len(classes) in (50, 300, 919):
        return len(classes)
    raise StimuliError(
        f"{root}: {len(classes)} classes: which edition of ImageNet-S is it? "
        "Call the folder ImageNetS919, ImageNetS300 or ImageNetS50, as published."
    )


def _classes(path: Path, size: Size) -> NDArray[np.int64]:
    plane = read_plane(path)
    if plane.ndim != 3 or plane.shape[2] != 3:
        raise StimuliError(
            f"{path}: a grey image. Expected a colour one, red + 256 * green = class."
        )
    if plane.shape[:2] != size:
        raise StimuliError(
            f"{path}: {plane.shape[1]} x {plane.shape[0]} pixels, but its image has "
            f"{size[1]} x {size[0]}. Expected the same size."
        )
    return plane[:, :, 0].astype(np.int64) + 256 * plane[:, :, 1].astype(np.int64)
