"""COCO: annotations/instances_SPLIT.json and the images of that split."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size
from benchmark.stimuli.masked.outlines import Segmentation, area_of, flags_of, main_object
from registry.foreign import foreign

#: The file that is read where there are several.
PREFERRED = "instances_val2017.json"
_START = "instances_"
MOST_BYTES = 2**31  # instances_train2017.json has 450 MB
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Thing:
    """One annotation: its category's name, its outline, whether it is a crowd drawn as one."""

    category: str
    outline: Segmentation
    crowd: bool


def _drawn(
    outlines: Sequence[Segmentation], less: Sequence[Segmentation], stated: Size, where: str, size: Size
) -> Flags:
    """HW bool: the union of outlines, less that of others. stated: height and width as the file has them; where: file
    and image, for errors. Raises StimuliError."""
    if size != stated:
        raise StimuliError(
            f"{where}: stated as {stated[1]} x {stated[0]} pixels, but the file has "
            f"{size[1]} x {size[0]}. Expected the image as published."
        )
    mask = np.zeros(size, dtype=bool)
    with foreign("outline", where, StimuliError):
        for outline in outlines:
            mask |= flags_of(outline, size)
        for outline in less:
            mask &= ~flags_of(outline, size)
    return mask


def read(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """The images whose main object is of the sixteen categories; all of them are COCO categories.

    The mask is every object of the main category; crowds of it that are drawn as one are ignored, where no single
    object lies over them. Raises StimuliError."""
    path = instances_of(folder)
    table = _loaded(path)
    split = path.stem.removeprefix(_START)
    places = (folder / split, folder / "images" / split, folder / "images")
    things = _things(table, path)
    for row in table["images"]:
        name, number, size = _image(row, path)
        there = things.get(number, ())
        areas: dict[str, float] = defaultdict(float)
        with foreign("outline", f"{path}, image {number}", StimuliError):
            for thing in there:
                areas[thing.category] += area_of(thing.outline)
        category = main_object(areas)
        if isinstance(category, LeftOut):
            yield category
            continue
        image = next((place / name for place in places if (place / name).is_file()), None)
        if image is None:
            yield LeftOut("the image itself is not in the folder", absent=True)
            continue
        own = [thing for thing in there if thing.category == category]
        single = tuple(thing.outline for thing in own if not thing.crowd)
        crowds = tuple(thing.outline for thing in own if thing.crowd)
        where = f"{path}, {name}"
        drawn = Annotation(
            mask=partial(_drawn, single, (), size, where),
            ignored=partial(_drawn, crowds, single, size, where),
            text=json.dumps([single, crowds], sort_keys=True),
        )
        yield Item(name, image, {"category": category}, drawn)


def instances_of(folder: Path) -> Path:
    """The file of annotations: instances_val2017.json, or the only one. Raises StimuliError."""
    found = sorted((folder / "annotations").glob(f"{_START}*.json"))
    if not found:
        raise StimuliError(f"{folder}: expected annotations/{PREFERRED} of COCO.")
    preferred = [path for path in found if path.name == PREFERRED]
    if len(found) > 1 and not preferred:
        names = ", ".join(path.name for path in found)
        raise StimuliError(f"{folder}: several files of annotations ({names}). Keep one of them.")
    return (preferred or found)[0]


def _loaded(path: Path) -> Row:
    with foreign("annotations", path, StimuliError, "It is not valid JSON of COCO."):
        table = json.loads(read_plain(path, MOST_BYTES))
    for key in ("images", "annotations", "categories"):
        rows = table.get(key) if isinstance(table, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise StimuliError(f"{path}: expected a list '{key}', as COCO's instances have.")
    return dict(table)


def _things(table: Row, path: Path) -> Mapping[int, list[Thing]]:
    """Image number -> what is drawn in it."""
    rows = table["categories"]
    names = {row.get("id"): row.get("name") for row in rows if isinstance(row.get("id"), int)}
    things: dict[int, list[Thing]] = defaultdict(list)
    for place, row in enumerate(table["annotations"]):
        outline, number = row.get("segmentation"), row.get("category_id")
        category = names.get(number) if isinstance(number, int) else None
        if not isinstance(category, str) or not isinstance(row.get("image_id"), int):
            raise StimuliError(f"{path}: annotation {place} needs 'image_id' and a known 'category_id'.")
        if not isinstance(outline, list | dict):
            raise StimuliError(f"{path}: annotation {place} has no 'segmentation'.")
        things[row["image_id"]].append(Thing(category, outline, bool(row.get("iscrowd"))))
    return things


def _image(row: Row, path: Path) -> tuple[str, int, Size]:
    """File name, number, height and width of an image."""
    name, sides = row.get("file_name"), (row.get("height"), row.get("width"))
    height, width = sides
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise StimuliError(f"{path}: an image's 'file_name' is {name!r}; expected a name.")
    if not isinstance(row.get("id"), int):
        raise StimuliError(f"{path}: the image {name} has no 'id'.")
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
        raise StimuliError(f"{path}: the image {name} has no 'height' and 'width'.")
    return name, row["id"], (height, width)
