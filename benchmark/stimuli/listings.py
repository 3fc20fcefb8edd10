"""What lies in a folder, as columns: a million images in the memory of their names and labels.

Nothing is decoded or digested here, so a part can be chosen before any file is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.compact import Below, InClasses
from benchmark.stimuli.items import SUFFIXES, Item, check_category
from benchmark.stimuli.layouts import scan


@dataclass(frozen=True)
class Listing:
    """The images of a folder in their fixed order: by category, then name.

    files: names below `folder`; ids: unique names; labels: columns of str, one value per image.
    """

    folder: Path
    files: Sequence[str]
    ids: tuple[str, ...]
    labels: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def paths(self) -> Below:
        """Where the images lie."""
        return Below(self.folder, self.files)

    def pick(self, index: Sequence[int]) -> Listing:
        """The images at `index`, in that order."""
        at = np.asarray(index, dtype=np.int64)
        return replace(
            self,
            files=tuple(self.files[i] for i in index),
            ids=tuple(self.ids[i] for i in index),
            labels={name: column[at] for name, column in self.labels.items()},
        )


def evenly(n: int, limit: int) -> Sequence[int]:
    """At most `limit` positions of n, evenly spaced: floor(i * n / limit). Raises StimuliError below 1."""
    if limit < 1:
        raise StimuliError(f"cannot take {limit} of {n} stimuli: expected 1 or more.")
    return range(n) if limit >= n else [i * n // limit for i in range(limit)]


def list_folder(entry: Entry, folder: Path) -> Listing:
    """The images of an entry's folder. Raises StimuliError as `layouts.scan`."""
    if entry.layout == "class-folder":
        return list_classes(entry, folder)
    found = scan(entry, folder)
    files = tuple(os.fspath(item.path) for item in found)
    return Listing(folder, files, tuple(item.id for item in found), _columns(found))


def list_classes(entry: Entry, folder: Path) -> Listing:
    """The images of a folder of class folders.

    An image is called by its file's name; where one name is there in several classes, every image of the set is
    called "CATEGORY/NAME". Raises StimuliError where there is no image, or a class that the space lacks.
    """
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
    files = InClasses(tuple(names), categories)
    unique = len(set(names)) == len(names)
    ids = files.names if unique else tuple(files)
    return Listing(folder, files if unique else ids, ids, {"category": categories})


def class_files(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each class folder below `folder` in sorted order with the names of its images in sorted order."""
    for category in subfolders(folder):
        yield category, _names(folder / category, _is_image)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out. Raises StimuliError where it cannot be read."""
    return _names(folder, lambda place: not place.name.startswith(".") and place.is_dir())


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as places:
            return sorted(place.name for place in places if wanted(place))
    except OSError as error:
        raise StimuliError(f"{folder}: cannot be read ({error.strerror or error}).") from error


def _is_image(place: os.DirEntry[str]) -> bool:
    name = place.name
    return (
        not name.startswith(".")
        and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a million names
        and not place.is_dir()
    )


def _columns(items: Sequence[Item]) -> dict[str, Array]:
    """Label columns in order of first mention; "" where an image lacks one."""
    names = dict.fromkeys(name for item in items for name in item.labels)
    return {name: np.array([item.labels.get(name, "") for item in items]) for name in names}


def positions(listing: Listing, ids: Sequence[str]) -> NDArray[np.int64]:
    """Where these names stand in a listing that has them all."""
    at = {name: i for i, name in enumerate(listing.ids)}
    return np.array([at[name] for name in ids], dtype=np.int64)
