"""Readers of sets whose images carry object masks or graded human maps."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry, Layout
from benchmark.stimuli.image_names import GEIRHOS16, wnid_of
from benchmark.stimuli.items import Annotation, Item, LeftOut, check_category, images_below, labelled_images, subfolders
from benchmark.stimuli.masked import clickme, imagenet, scenes
from benchmark.stimuli.masked.outlines import anything_drawn


def _read_masks(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield images/ with masks/ (PNG, not zero on the object) and labels.csv, or with class folders in both."""
    table = (folder / "labels.csv").is_file()
    for item in (labelled_images if table else _images_in_classes)(entry, folder):
        path = (folder / "masks" / item.id).with_suffix(".png")
        if not path.is_file():
            where = "labels.csv names the image" if table else "there is the image"
            raise StimuliError(
                f"{path}: this mask does not exist, but {where} '{item.id}'. Expected a PNG of its size."
            )
        yield replace(item, annotation=Annotation(mask=partial(anything_drawn, path), files=(path,)))


def _images_in_classes(entry: Entry, folder: Path) -> Iterator[Item]:
    root = folder / "images"
    for path in images_below(root) if root.is_dir() else ():
        name = path.relative_to(root)
        if len(name.parts) == 1:
            raise StimuliError(f"{path}: of no category. Expected {folder / 'labels.csv'}, or images/CATEGORY/NAME.")
        check_category(name.parts[0], entry.space, path)
        yield Item(id=name.as_posix(), path=path, labels={"category": name.parts[0]})


#: Layout -> reader of its images. Readers raise StimuliError if the folder does not have the layout.
READERS: Mapping[str, Callable[[Entry, Path], Iterator[Item | LeftOut]]] = {
    "masks": _read_masks,
    "imagenet-s": imagenet.read_segmented,
    "imagenet-boxes": imagenet.read_boxes,
    "voc": scenes.read_voc,
    "coco": scenes.read_coco,
    "clickme": clickme.read,
}


def annotated_layout(place: Path) -> tuple[Layout, str | None] | None:
    """Detect a layout with masks or maps by the names in a folder, and the label space if the folder shows
    it."""
    table = place / "labels.csv"
    if table.is_file():
        space = None
        with suppress(OSError, ValueError, csv.Error), table.open(newline="", encoding="utf-8-sig") as file:
            space = space_of({row.get("category") or "" for row in csv.DictReader(file)})
        if (place / "heatmaps").is_dir():
            return "clickme", space
        return ("masks", space) if (place / "masks").is_dir() else None
    if imagenet.segmented_roots(place):
        return "imagenet-s", "imagenet1k"
    if scenes.voc_roots(place):
        return "voc", "geirhos16"
    if any((place / "annotations").glob("instances_*.json")):
        return "coco", "geirhos16"
    if (place / "masks").is_dir() and (place / "images").is_dir():
        return "masks", space_of(set(subfolders(place / "images")))
    if imagenet.box_folders(place)[1] != place or any((place / "Annotations").rglob("*.xml")):
        return "imagenet-boxes", "imagenet1k"
    return None


def space_of(names: set[str]) -> str | None:
    """Return the label space that contains all these categories, if there is one."""
    if names and names <= set(GEIRHOS16):
        return "geirhos16"
    return "imagenet1k" if names and all(map(wnid_of, names)) else None
