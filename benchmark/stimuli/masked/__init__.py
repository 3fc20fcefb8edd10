"""Readers of sets whose images carry object masks or graded human maps, one module per layout."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from benchmark.stimuli.catalogue import GEIRHOS16, WNID, Entry, Layout
from benchmark.stimuli.items import Item, LeftOut, images_below, subfolders
from benchmark.stimuli.masked import boxes, clickme, coco, folder, imagenet_s, voc

#: Layout -> (entry, folder) -> its images. Raise StimuliError on what breaks the layout.
READERS: Mapping[str, Callable[[Entry, Path], Iterator[Item | LeftOut]]] = {
    "masks": folder.read,
    "imagenet-s": imagenet_s.read,
    "imagenet-boxes": boxes.read,
    "voc": voc.read,
    "coco": coco.read,
    "clickme": clickme.read,
}


def annotated_layout(place: Path) -> tuple[Layout, str | None] | None:
    """Which of these layouts a folder has, told from the names in it, and, where the folder tells it, the decision
    space of its labels; else None."""
    table = place / "labels.csv"
    if table.is_file():
        for below, layout in (("heatmaps", "clickme"), ("masks", "masks")):
            if (place / below).is_dir():
                return layout, _space_of_table(table)  # type: ignore[return-value]
        return None
    if imagenet_s.roots_of(place):
        return "imagenet-s", "imagenet1k"
    if voc.roots_of(place):
        return "voc", "geirhos16"
    if any((place / "annotations").glob("instances_*.json")):
        return "coco", "geirhos16"
    if (place / "masks").is_dir() and (place / "images").is_dir():
        return "masks", space_of(set(subfolders(place / "images")))
    roots = (place, place / "ILSVRC")
    packed = any(all((root / part).is_dir() for part in boxes.PACKED) for root in roots)
    if packed or any((place / "Annotations").rglob("*.xml")):
        return "imagenet-boxes", "imagenet1k"
    # Only where there are no image files: a tree of a million images is not walked for archives.
    if next(images_below(place), None) is None:
        for ending in ("*.tfrecord*", "*.npz"):
            if any(place.rglob(ending)):
                return "clickme", "imagenet1k"
    return None


def _space_of_table(table: Path) -> str | None:
    """The decision space of a table's categories, where all of them are of one."""
    with suppress(OSError, ValueError, csv.Error), table.open(newline="", encoding="utf-8-sig") as file:
        return space_of({row.get("category") or "" for row in csv.DictReader(file)})
    return None


def space_of(names: set[str]) -> str | None:
    """The decision space of some categories, where all of them are of one."""
    if names and names <= set(GEIRHOS16):
        return "geirhos16"
    return "imagenet1k" if names and all(map(WNID.fullmatch, names)) else None
