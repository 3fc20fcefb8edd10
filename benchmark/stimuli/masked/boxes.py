"""The localisation boxes of ImageNet."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.image_names import WNID
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size, images_below
from registry.user_errors import foreign

#: Folders of the validation images in the packed tree: boxes, then images.
PACKED = (Path("Annotations/CLS-LOC/val"), Path("Data/CLS-LOC/val"))
SIDES = ("xmin", "ymin", "xmax", "ymax")
LARGEST = 1_000_000  # bytes; the annotation of one image has a few thousand


def read_boxes(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images that have boxes: Annotations/**/NAME.xml beside the images NAME.JPEG.

    The class is the image's folder if that is a WordNet id, otherwise the one in its XML. The mask is the union of the
    boxes of that class, which include background. Raises StimuliError."""
    markups, images = box_folders(folder)
    known = {path.stem: path for path in markups.rglob("*.xml")}
    if not known:
        raise StimuliError(f"{markups}: no boxes: expected files such as NAME.xml.")
    for path in images_below(images):
        markup = known.get(path.stem)
        if markup is None:
            yield LeftOut("no boxes")
            continue
        names = {path.parent.name}
        if not WNID.fullmatch(path.parent.name):
            names = {(thing.findtext("name") or "").strip() for thing in read_markup(markup).iter("object")}
            for name in sorted(names):
                if not WNID.fullmatch(name):
                    raise StimuliError(f"{markup}: '{name}' is not a WordNet id such as n01440764.")
        if len(names) != 1:
            yield LeftOut("boxes of several classes, and no class folder")
            continue
        category = names.pop()
        drawn = Annotation(mask=partial(_union, markup, category), files=(markup,), text=category)
        yield Item(id=path.name, path=path, labels={"category": category}, annotation=drawn)


def box_folders(folder: Path) -> tuple[Path, Path]:
    """Find the folders of XML files and of images: as packed, or Annotations and the complete folder."""
    for root in (folder, folder / "ILSVRC"):
        if all((root / place).is_dir() for place in PACKED):
            return root / PACKED[0], root / PACKED[1]
    markups = folder / "Annotations"
    return (markups if markups.is_dir() else folder), folder


def _union(path: Path, wnid: str, size: Size) -> Flags:
    """Draw the boxes of one class as HW bool, scaled if the file states another size; all false without such a box."""
    root = read_markup(path)
    scales = []  # pixels of the image per pixel of the file; 1 where the file does not say its size
    for side, pixels in (("height", size[0]), ("width", size[1])):
        text = root.findtext(f"size/{side}") or ""
        scales.append(pixels / float(text) if re.fullmatch(r"\s*\d+(\.\d*)?\s*", text) and float(text) else 1.0)
    mask = np.zeros(size, dtype=bool)
    for thing in root.iter("object"):
        if (thing.findtext("name") or "").strip() != wnid:
            continue
        expected = f"It has a box without numbers; expected bndbox with {', '.join(SIDES)}."
        with foreign("annotation", path, StimuliError, expected):
            left, top, right, bottom = (float(thing.findtext(f"bndbox/{side}") or "") for side in SIDES)
            # Pixels first to last, counted from 1 and included, at the image's scale and inside it.
            rows, columns = (
                slice(max(round((first - 1) * scale), 0), min(max(round(last * scale), 0), pixels))
                for first, last, scale, pixels in zip((top, left), (bottom, right), scales, size, strict=True)
            )
            mask[rows, columns] = True
    return mask


def read_markup(path: Path) -> Element:
    """Parse an XML file. Raises StimuliError if it is not XML, is too large or has a DOCTYPE."""
    with foreign("annotation", path, StimuliError, "It is not valid XML of one image."):
        text = read_plain(path, LARGEST).decode()
        if "<!DOCTYPE" in text:
            raise ValueError("it has a DOCTYPE. Remove it")
        return fromstring(text)  # noqa: S314 - only a DOCTYPE can define entities
