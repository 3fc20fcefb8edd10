"""From a folder to its images and their labels. One function per layout; nothing is decoded here.

cue-conflict   CATEGORY/cat7-elephant1.png: shape is the folder, texture the name's second half
session        0001_cop_dnn_c05_knife_10_name.png anywhere below: condition and category from it
labels-csv     images/ and labels.csv with columns image, category and any other label columns

The layouts of large sets, class folders (alone or in cells CORRUPTION/SEVERITY), are in `listings` and `cells`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Item, check_category, check_unique, images_below
from benchmark.stimuli.labelled import labelled_images
from benchmark.stimuli.names import (
    PREFIX,
    canonical_condition,
    image_id,
    read_pair,
    stimulus_id,
)


def scan(entry: Entry, folder: Path) -> list[Item]:
    """The images of a set in their fixed order: by category, then name.

    Raises StimuliError (file or folder, what was expected) on an empty folder, an unknown category,
    a name that breaks the layout, or two images of one name.
    """
    items = sorted(
        _SCANNERS[entry.layout](entry, folder), key=lambda i: (i.labels["category"], i.id)
    )
    if not items:
        raise StimuliError(
            f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}'."
        )
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
    """Images of the class folders directly below `folder`; a folder without images does not
    count."""
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


def _trials(entry: Entry, _folder: Path) -> Iterator[Item]:
    raise StimuliError(
        f"'{entry.name}' holds tables of trials, not images: "
        f"`bench import trials FOLDER`, with FOLDER from `bench data path {entry.name}`."
    )


def _no_single_set(entry: Entry, folder: Path) -> Iterator[Item]:
    raise StimuliError(
        f"{folder}: '{entry.name}' has the layout '{entry.layout}': it is not one set of labelled images."
    )


_SCANNERS: Mapping[str, Callable[[Entry, Path], Iterator[Item]]] = {
    "cue-conflict": _cue_conflict,
    "session": _session,
    "labels-csv": labelled_images,
    "trials": _trials,
    "cells": _no_single_set,
    "textures": _no_single_set,
}
