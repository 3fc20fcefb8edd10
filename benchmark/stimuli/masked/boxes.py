"""ImageNet's localisation boxes: Annotations/**/NAME.xml beside the images NAME.JPEG.

The mask is the union of the boxes of the image's own class: loose, for a box holds background too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import WNID, Entry
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size, images_below
from registry.foreign import foreign

#: Where the files of the validation images lie in the tree as it is packed: boxes, then images.
PACKED = (Path("Annotations/CLS-LOC/val"), Path("Data/CLS-LOC/val"))


def read(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """The images that have boxes. The class is the image's folder where that is a WordNet id, else the one that its XML
    names. Raises StimuliError."""
    markups, images = places_of(folder)
    known = {path.stem: path for path in markups.rglob("*.xml")}
    if not known:
        raise StimuliError(f"{markups}: no boxes: expected files such as NAME.xml.")
    for path in images_below(images):
        markup = known.get(path.stem)
        category = path.parent.name if WNID.fullmatch(path.parent.name) else None
        if markup is None:
            yield LeftOut("no boxes")
        elif category is None and (category := _only_class(markup)) is None:
            yield LeftOut("boxes of several classes, and no class folder")
        else:
            drawn = Annotation(mask=partial(_union, markup, category), files=(markup,), text=category)
            yield Item(path.name, path, {"category": category}, drawn)


def _union(path: Path, wnid: str, size: Size) -> Flags:
    """HW bool: the union of an XML file's boxes of one class, scaled to the image's size where the file speaks of
    another; all false where no box is of the class. Raises StimuliError."""
    root = read_markup(path)
    height, width = size
    across, down = _scale(root, "width", width), _scale(root, "height", height)
    mask = np.zeros(size, dtype=bool)
    expected = f"It has a box without numbers; expected bndbox with {', '.join(_SIDES)}."
    for thing in root.iter("object"):
        if (thing.findtext("name") or "").strip() == wnid:
            with foreign("annotation", path, StimuliError, expected):
                corners = [float(thing.findtext(f"bndbox/{side}") or "") for side in _SIDES]
                left, top, right, bottom = corners
                mask[_span(top, bottom, down, height), _span(left, right, across, width)] = True
    return mask


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def places_of(folder: Path) -> tuple[Path, Path]:
    """Where XML files and images are looked for: as packed (below ILSVRC or not), else in Annotations and in the whole
    folder. Raises StimuliError where there is no such folder."""
    for root in (folder, folder / "ILSVRC"):
        if all((root / place).is_dir() for place in PACKED):
            return root / PACKED[0], root / PACKED[1]
    markups = folder / "Annotations"
    return (markups if markups.is_dir() else folder), folder


def _only_class(path: Path) -> str | None:
    """The class of a file's boxes, if it is one. Raises StimuliError where it is no WordNet id."""
    names = {(thing.findtext("name") or "").strip() for thing in read_markup(path).iter("object")}
    strange = sorted(name for name in names if not WNID.fullmatch(name))
    if strange:
        raise StimuliError(f"{path}: '{strange[0]}' is not a WordNet id such as n01440764.")
    return names.pop() if len(names) == 1 else None


def _scale(root: Element, side: str, pixels: int) -> float:
    """Pixels of the image per pixel of the file; 1 where the file does not say its size."""
    try:
        stated = float(root.findtext(f"size/{side}") or "0")
    except ValueError:
        return 1.0
    return pixels / stated if stated > 0 else 1.0


def _span(first: float, last: float, scale: float, pixels: int) -> slice:
    """Pixels first to last, counted from 1 and included, at another scale and inside the image."""
    start, stop = round((first - 1) * scale), round(last * scale)
    return slice(max(start, 0), min(max(stop, 0), pixels))


# XML of annotations, read without trust: no document types, so no entities, and a limit of size.
LARGEST = 1_000_000  # bytes; the annotation of one image has a few thousand


def read_markup(path: Path) -> Element:
    """The root of an XML file. Raises StimuliError if it is no XML, is too large or has a DOCTYPE."""
    with foreign("annotation", path, StimuliError, "It is not valid XML of one image."):
        text = read_plain(path, LARGEST).decode()
        if "<!DOCTYPE" in text:
            raise ValueError("it has a DOCTYPE. Remove it")
        return fromstring(text)  # noqa: S314 - only a DOCTYPE can define entities
