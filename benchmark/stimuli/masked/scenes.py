"""Data sets of scenes: PASCAL VOC and COCO, and the choice of one object as an image's category."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain, read_text
from benchmark.stimuli.image_names import GEIRHOS16
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size
from benchmark.stimuli.masked.outlines import Segmentation, area_of, fitting, flags_of, only_edition, read_plane
from registry.foreign import foreign

#: A second category with more than this share of the main one's area makes an image ambiguous.
RIVAL = 0.5
_ABSENT = LeftOut("the image itself is not in the folder", absent=True)


def main_object(areas: Mapping[str, float]) -> str | LeftOut:
    """Choose the category of an image among the sixteen, or the reason for leaving it out.

    areas: category -> pixels of all its objects, for every category of the data set. The main category has the largest
    area. The image counts if that category is one of the sixteen and no other category has more than half of its area.
    """
    ranked = sorted((item for item in areas.items() if item[1] > 0), key=lambda item: -item[1])
    if not ranked:
        return LeftOut("no object")
    category, area = ranked[0]
    if len(ranked) > 1 and ranked[1][1] > RIVAL * area:
        return LeftOut("a second category is more than half as large as the largest")
    return category if category in GEIRHOS16 else LeftOut("the largest object is of none of the 16 categories")


VOID = 255  # outlines and difficult objects
#: The values 1 to 20 of a class image, in the order of the development kit; the sixteen under their own names.
CLASSES = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


def read_voc(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of PASCAL VOC whose main object is in the sixteen categories: JPEGImages/, SegmentationClass/
    (palette PNG) and the longest list in ImageSets/Segmentation/. The mask has every pixel of the main category; void
    pixels are ignored. Raises StimuliError."""
    root = only_edition(voc_roots(folder), folder, "JPEGImages and SegmentationClass of VOC")
    drawn = root / "SegmentationClass"
    lists = (root / "ImageSets" / "Segmentation" / f"{name}.txt" for name in ("trainval", "val", "train"))
    if place := next(filter(Path.is_file, lists), None):
        with foreign("list of images", place, StimuliError):
            stems = read_text(place).split()
        for stem in stems:  # none may lead out of the folder of images
            if set(stem) & set("/\\\0") or len(stem) > 200:
                raise StimuliError(f"{place}: {stem!r:.80} is not an image's name, such as 2007_000033.")
    elif drawn.is_dir():
        stems = sorted(path.stem for path in drawn.glob("*.png"))
    else:
        raise StimuliError(f"{drawn}: there is no such folder. Expected class images such as 2007_000033.png.")
    for stem in stems:
        path = drawn / f"{stem}.png"
        if not path.is_file():
            raise StimuliError(f"{path}: there is no such class image, but ImageSets names it.")
        counts = np.bincount(_voc_classes(path).ravel(), minlength=VOID + 1)
        unknown = np.flatnonzero(counts[len(CLASSES) + 1 : VOID])
        if len(unknown):
            raise StimuliError(
                f"{path}: the value {unknown[0] + len(CLASSES) + 1} is not a class (0 to 20, and {VOID})."
            )
        category = main_object({name: float(counts[i]) for i, name in enumerate(CLASSES, start=1)})
        image = root / "JPEGImages" / f"{stem}.jpg"
        if isinstance(category, LeftOut):
            yield category
        elif not image.is_file():
            yield _ABSENT
        else:
            value = CLASSES.index(category) + 1
            mask, ignored = (partial(_of_value, path, number) for number in (value, VOID))
            yield Item(
                id=image.name,
                path=image,
                labels={"category": category},
                annotation=Annotation(mask=mask, ignored=ignored, files=(path,)),
            )


def voc_roots(folder: Path) -> list[Path]:
    """List the folders with JPEGImages: `folder` itself, otherwise those in it, otherwise those in its VOCdevkit."""
    for pattern in ("JPEGImages", "*/JPEGImages", "VOCdevkit/*/JPEGImages"):
        if roots := sorted(place.parent for place in folder.glob(pattern) if place.is_dir()):
            return roots
    return []


def _of_value(path: Path, value: int, size: Size) -> Flags:
    return np.asarray(fitting(_voc_classes(path), size, path) == value)


def _voc_classes(path: Path) -> NDArray[np.uint8]:
    plane = read_plane(path)
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise StimuliError(f"{path}: a colour image. Expected the palette image as published.")
    return np.asarray(plane, dtype=np.uint8)


#: The preferred file of COCO if there are several.
PREFERRED = "instances_val2017.json"
MOST_BYTES = 2**31  # instances_train2017.json has 450 MB


class CocoObject(NamedTuple):
    """One annotation of COCO."""

    category: str
    outline: Segmentation
    #: Whether it is a group outlined as one.
    crowd: bool


def read_coco(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of COCO whose main object is in the sixteen categories, which are all COCO categories.

    The folder has annotations/instances_SPLIT.json and the images of that split. The mask has every object of the main
    category; its crowds are ignored except below single objects. Raises StimuliError."""
    paths = sorted((folder / "annotations").glob("instances_*.json"))
    preferred = [path for path in paths if path.name == PREFERRED] or paths
    if not paths:
        raise StimuliError(f"{folder}: expected annotations/{PREFERRED} of COCO.")
    if len(preferred) > 1:
        names = ", ".join(path.name for path in paths)
        raise StimuliError(f"{folder}: several files of annotations ({names}). Keep one of them.")
    path = preferred[0]
    split = path.stem.removeprefix("instances_")
    places = (folder / split, folder / "images" / split, folder / "images")
    with foreign("annotations", path, StimuliError, "It is not valid JSON of COCO."):
        table = json.loads(read_plain(path, MOST_BYTES))
    for key in ("images", "annotations", "categories"):
        rows = table.get(key) if isinstance(table, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise StimuliError(f"{path}: expected a list '{key}', as COCO's instances have.")
    objects = _coco_objects(table, path)
    for row in table["images"]:
        name, number, size = _coco_image(row, path)
        areas: dict[str, float] = defaultdict(float)
        with foreign("outline", f"{path}, image {number}", StimuliError):
            for thing in objects[number]:
                areas[thing.category] += area_of(thing.outline)
        category = main_object(areas)
        image = next((place / name for place in places if (place / name).is_file()), None)
        if isinstance(category, LeftOut) or image is None:
            yield category if isinstance(category, LeftOut) else _ABSENT
            continue
        own = [thing for thing in objects[number] if thing.category == category]
        single, crowds = (tuple(thing.outline for thing in own if thing.crowd == crowd) for crowd in (False, True))
        where = f"{path}, {name}"
        drawn = Annotation(
            mask=partial(_drawn, single, (), size, where),
            ignored=partial(_drawn, crowds, single, size, where),
            text=json.dumps([single, crowds], sort_keys=True),
        )
        yield Item(id=name, path=image, labels={"category": category}, annotation=drawn)


def _drawn(
    outlines: Sequence[Segmentation], less: Sequence[Segmentation], stated: Size, where: str, size: Size
) -> Flags:
    """Draw the union of outlines without those in `less`, as HW bool. stated: height and width in the file."""
    if size != stated:
        raise StimuliError(f"{where}: stated as {stated[1]} x {stated[0]} pixels, the file has {size[1]} x {size[0]}.")
    mask = np.zeros(size, dtype=bool)
    with foreign("outline", where, StimuliError):
        for outline in outlines:
            mask |= flags_of(outline, size)
        for outline in less:
            mask &= ~flags_of(outline, size)
    return mask


def _coco_objects(table: Mapping[str, Any], path: Path) -> Mapping[int, list[CocoObject]]:
    """Group the annotated objects by image number."""
    names = {row.get("id"): row.get("name") for row in table["categories"] if isinstance(row.get("id"), int)}
    objects: dict[int, list[CocoObject]] = defaultdict(list)
    for place, row in enumerate(table["annotations"]):
        outline, number = row.get("segmentation"), row.get("category_id")
        category = names.get(number) if isinstance(number, int) else None
        if not isinstance(category, str) or not isinstance(row.get("image_id"), int):
            raise StimuliError(f"{path}: annotation {place} needs 'image_id' and a known 'category_id'.")
        if not isinstance(outline, list | dict):
            raise StimuliError(f"{path}: annotation {place} has no 'segmentation'.")
        objects[row["image_id"]].append(CocoObject(category, outline, bool(row.get("iscrowd"))))
    return objects


def _coco_image(row: Mapping[str, Any], path: Path) -> tuple[str, int, Size]:
    """Read file name, number, height and width of an image."""
    name, number, height, width = (row.get(key) for key in ("file_name", "id", "height", "width"))
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise StimuliError(f"{path}: an image's 'file_name' is {name!r}; expected a name.")
    if not isinstance(number, int):
        raise StimuliError(f"{path}: the image {name} has no 'id'.")
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
        raise StimuliError(f"{path}: the image {name} has no 'height' and 'width'.")
    return name, number, (height, width)
