"""What lies in a folder: images with their labels in a fixed order, before any of them is read."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import (
    GEIRHOS16,
    PREFIX,
    WNID,
    Entry,
    canonical_condition,
    image_id,
    read_pair,
    stimulus_id,
)
from benchmark.stimuli.image_files import read_text, text_digest
from registry.foreign import foreign

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
#: Spaces whose labels are the sixteen categories.
SIXTEEN = frozenset({"geirhos16", "world16"})
Size = tuple[int, int]  # height, width
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Item:
    """One image: its unique name, its file, its labels by column, what is drawn over it."""

    id: str
    path: Path
    labels: Mapping[str, str]
    annotation: Annotation | None = None


@dataclass(frozen=True)
class LeftOut:
    """An image that the set does not show, and why: images of one reason are counted together.

    absent: it is of the set, but its file is not in the folder."""

    reason: str
    absent: bool = False


@dataclass(frozen=True)
class Annotation:
    """What is known of an image's pixels; functions that can be sent to worker processes.

    mask, ignored: size (height, width) of the image -> HW bool (see `contracts.Stimuli`); importance: size -> HW
    float32; pixels: the image itself, HWC uint8, where it is no file of its own; files, text: what decides all of
    these, for the item's digest."""

    mask: Callable[[Size], Flags] | None = None
    ignored: Callable[[Size], Flags] | None = None
    importance: Callable[[Size], NDArray[np.float32]] | None = None
    pixels: Callable[[], NDArray[np.uint8]] | None = None
    files: tuple[Path, ...] = ()
    text: str = ""


def images_below(folder: Path) -> Iterator[Path]:
    """Image files of a folder tree in sorted order; hidden files and folders are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from images_below(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def check_category(category: str, space: str, where: object) -> None:
    """Raise StimuliError where `category` is not one of the space's."""
    if space in SIXTEEN and category not in GEIRHOS16:
        raise StimuliError(f"{where}: '{category}' is not one of the 16 categories ({', '.join(GEIRHOS16)}).")
    if space == "imagenet1k" and not WNID.fullmatch(category):
        raise StimuliError(f"{where}: '{category}' is not a WordNet id such as n01440764.")


def check_spelling(folder: Path, names: Sequence[str]) -> None:
    """Raise StimuliError where a name is not UTF-8: no leaderboard and no list of sets could hold it."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        name = next(name for name in names if name != name.encode(errors="ignore").decode())
        raise StimuliError(
            f"{folder}: the name {os.fsencode(name)!r} is not UTF-8. Rename the file or folder."
        ) from None


def check_unique(items: Iterable[Item]) -> None:
    """Raise StimuliError where two images have one name."""
    seen: dict[str, Path] = {}
    for item in items:
        if item.id in seen:
            raise StimuliError(
                f"{item.path} and {seen[item.id]} are both called '{item.id}': image names must be unique."
            )
        seen[item.id] = item.path


def labelled_images(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images that `labels.csv` names, in its order. Raises StimuliError naming the row."""
    table = folder / "labels.csv"
    with foreign("table of labels", table, StimuliError):
        text = read_text(table, encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        for column in ("image", "category"):
            if column not in (names := reader.fieldnames or ()):
                raise StimuliError(f"{table}: no column '{column}'; it has: {', '.join(names) or 'none'}.")
        for row in reader:
            yield _labelled(entry, folder, row, f"{table}, row {reader.line_num}")


def _labelled(entry: Entry, folder: Path, row: Mapping[str | None, str | None], where: str) -> Item:
    columns = [column for column in row if column is not None]
    labels = {column: value for column in columns if (value := row[column]) is not None}
    if len(columns) != len(row) or len(labels) != len(row):
        raise StimuliError(f"{where}: expected {len(columns)} fields, as the header has.")
    name = labels.pop("image")
    root = (folder / "images").resolve()
    if "\0" in name:
        raise StimuliError(f"{where}: {name!r:.80} is no image's name.")
    path = (root / name).resolve()
    if root not in path.parents or not path.is_file():
        raise StimuliError(f"{where}: there is no image 'images/{name}'.")
    check_category(labels["category"], entry.space, where)
    return Item(name, path, labels)


# From a folder to its images and their labels. One function per layout; nothing is decoded here.
#
# cue-conflict   CATEGORY/cat7-elephant1.png: shape is the folder, texture the name's second half
# session        0001_cop_dnn_c05_knife_10_name.png anywhere below: condition and category from it
# labels-csv     images/ and labels.csv with columns image, category and any other label columns
#
# Class folders, which may hold a million images, are read by `list_classes`.
def scan(entry: Entry, folder: Path) -> list[Item]:
    """The images of a set in their fixed order: by category, then name.

    Raises StimuliError (file or folder, what was expected) on an empty folder, an unknown category, a name that breaks
    the layout, or two images of one name."""
    if entry.layout == "trials":
        raise StimuliError(
            f"'{entry.name}' holds tables of trials, not images: "
            f"`bench import trials FOLDER`, with FOLDER from `bench data path {entry.name}`."
        )
    if entry.layout not in _SCANNERS:
        raise StimuliError(
            f"{folder}: '{entry.name}' has the layout '{entry.layout}': it is not one set of labelled images."
        )
    items = sorted(_SCANNERS[entry.layout](entry, folder), key=lambda i: (i.labels["category"], i.id))
    if not items:
        raise StimuliError(f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}'.")
    check_unique(items)
    return items


def _cue_conflict(entry: Entry, folder: Path) -> Iterator[Item]:
    for path in _in_classes(entry, folder):
        pair = read_pair(path.name)
        if pair is None or pair.shape != path.parent.name:
            raise StimuliError(
                f"{path}: expected a name like '{path.parent.name}7-elephant1.png', the shape of "
                "its folder and a texture, both of the 16 categories. Rename or remove the file."
            )
        labels = {"category": pair.shape, "shape": pair.shape, "texture": pair.texture}
        yield Item(path.name, path, labels)


def _in_classes(entry: Entry, folder: Path) -> Iterator[Path]:
    """Images of the class folders directly below `folder`; a folder without images does not count."""
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        paths = [path for path in images_below(place) if path.parent == place]
        if paths:
            check_category(place.name, entry.space, place)
        yield from paths


def _session(entry: Entry, folder: Path) -> Iterator[Item]:
    for path in images_below(folder):
        prefix = PREFIX.match(path.name)
        if prefix is None:
            raise StimuliError(
                f"{path}: expected a name like '0001_cop_dnn_c05_knife_10_NAME.png' "
                "(number, experiment, dnn, condition, category, context, image)."
            )
        check_category(prefix["category"], entry.space, path)
        condition = canonical_condition(entry.name, prefix["condition"])
        labels = {"category": prefix["category"], "condition": condition}
        yield Item(stimulus_id(condition, image_id(path.name)), path, labels)


_SCANNERS: Mapping[str, Callable[[Entry, Path], Iterator[Item]]] = {
    "cue-conflict": _cue_conflict,
    "session": _session,
    "labels-csv": labelled_images,
}


# What lies in a folder, as columns: a million images in the memory of their names and labels.
#
# Nothing is decoded or digested here, so a part can be chosen before any file is read.
#: Label columns that every front part of a sample has in their proportions.
STRATA = ("category", "texture", "condition")
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Listing:
    """The images of a folder in their fixed order: by category, then name.

    files: names below `folder`; ids: unique names; labels: columns of str, one value per image; sampled: a part in the
    order of `sample_order` instead."""

    folder: Path
    files: Sequence[str]
    ids: tuple[str, ...]
    labels: Mapping[str, Array]
    sampled: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, index: Sequence[int]) -> Listing:
        """The images at `index`, in that order."""
        at = np.asarray(index, dtype=np.int64)
        return replace(
            self,
            files=tuple(self.files[i] for i in index),
            ids=tuple(self.ids[i] for i in index),
            labels={name: column[at] for name, column in self.labels.items()},
        )

    def sample(self, limit: int | None) -> Listing:
        """The first `limit` images in the order of `sample_order`; the listing itself where it has no more."""
        if limit is None or limit >= len(self):
            return self
        return replace(self.pick(sample_order(self.ids, self.labels, limit)), sampled=True)


def evenly(n: int, limit: int) -> Sequence[int]:
    """At most `limit` positions of n, evenly spaced: floor(i * n / limit). Raises StimuliError below 1."""
    if limit < 1:
        raise StimuliError(f"cannot take {limit} of {n} stimuli: expected 1 or more.")
    return range(n) if limit >= n else [i * n // limit for i in range(limit)]


def sample_order(ids: Sequence[str], labels: Mapping[str, Array], limit: int) -> list[int]:
    """The first `limit` positions of a random order whose every front part has the proportions of the whole.

    Of each level of a column of STRATA a front part of m images has its share of m to within one, as far as the columns
    allow it together: levels of equal size are shown equally often. m images are contained in m + 1. Chance is the
    digest of each image's name, not of its content: no file is read for it, and clean images and their corrupted copies
    come in the same order. Raises StimuliError below 1."""
    n = len(ids)
    evenly(n, limit)
    chance = np.argsort(np.argsort([text_digest(f"shuffled:{name}") for name in ids]))
    columns = [np.unique(labels[c], return_inverse=True)[1] for c in STRATA if c in labels]
    if not columns:
        return [int(i) for i in np.argsort(chance)[:limit]]
    cells, cell = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    queue = np.lexsort((chance, cell.ravel()))  # the images of each cell behind one another
    end = np.cumsum(np.bincount(cell.ravel()))
    at = end - np.bincount(cell.ravel())
    sizes = [np.bincount(column) for column in columns]
    if len(sizes) == 1 and np.ptp(sizes[0]) == 0:  # what the loop gives, 50,000 images in a tenth of the time
        turn = np.empty(n, dtype=np.int64)
        turn[queue] = np.arange(n) % sizes[0][0]
        return [int(i) for i in np.lexsort((chance, turn))[:limit]]
    strata = [_Stratum(level, size, np.zeros_like(size)) for level, size in zip(cells.T, sizes, strict=True)]
    order: list[int] = []
    for m in range(1, min(limit, n) + 1):
        there = np.flatnonzero(at < end)
        first = chance[queue[at[there]]]
        chosen = there[_next_cell(strata, there, first, m, n)]
        order.append(int(queue[at[chosen]]))
        at[chosen] += 1
        for stratum in strata:
            stratum.shown[stratum.level[chosen]] += 1
    return order


@dataclass(frozen=True)
class _Stratum:
    """A label column: the level of each cell, and of each level how many images there are and how many were shown."""

    level: Whole
    size: Whole
    shown: Whole


def _next_cell(strata: Sequence[_Stratum], there: Whole, first: Whole, m: int, n: int) -> int:
    """Position among the cells `there`, whose next images have the chances `first`, of the cell to show as the m-th.

    None that takes a level beyond its share, if that can be; of these the one due first; of these one of a level with
    the fewest such cells left: else the last of a round would often be a pair that there is no image of."""
    levels = [stratum.level[there] for stratum in strata]
    ahead = [(n * s.shown - m * s.size)[level] for s, level in zip(strata, levels, strict=True)]
    beyond = sum(np.maximum(excess + 1, 0) for excess in ahead)
    best = np.flatnonzero(beyond == beyond.min())
    due = np.zeros(len(best))
    for s, level, excess in zip(strata, levels, ahead, strict=True):
        shown, size = s.shown[level[best]], s.size[level[best]]
        # Shown before: due where it would fall behind by one. Never: at once where half an image is its share, and
        # before that where a plain random order would show it.
        unseen = np.where(2 * excess[best] <= -n, 0, first[best])
        due += np.where(shown > 0, n * (shown + 1) / size, unseen)
    best = best[due == due.min()]
    if len(strata) > 1 and len(best) > 1:
        left = [np.bincount(level[beyond == beyond.min()])[level[best]] for level in levels]
        fewest = np.min(left, axis=0)
        best = best[fewest == fewest.min()]
    return int(best[first[best].argmin()])


def list_folder(entry: Entry, folder: Path) -> Listing:
    """The images of an entry's folder. Raises StimuliError as `scan`."""
    if entry.layout == "class-folder":
        return list_classes(entry, folder)
    found = scan(entry, folder)
    files = tuple(os.fspath(item.path) for item in found)
    return Listing(folder, files, tuple(item.id for item in found), label_columns(found))


def list_classes(entry: Entry, folder: Path) -> Listing:
    """The images of a folder of class folders.

    An image is called by its file's name; where one name is there in several classes, every image of the set is called
    "CATEGORY/NAME". Raises StimuliError where there is no image, or a class that the space lacks."""
    names: list[str] = []
    classes: list[str] = []
    counts: list[int] = []
    for category, there in class_files(folder):
        if there:
            check_category(category, entry.space, folder / category)
            classes.append(category)
            counts.append(len(there))
            names += there
    if not names:
        raise StimuliError(
            f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}': "
            "expected one folder per class, with images in it."
        )
    categories = np.repeat(np.array(classes), counts)
    files = tuple(f"{category}/{name}" for category, name in zip(categories, names, strict=True))
    ids = tuple(names) if len(set(names)) == len(names) else files
    return Listing(folder, files, ids, {"category": categories})


def class_files(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each class folder below `folder` in sorted order with the names of its images in sorted order."""
    for category in subfolders(folder):
        yield (
            category,
            _names(
                folder / category,
                lambda place: (
                    not place.name.startswith(".")
                    and os.path.splitext(place.name)[1].lower() in SUFFIXES  # noqa: PTH122 - a million names
                    and not place.is_dir()
                ),
            ),
        )


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out. Raises StimuliError where it cannot be read."""
    return _names(folder, lambda place: not place.name.startswith(".") and place.is_dir())


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    with foreign("folder", folder, StimuliError), os.scandir(folder) as places:
        return sorted(place.name for place in places if wanted(place))


def label_columns(items: Sequence[Item]) -> dict[str, Array]:
    """Label columns in order of first mention; "" where an image lacks one."""
    names = dict.fromkeys(name for item in items for name in item.labels)
    return {name: np.array([item.labels.get(name, "") for item in items]) for name in names}


def positions(listing: Listing, ids: Sequence[str]) -> NDArray[np.int64]:
    """Where these names stand in a listing that has them all."""
    at = {name: i for i, name in enumerate(listing.ids)}
    return np.array([at[name] for name in ids], dtype=np.int64)
