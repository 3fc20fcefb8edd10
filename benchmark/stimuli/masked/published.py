"""The published sets with masks: ImageNet-S (Gao et al. 2022), ImageNet's localisation boxes, PASCAL VOC and COCO."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from benchmark.contracts.declarations import package_data
from benchmark.failures import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import read_plain
from benchmark.stimuli.image_names import GEIRHOS16, WNID
from benchmark.stimuli.items import Annotation, Flags, Item, LeftOut, Size, check_category, images_below
from benchmark.stimuli.masked.planes import ClassImages, Segmentation, class_numbers, flags_of, of_class
from registry.files import is_file
from registry.labels import subset_groups
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
    """Yield the images of ImageNet-S: validation/WNID/*.JPEG and validation-segmentation/WNID/*.png, or train-semi.
    Classes count from 1 in the order of the edition's WordNet ids; 1000 is ignored. Raises StimuliError."""
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


def values_of(edition: int) -> dict[str, int]:
    """Map WordNet ids to the numbers in the masks of an edition (919, 300 or 50)."""
    return {wnid: value for value, wnid in enumerate(subset_groups(f"imagenet-s{edition}"), start=1)}


def main_object(areas: Mapping[str, float]) -> str | LeftOut:
    """Choose the category of an image among the sixteen, or the reason for leaving it out. areas: category -> pixels
    of all its objects. The largest counts if it is one of the sixteen and no other has more than half of its area."""
    ranked = sorted((item for item in areas.items() if item[1] > 0), key=lambda item: -item[1])
    if not ranked:
        return LeftOut("no object")
    category, area = ranked[0]
    if len(ranked) > 1 and ranked[1][1] > RIVAL * area:
        return LeftOut("a second category is more than half as large as the largest")
    return category if category in GEIRHOS16 else LeftOut("the largest object is of none of the 16 categories")


#: The values 1 to 20 of a class image of VOC.
CLASSES = tuple(package_data("benchmark.stimuli", "masked/classes")["voc"])
VOC = (False, len(CLASSES), 255)  # 255: outlines and difficult objects


def read_voc(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of PASCAL VOC whose main object is in the sixteen categories, by the longest list of
    ImageSets/Segmentation/. The mask is the main category; void pixels are ignored. Raises StimuliError."""
    root = only_edition(voc_roots(folder), folder, "JPEGImages and SegmentationClass of VOC")
    drawn = root / "SegmentationClass"
    lists = (root / "ImageSets" / "Segmentation" / f"{name}.txt" for name in ("trainval", "val", "train"))
    stems = sorted(path.stem for path in drawn.glob("*.png"))
    if place := next(filter(Path.is_file, lists), None):
        with foreign("list of images", place, StimuliError):
            stems = [Path(stem).name for stem in read_plain(place).decode().split()]
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


#: Folders of the validation images in the packed tree: boxes, then images.
PACKED = (Path("Annotations/CLS-LOC/val"), Path("Data/CLS-LOC/val"))
SIDES = ("xmin", "ymin", "xmax", "ymax")
LARGEST = 1_000_000  # bytes; the annotation of one image has a few thousand


def read_boxes(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images that have boxes in Annotations/**/NAME.xml, by the class of their folder or XML; the mask is the
    union of its boxes. Raises StimuliError."""
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
                check_category(name, "imagenet1k", markup)
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


#: The preferred file if there are several.
PREFERRED = "instances_val2017.json"
MOST_BYTES = 2**31  # instances_train2017.json has 450 MB


def read_coco(_entry: Entry, folder: Path) -> Iterator[Item | LeftOut]:
    """Yield the images of COCO whose main object (by `area`) is in the sixteen categories. The mask has every object of
    the main category; its crowds are ignored except below others. Raises StimuliError."""
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
