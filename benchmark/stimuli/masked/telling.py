"""Which of these layouts a folder has, told from the names in it."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path

from benchmark.stimuli.catalogue import GEIRHOS16, WNID, Layout
from benchmark.stimuli.items import images_below, subfolders
from benchmark.stimuli.masked import imagenet_s, voc
from benchmark.stimuli.masked.boxes import PACKED


def role_of(layout: str) -> str:
    """What suites know a set of such a layout as, where the user does not say."""
    return "clickme" if layout == "clickme" else "natural-masked"


def tell(folder: Path) -> tuple[Layout, str | None] | None:
    """The layout and, where the folder tells it, the decision space of its labels; else None."""
    if (folder / "labels.csv").is_file():
        return _beside_a_table(folder)
    if imagenet_s.roots_of(folder):
        return "imagenet-s", "imagenet1k"
    if voc.roots_of(folder):
        return "voc", "geirhos16"
    if any((folder / "annotations").glob("instances_*.json")):
        return "coco", "geirhos16"
    if (folder / "masks").is_dir() and (folder / "images").is_dir():
        return "masks", _space_of(set(subfolders(folder / "images")))
    if _has_boxes(folder):
        return "imagenet-boxes", "imagenet1k"
    # Only where there are no image files: a tree of a million images is not walked for archives.
    if next(images_below(folder), None) is None and _has_archives(folder):
        return "clickme", "imagenet1k"
    return None


def _beside_a_table(folder: Path) -> tuple[Layout, str | None] | None:
    if (folder / "heatmaps").is_dir():
        return "clickme", _space(folder / "labels.csv")
    if (folder / "masks").is_dir():
        return "masks", _space(folder / "labels.csv")
    return None


def _space(table: Path) -> str | None:
    """The decision space of a table's categories, where all of them are of one."""
    with (
        suppress(OSError, ValueError, csv.Error),
        table.open(newline="", encoding="utf-8-sig") as file,
    ):
        return _space_of({row.get("category") or "" for row in csv.DictReader(file)})
    return None


def _space_of(names: set[str]) -> str | None:
    if names and names <= set(GEIRHOS16):
        return "geirhos16"
    return "imagenet1k" if names and all(map(WNID.fullmatch, names)) else None


def _has_boxes(folder: Path) -> bool:
    roots = (folder, folder / "ILSVRC")
    packed = any(all((root / place).is_dir() for place in PACKED) for root in roots)
    return packed or any((folder / "Annotations").rglob("*.xml"))


def _has_archives(folder: Path) -> bool:
    return any(True for end in ("*.tfrecord*", "*.npz") for _ in folder.rglob(end))
