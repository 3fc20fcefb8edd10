"""Annotations of ImageNet's images: the segmentation of ImageNet-S (Gao et al. 2022), and the localisation boxes."""

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry, package_table
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.image_names import WNID
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size, check_category, images_below
from benchmark.stimuli.masked.outlines import only_edition, read_plane, require_size
from registry.labels import label_space
from registry.user_errors import foreign

IGNORED = 1000
#: Images, then the masks of these images.
SPLITS = (("validation", "validation-segmentation"), ("train-semi", "train-semi-segmentation"))


def read_segmented(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield the images of ImageNet-S: validation/WNID/*.JPEG and validation-segmentation/WNID/*.png, or those of
    train-semi.

    A mask is a colour PNG in which red + 256 * green is the class: 1 to 919, 300 or 50 in the order of the edition's
    sorted WordNet ids, 0 for the background, 1000 for ignored pixels. Raises StimuliError if a mask is missing, or its
    class is not in the edition."""
    root = only_edition(segmented_roots(folder), folder, " and ".join(SPLITS[0]) + " of ImageNet-S")
    images, masks = next((root / a, root / b) for a, b in SPLITS if (root / a).is_dir() and (root / b).is_dir())
    # The folder's name, the set's name or the number of classes identifies the edition.
    named = re.search(r"imagenet-?s-?(50|300|919)", f"{root.name} {entry.name}", re.IGNORECASE)
    edition = int(named[1]) if named else sum(path.is_dir() for path in images.iterdir())
    if edition not in (50, 300, 919):
        raise StimuliError(f"{root}: {edition} classes: which edition of ImageNet-S? Call the folder ImageNetS919.")
    values = values_of(edition)
    for path in images_below(images):
        category = path.parent.name
        check_category(category, "imagenet1k", path.parent)
        if category not in values:
            raise StimuliError(f"{path.parent}: not a class of ImageNet-S {edition}.")
        mask = masks / category / f"{path.stem}.png"
        if not mask.is_file():
            raise StimuliError(f"{mask}: this mask does not exist, but there is the image {path}.")
        drawn = Annotation(
            mask=partial(_of_class, mask, values[category], edition),
            ignored=partial(_of_class, mask, IGNORED, edition),
            files=(mask,),
            text=f"class {values[category]}",
        )
        yield Item(id=path.name, path=path, labels={"category": category}, annotation=drawn)


def _of_class(path: Path, value: int, edition: int, size: Size) -> Flags:
    plane = read_plane(path)
    if plane.ndim != 3 or plane.shape[2] != 3:
        raise StimuliError(f"{path}: a grey image. Expected a colour one, red + 256 * green = class.")
    classes = require_size(plane[:, :, 0].astype(np.int64) + 256 * plane[:, :, 1].astype(np.int64), size, path)
    unknown = classes[(classes > edition) & (classes != IGNORED)]
    if len(unknown):
        raise StimuliError(f"{path}: class {unknown[0]}; ImageNet-S {edition} has 1 to {edition}, 0 and {IGNORED}.")
    return np.asarray(classes == value)


def segmented_roots(folder: Path) -> list[Path]:
    """List those of `folder` and its folders that hold images and masks of a split of ImageNet-S."""
    places = (folder, *sorted(folder.iterdir()))
    return [p for p in places if any((p / a).is_dir() and (p / b).is_dir() for a, b in SPLITS)]


@cache
def values_of(edition: int) -> Mapping[str, int]:
    """Map WordNet ids to the numbers in the masks of an edition (919, 300 or 50)."""
    spans = [span.partition("-") for span in str(package_table("masked/imagenet_s.yaml")[edition]).split()]
    outputs = [i for a, _, b in spans for i in range(int(a), int(b or a) + 1)]
    wnids = label_space("imagenet1k").classes
    return {wnids[output]: value for value, output in enumerate(outputs, start=1)}


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
