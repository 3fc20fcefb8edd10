"""The layout masks: images/, masks/ (PNG, not zero on the object), and labels.csv or class folders in images/."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Annotation, Item, check_category, images_below, labelled_images
from benchmark.stimuli.masked.outlines import anything_drawn


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images that labels.csv names, or without one those of images/CATEGORY/; `images/cats/7.jpg` has the mask
    `masks/cats/7.png`.

    Raises StimuliError where a row, an image, a category or a mask is missing."""
    table = (folder / "labels.csv").is_file()
    for item in (labelled_images if table else _in_classes)(entry, folder):
        path = (folder / "masks" / item.id).with_suffix(".png")
        if not path.is_file():
            where = "labels.csv names the image" if table else "there is the image"
            raise StimuliError(
                f"{path}: there is no such mask, but {where} '{item.id}'. "
                "Expected a PNG of the image's size, not zero on the object."
            )
        yield replace(item, annotation=Annotation(mask=partial(anything_drawn, path), files=(path,)))


def _in_classes(entry: Entry, folder: Path) -> Iterator[Item]:
    root = folder / "images"
    if not root.is_dir():
        raise StimuliError(f"{folder}: the layout 'masks' has its images in {root}, which is not there.")
    for path in images_below(root):
        name = path.relative_to(root)
        if len(name.parts) == 1:
            raise StimuliError(
                f"{path}: of no category. Expected {folder / 'labels.csv'} with the columns image and category, or "
                "every image in a folder of its class: images/CATEGORY/NAME."
            )
        check_category(name.parts[0], entry.space, path)
        yield Item(name.as_posix(), path, {"category": name.parts[0]})
