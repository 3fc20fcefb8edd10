"""Readers of sets whose images carry object masks or graded human maps."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.failures import StimuliError
from benchmark.stimuli import items
from benchmark.stimuli.catalogue import Entry, Layout
from benchmark.stimuli.image_names import GEIRHOS16, wnid_of
from benchmark.stimuli.items import Annotation, Item, LeftOut, check_category, images_below, labelled_images
from benchmark.stimuli.masked import published
from benchmark.stimuli.masked.planes import anything_drawn, graded

#: Layout -> the folder beside images/, and the suffixes of its files: masks are not zero on the object, maps are >= 0.
BESIDE = {"masks": ("masks", (".png",)), "clickme": ("heatmaps", (".npy", ".png", ".jpg", ".jpeg"))}


def _read_beside(entry: Entry, folder: Path) -> Iterator[Item]:
    """Yield images/ with a mask or a map of each, and labels.csv, or class folders in both."""
    (beside, suffixes), root = BESIDE[entry.layout], folder / "images"
    is_tabled = entry.layout == "clickme" or (folder / "labels.csv").is_file()
    shown = list(labelled_images(entry, folder)) if is_tabled else []
    for image in images_below(root) if root.is_dir() and not is_tabled else ():
        category, *below = image.relative_to(root).parts
        if not below:
            expected = f"Expected {folder / 'labels.csv'}, or images/CATEGORY/NAME."
            raise StimuliError(f"{image}: of no category. {expected}")
        check_category(category, entry.space, image)
        shown.append(Item(id="/".join((category, *below)), path=image, labels={"category": category}))
    for item in shown:
        start = folder / beside / item.id
        path = next(filter(Path.is_file, map(start.with_suffix, suffixes)), None)
        if path is None:
            lost, expected = start.with_suffix(suffixes[0]), f"Expected one of its size ({', '.join(suffixes)})."
            raise StimuliError(f"{lost}: this file does not exist, but there is the image '{item.id}'. {expected}")
        drawn = Annotation(mask=partial(anything_drawn, path), files=(path,))
        people = Annotation(importance=partial(graded, path), files=(path,))
        yield replace(item, annotation=drawn if entry.layout == "masks" else people)


#: Layout -> reader of its images. Readers raise StimuliError if the folder does not have the layout.
READERS: Mapping[str, Callable[[Entry, Path], Iterator[Item | LeftOut]]] = {
    "masks": _read_beside,
    "imagenet-s": published.read_segmented,
    "imagenet-boxes": published.read_boxes,
    "voc": published.read_voc,
    "coco": published.read_coco,
    "clickme": _read_beside,
}


def annotated_layout(place: Path) -> tuple[Layout, str | None] | None:
    """Detect a layout with masks or maps by the names in a folder, and the label space if it shows."""
    if (place / "labels.csv").is_file():
        space = space_of(set(items.label_table(place).get("category", ())))
        if (place / "heatmaps").is_dir():
            return "clickme", space
        return ("masks", space) if (place / "masks").is_dir() else None
    if published.segmented_roots(place):
        return "imagenet-s", "imagenet1k"
    if published.voc_roots(place):
        return "voc", "geirhos16"
    if any((place / "annotations").glob("instances_*.json")):
        return "coco", "geirhos16"
    if (place / "masks").is_dir() and (place / "images").is_dir():
        return "masks", space_of(set(items.subfolders(place / "images")))
    if published.box_folders(place)[1] != place or any((place / "Annotations").rglob("*.xml")):
        return "imagenet-boxes", "imagenet1k"
    return None


def space_of(names: set[str]) -> str | None:
    """Return the label space that contains all these categories, if there is one."""
    if names and names <= set(GEIRHOS16):
        return "geirhos16"
    return "imagenet1k" if names and all(map(wnid_of, names)) else None
