"""ClickMe: graded maps of the image parts that people used (Linsley et al. 2019).

The folder holds images/, heatmaps/ (.npy, or a grey .png or .jpg) and labels.csv with a WordNet id as category."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import open_plain
from benchmark.stimuli.items import Annotation, Item, Size, labelled_images
from benchmark.stimuli.masked.outlines import read_plane, require_size
from registry.user_errors import foreign

Map = NDArray[np.float32]
SUFFIXES = (".npy", ".png", ".jpg", ".jpeg")


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield the images with their maps. Raises StimuliError."""
    for item in labelled_images(entry, folder):
        start = folder / "heatmaps" / item.id
        maps = [path for suffix in SUFFIXES if (path := start.with_suffix(suffix)).is_file()]
        if not maps:
            raise StimuliError(
                f"{start.with_suffix('.npy')}: this map does not exist, but labels.csv names the "
                f"image '{item.id}'. Expected one of {', '.join(SUFFIXES)}."
            )
        yield replace(item, annotation=Annotation(importance=partial(_map, maps[0]), files=(maps[0],)))


def _map(path: Path, size: Size) -> Map:
    """Read a map as HW float32 >= 0 from a file of numbers or an image; several channels are averaged."""
    with foreign("maps", path, StimuliError, "It is not a whole NumPy file of numbers."), open_plain(path) as file:
        values = np.asarray(np.load(file, allow_pickle=False)) if path.suffix == ".npy" else read_plane(path)
    if values.dtype.kind not in "uifb":
        raise StimuliError(f"{path}: a map of {values.dtype}; expected numbers.")
    flat = values.mean(axis=2) if values.ndim == 3 else values
    plane: Map = require_size(flat, size, str(path)).astype(np.float32)
    if not np.isfinite(plane).all() or plane.min(initial=0) < 0:
        raise StimuliError(f"{path}: a map with NaN, infinite or negative values; expected >= 0.")
    return plane
