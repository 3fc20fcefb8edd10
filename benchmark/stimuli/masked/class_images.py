"""Sets with an image of class numbers for each image: ImageNet-S (Gao et al. 2022) and PASCAL VOC."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry, package_table
from benchmark.stimuli.image_files import read_text
from benchmark.stimuli.image_names import GEIRHOS16
from benchmark.stimuli.items import Annotation, Item, LeftOut, check_category, images_below
from benchmark.stimuli.masked.planes import ClassImages, class_numbers, of_class
from registry.files import is_file
from registry.labels import label_space
from registry.user_errors import foreign

#: Images, then the masks of these images.
SPLITS = (("validation", "validation-segmentation"), ("train-semi", "train-semi-segmentation"))
#: A second category with more than this share of the main one's area makes an image ambiguous.
RIVAL = 0.5
ABSENT = LeftOut("the image itself is not in the folder", absent=True)


def only_edition(editions: Sequence[Path], folder: Path, expected: str) -> Path:
    """Return the only edition of a data set in `folder`. Raises StimuliError if there is none, or several."""
    if len(editions) > 1:
        names = ", ".join(place.name for place in editions)
        raise StimuliError(f"{folder}: several editions ({names}). Name or keep one of them.")
    if not editions:
        raise StimuliError(f"{folder}: expected {expected}.")
    return editions[0]


def read_segmented(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield the images of ImageNet-S: validation/WNID/*.JPEG and validation-segmentation/WNID/*.png, or those of
    train-semi.

    A mask's classes are 1 to 919, 300 or 50 in the order of the edition's sorted WordNet ids, 0 for the background,
    1000 for ignored pixels. Raises StimuliError if a mask is missing."""
    root = only_edition(segmented_roots(folder), folder, " and ".join(SPLITS[0]) + " of ImageNet-S")
    images, masks = next((root / a, root / b) for a, b in SPLITS if (root / a).is_dir() and (root / b).is_dir())
    # The folder's name, the set's name or the number of classes identifies the edition.
    named = re.search(r"imagenet-?s-?(50|300|919)", f"{root.name} {entry.name}", re.IGNORECASE)
    edition = int(named[1]) if named else sum(path.is_dir() for path in images.iterdir())
    if edition not in (50, 300, 919):
        raise StimuliError(f"{root}: {edition} classes: which edition of ImageNet-S? Call the folder ImageNetS919.")
    values, kind = values_of(edition), (True, edition, 1000)
    for path in images_below(images):
        category = path.parent.name
        check_category(category, "imagenet1k", path.parent)
        if category not in values:
            raise StimuliError(f"{path.parent}: not a class of ImageNet-S {edition}.")
        mask = masks / category / f"{path.stem}.png"
        if not mask.is_file():
            raise StimuliError(f"{mask}: this mask does not exist, but there is the image {path}.")
        drawn = _annotation(mask, values[category], kind, f"class {values[category]}")
        yield Item(id=path.name, path=path, labels={"category": category}, annotation=drawn)


def _annotation(path: Path, value: int, kind: ClassImages, text: str = "") -> Annotation:
    mask, ignored = (partial(of_class, path, number, kind) for number in (value, kind[2]))
    return Annotation(mask=mask, ignored=ignored, files=(path,), text=text)


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


#: The values 1 to 20 of a class image of VOC, in the order of the development kit; the sixteen under their own names.
CLASSES = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
VOC = (False, len(CLASSES), 255)  # 255: outlines and difficult objects


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
        path, image = drawn / f"{stem}.png", root / "JPEGImages" / f"{stem}.jpg"
        if not is_file(path):
            raise StimuliError(f"{path}: this class image does not exist, but ImageSets names it.")
        counts = np.bincount(class_numbers(path, VOC).ravel(), minlength=VOC[2] + 1)
        category = main_object({name: float(counts[i]) for i, name in enumerate(CLASSES, start=1)})
        if isinstance(category, LeftOut) or not image.is_file():
            yield category if isinstance(category, LeftOut) else ABSENT
        else:
            drawn_by = _annotation(path, CLASSES.index(category) + 1, VOC)
            yield Item(id=image.name, path=image, labels={"category": category}, annotation=drawn_by)


def voc_roots(folder: Path) -> list[Path]:
    """List the folders with JPEGImages: `folder` itself, otherwise those in it, otherwise those in its VOCdevkit."""
    for pattern in ("JPEGImages", "*/JPEGImages", "VOCdevkit/*/JPEGImages"):
        if roots := sorted(place.parent for place in folder.glob(pattern) if place.is_dir()):
            return roots
    return []
