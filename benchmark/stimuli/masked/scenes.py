"""Data sets of scenes: PASCAL VOC and COCO, and the choice of one object as an image's category."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain, read_text
from benchmark.stimuli.image_names import GEIRHOS16
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size
from benchmark.stimuli.masked.outlines import Segmentation, area_of, flags_of, only_edition, read_plane, require_size
from registry.files import is_file
from registry.user_errors import foreign

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
    stems = sorted(path.stem for path in drawn.glob("*.png"))
    if place := next(filter(Path.is_file, lists), None):
        with foreign("list of images", place, StimuliError):
            stems = [Path(stem).name for stem in read_text(place).split()]
    for stem in stems:
        path = drawn / f"{stem}.png"
        if not is_file(path):
            raise StimuliError(f"{path}: this class image does not exist, but ImageSets names it.")
        counts = np.bincount(_voc_classes(path).ravel(), minlength=VOID + 1)
        if counts[len(CLASSES) + 1 : VOID].any():
            raise StimuliError(f"{path}: a value that is not a class (0 to 20, and {VOID}).")
        category = main_object({name: float(counts[i]) for i, name in enumerate(CLASSES, start=1)})
        image = root / "JPEGImages" / f"{stem}.jpg"
        if isinstance(category, LeftOut):
            yield category
        elif not image.is_file():
            yield _ABSENT
        else:
            value = CLASSES.index(category) + 1
            mask, ignored = (partial(_of_value, path, number) for number in (value, VOID))
            drawn_by = Annotation(mask=mask, ignored=ignored, files=(path,))
            yield Item(id=image.name, path=image, labels={"category": category}, annotation=drawn_by)


def voc_roots(folder: Path) -> list[Path]:
    """List the folders with JPEGImages: `folder` itself, otherwise those in it, otherwise those in its VOCdevkit."""
    for pattern in ("JPEGImages", "*/JPEGImages", "VOCdevkit/*/JPEGImages"):
        if roots := sorted(place.parent for place in folder.glob(pattern) if place.is_dir()):
            return roots
    return []


def _of_value(path: Path, value: int, size: Size) -> Flags:
    return np.asarray(require_size(_voc_classes(path), size, path) == value)


def _voc_classes(path: Path) -> NDArray[np.uint8]:
    plane = read_plane(path)
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise StimuliError(f"{path}: a colour image. Expected the palette image as published.")
    return np.asarray(plane, dtype=np.uint8)


#: The preferred file of COCO if there are several.
PREFERRED = "instances_val2017.json"
MOST_BYTES = 2**31  # instances_train2017.json has 450 MB


def read_coco(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of COCO whose main object is in the sixteen categories, which are all COCO categories.

    The folder has annotations/instances_SPLIT.json and the images of that split. The mask has every object of the main
    category; its crowds are ignored except below single objects. Raises StimuliError."""
    paths = sorted((folder / "annotations").glob("instances_*.json"))
    preferred = [path for path in paths if path.name == PREFERRED] or paths
    path = only_edition(preferred, folder, f"annotations/{PREFERRED} of COCO")
    split = path.stem.removeprefix("instances_")
    places = (folder / split, folder / "images" / split, folder / "images")
    objects: dict[int, list[tuple[str, Segmentation, bool]]] = defaultdict(list)  # category, outline, whether a crowd
    with foreign("annotations", path, StimuliError, "Expected images, annotations and categories as COCO has them."):
        table = json.loads(read_plain(path, MOST_BYTES))
        names = {row["id"]: str(row["name"]) for row in table["categories"]}
        for row in table["annotations"]:
            thing = names[row["category_id"]], row["segmentation"], bool(row.get("iscrowd"))
            objects[row["image_id"]].append(thing)
        images = [
            (Path(row["file_name"]).name, objects[row["id"]], (row["height"], row["width"])) for row in table["images"]
        ]
    for name, things, size in images:
        areas: dict[str, float] = defaultdict(float)
        with foreign("outline", where := f"{path}, {name}", StimuliError):
            for category, outline, _ in things:
                areas[category] += area_of(outline)
        main = main_object(areas)
        image = next((place / name for place in places if is_file(place / name)), None)
        if isinstance(main, LeftOut) or image is None:
            yield main if isinstance(main, LeftOut) else _ABSENT
            continue
        single, crowds = (
            [outline for category, outline, crowd in things if (category, crowd) == (main, group)]
            for group in (False, True)
        )
        drawn = Annotation(
            mask=partial(_drawn, single, (), size, where),
            ignored=partial(_drawn, crowds, single, size, where),
            text=json.dumps([single, crowds], sort_keys=True),
        )
        yield Item(id=name, path=image, labels={"category": main}, annotation=drawn)


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
