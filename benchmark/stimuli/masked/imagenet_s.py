"""ImageNet-S: validation/WNID/*.JPEG and validation-segmentation/WNID/*.png (Gao et al. 2022).

A mask is a colour PNG in which red + 256 * green is the class: 1 to 919, 300 or 50 in the order of the sorted WordNet
ids of that edition, 0 for everything else, 1000 for pixels that are to be ignored. Three editions: ImageNetS919,
ImageNetS300, ImageNetS50."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Annotation, Flags, Item, Size, check_category, images_below
from benchmark.stimuli.masked.outlines import fitting, only_edition, read_plane
from registry.labels import label_space

IGNORED = 1000
#: Images, then the masks of these images.
SPLITS = (("validation", "validation-segmentation"), ("train-semi", "train-semi-segmentation"))
_EDITION = re.compile(r"imagenet-?s-?(50|300|919)", re.IGNORECASE)


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images of the validation split (else of train-semi), by class folder.

    Raises StimuliError where a mask is missing, or a class is not one of the edition."""
    root = only_edition(roots_of(folder), folder, " and ".join(SPLITS[0]) + " of ImageNet-S")
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
            mask=partial(_of_class, mask, values[category], edition),
            ignored=partial(_of_class, mask, IGNORED, edition),
            files=(mask,),
            text=f"class {values[category]}",
        )
        yield Item(path.name, path, {"category": category}, drawn)


def _of_class(path: Path, value: int, edition: int, size: Size) -> Flags:
    """HW bool: where a mask has a class's number. Raises StimuliError."""
    plane = read_plane(path)
    if plane.ndim != 3 or plane.shape[2] != 3:
        raise StimuliError(f"{path}: a grey image. Expected a colour one, red + 256 * green = class.")
    classes = plane[:, :, 0].astype(np.int64) + 256 * plane[:, :, 1].astype(np.int64)
    classes = fitting(classes, size, path)
    unknown = classes[(classes > edition) & (classes != IGNORED)]
    if len(unknown):
        raise StimuliError(
            f"{path}: class {unknown[0]}; ImageNet-S {edition} has 1 to {edition}, 0 and {IGNORED}. "
            "Is it of another edition?"
        )
    return np.asarray(classes == value)


def roots_of(folder: Path) -> list[Path]:
    """`folder` and the folders in it that hold images and masks of a split."""
    places = (folder, *sorted(folder.iterdir()))
    return [p for p in places if any((p / a).is_dir() and (p / b).is_dir() for a, b in SPLITS)]


def split_of(root: Path) -> tuple[Path, Path]:
    """The folders of images and masks that are read."""
    return next((root / a, root / b) for a, b in SPLITS if (root / a).is_dir() and (root / b).is_dir())


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
