"""COCO: outlines of the objects in photographs of scenes."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size
from benchmark.stimuli.masked.class_images import ABSENT, main_object, only_edition
from registry.files import is_file
from registry.user_errors import foreign

#: The preferred file if there are several.
PREFERRED = "instances_val2017.json"
MOST_BYTES = 2**31  # instances_train2017.json has 450 MB
#: Polygons, or run lengths of background, object, background, ... down the columns.
Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]


def read_coco(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of COCO whose main object (by `area`) is in the sixteen categories, which are all COCO
    categories.

    The folder has annotations/instances_SPLIT.json and the images of that split. The mask has every object of the main
    category; its crowds are ignored except below single objects. Raises StimuliError."""
    paths = sorted((folder / "annotations").glob("instances_*.json"))
    preferred = [path for path in paths if path.name == PREFERRED] or paths
    path = only_edition(preferred, folder, f"annotations/{PREFERRED} of COCO")
    split = path.stem.removeprefix("instances_")
    places = (folder / split, folder / "images" / split, folder / "images")
    areas: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    outlines: dict[tuple[int, str], tuple[list[Segmentation], list[Segmentation]]] = defaultdict(lambda: ([], []))
    with foreign("annotations", path, StimuliError, "Expected images, annotations and categories as COCO has them."):
        table = json.loads(read_plain(path, MOST_BYTES))
        names = {row["id"]: str(row["name"]) for row in table["categories"]}
        for row in table["annotations"]:
            image, category = row["image_id"], names[row["category_id"]]
            areas[image][category] += float(row["area"])
            outlines[image, category][bool(row.get("iscrowd"))].append(row["segmentation"])
        images = [(row["id"], Path(row["file_name"]).name, (row["height"], row["width"])) for row in table["images"]]
    for number, name, size in images:
        main = main_object(areas[number])
        file = next((place / name for place in places if is_file(place / name)), None)
        if isinstance(main, LeftOut) or file is None:
            yield main if isinstance(main, LeftOut) else ABSENT
            continue
        (single, crowds), where = outlines[number, main], f"{path}, {name}"
        drawn = Annotation(
            mask=partial(_drawn, single, (), size, where),
            ignored=partial(_drawn, crowds, single, size, where),
            text=json.dumps([single, crowds], sort_keys=True),
        )
        yield Item(id=name, path=file, labels={"category": main}, annotation=drawn)


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


def flags_of(segmentation: Segmentation, size: Size) -> Flags:
    """Draw polygons (their union) or run lengths as HW bool. size: height, width. Raises ValueError with a problem."""
    if isinstance(segmentation, Mapping):
        runs, pixels = np.asarray(segmentation["counts"]), size[0] * size[1]
        if runs.dtype.kind not in "iu" or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
            raise ValueError(f"expected run lengths, whole numbers that add up to the image's {pixels} pixels")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")
    mask = np.zeros(size, dtype=bool)
    for outline in segmentation:
        flat = np.asarray(outline, dtype=np.float64)
        if flat.ndim != 1 or len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all():
            raise ValueError("a polygon needs x and y of three corners or more")
        mask |= fill_polygon(flat.reshape(-1, 2), size)
    return mask


def fill_polygon(corners: NDArray[np.float64], size: Size) -> Flags:
    """Draw a polygon [k, 2] (x, y; pixel i spans i to i + 1) as HW bool: true if a pixel's centre is inside by the
    even-odd rule. Polygons that share an edge share no pixel."""
    height, width = size
    # Each edge is directed downwards, so that rounding puts the crossings of a shared or repeated edge at equal places.
    ends = np.stack([corners, np.roll(corners, -1, axis=0)])
    ends = np.where(ends[0, :, 1:] <= ends[1, :, 1:], ends, ends[::-1])
    (x, y), (x_next, y_next) = ends[0].T, ends[1].T
    centres = np.arange(height) + 0.5
    crossed = (y[None] <= centres[:, None]) != (y_next[None] <= centres[:, None])
    row, edge = np.nonzero(crossed)
    along = (centres[row] - y[edge]) / (y_next[edge] - y[edge])
    at = x[edge] + along * (x_next[edge] - x[edge])
    column = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), dtype=np.int64)
    np.add.at(turns, (row, column), 1)
    return np.asarray(turns.cumsum(axis=1)[:, :width] % 2 == 1)
