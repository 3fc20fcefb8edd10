"""`bench data stylize`: from two folders of pictures to a stylised set on the shelf."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_built_in, read_catalogue, save_entry
from benchmark.stimuli.conflicts import Sample, conflicting
from benchmark.stimuli.digests import file_digests
from benchmark.stimuli.guess import check_name, describe, guess_layout
from benchmark.stimuli.items import check_category, images_below
from benchmark.stimuli.manifests import MANIFEST
from benchmark.stimuli.pixels import read_rgb, size_of, write_png
from benchmark.stimuli.settling import Note, is_made, make_folder
from benchmark.stimuli.stylising import (
    Pairing,
    Picture,
    Recipe,
    manifest,
    spread,
    textured,
)
from registry.places import expanded

Report = Callable[[str], None]
Pixels = NDArray[np.uint8]
ROUND = 256  # images between two reports
FIX = "fix or remove it"
#: Decision space -> the role of the published stylised set.
_ROLES = {"geirhos16": "stylized", "imagenet1k": "stylized-imagenet"}


class Painter(Protocol):
    """What paints: `stylisation_network.Network`, or a stand-in."""

    @property
    def generator(self) -> Mapping[str, str]:
        """Name, version and whatever else decides the images, for the manifest."""

    def style(self, image: Pixels) -> Any:
        """[h, w, 3] uint8 -> the style, as `paint` takes it."""

    def paint(
        self, image: Pixels, style: Any, *, strength: float, size: int, crop: float
    ) -> Pixels:
        """[h, w, 3] uint8 -> [size, size, 3] uint8."""


@dataclass(frozen=True)
class Order:
    """What to make: a stylised set, or a cue-conflict set where `sample` is given.

    name: of the set; role, space: None tells them from the kind and the categories; output: the folder in which the
    set's folder is made, None: where fetched sets lie; limit: images at most; workers: images at the same time.
    """

    content: Path
    style: Path
    name: str
    sample: Sample | None = None
    strength: float = 1.0
    size: int = 224
    crop: float = 0.875
    seed: int = 0
    limit: int | None = None
    role: str | None = None
    space: str | None = None
    output: Path | None = None
    workers: int = 1

    @property
    def kind(self) -> str:
        """ "stylised" or "cue-conflict"."""
        return "stylised" if self.sample is None else "cue-conflict"


def make_stylised(order: Order, settings: Settings, painter: Painter, report: Report) -> Entry:
    """Make the set and put it on the shelf. An interrupted call goes on where it stopped, to the same files.

    Raises StimuliError: an empty folder, an unknown category, a file that is no image, a name that is taken.
    """
    target = expanded(order.output or settings.stimuli).resolve() / order.name
    _check_name(order.name, target, settings)
    space = _space(order)
    pairings, styles, whole = _plan(order, space, settings)
    recipe = Recipe(
        order.kind, painter.generator, order.strength, order.size, order.crop, order.seed
    )
    note = Note(MANIFEST, manifest(recipe, pairings, styles, whole))
    if is_made(target, note):
        report(f"{order.name}: already there")
    else:
        part = "" if len(pairings) == whole else f" of {whole}"
        report(f"{order.name}: {len(pairings)}{part} images, {order.kind}")
        make_folder(target, note, partial(_paint_all, pairings, order, painter, report))
    entry = _entry(order, space, target)
    save_entry(entry, settings)
    report(f"{order.name}: at {target}, role '{entry.role}', space '{entry.space}'")
    return entry


def _plan(order: Order, space: str, settings: Settings) -> tuple[list[Pairing], list[Picture], int]:
    """Pairings, all styles that could be chosen, and how many images there are without a limit."""
    contents = _pictures(order.content, space, settings)
    if order.sample is None:
        styles = _pictures(order.style, None, settings)
        planned = textured(contents, styles, order.seed)
    else:
        styles = _pictures(order.style, space, settings)
        planned = conflicting(contents, styles, order.sample, order.seed)
    pairings = spread(planned, order.limit)
    for one in {picture.path for pair in pairings for picture in (pair.content, pair.style)}:
        size_of(one, FIX)  # told before hours of work, not after
    return pairings, styles, len(planned)


def _pictures(folder: Path, space: str | None, settings: Settings) -> list[Picture]:
    """Pictures of the class folders in `folder`; without a space all below it, of no category."""
    folder = expanded(folder).resolve()  # digests are remembered by whole paths
    if not folder.is_dir():
        raise StimuliError(f"{folder}: not a folder. Expected one with pictures.")
    paths = [path for path in images_below(folder) if space is None or _in_class(path, folder)]
    if not paths:
        inside = "pictures" if space is None else "class folders with pictures"
        raise StimuliError(f"{folder}: empty. Expected {inside}.")
    categories = ["" if space is None else path.parent.name for path in paths]
    for category in sorted(set(categories)):
        if space is not None:
            check_category(category, space, folder / category)
    digests = file_digests(paths, folder, settings)
    return [Picture(*one) for one in zip(paths, categories, digests, strict=True)]


def _in_class(path: Path, folder: Path) -> bool:
    return path.parent.parent == folder


def _space(order: Order) -> str:
    """The decision space of the contents' labels."""
    if order.sample is not None:
        return "geirhos16"
    if order.space is not None:
        return order.space
    if not order.content.is_dir():
        raise StimuliError(f"{order.content}: not a folder. Expected one with class folders.")
    found = guess_layout(order.content).space
    if found is None:
        raise StimuliError(
            f"{order.content}: the categories are neither the 16 nor WordNet ids. Say in which decision space "
            "they live: --space NAME."
        )
    return found


def _paint_all(
    pairings: Sequence[Pairing], order: Order, painter: Painter, report: Report, folder: Path
) -> None:
    """Paint what `folder` lacks. Images of one style share what the network makes of it."""
    left = [pair for pair in pairings if not (folder / pair.place).exists()]
    if len(left) < len(pairings):
        report(f"{order.name}: {len(pairings) - len(left)} are there from before")
    known: dict[str, Any] = {}

    def paint(pair: Pairing) -> None:
        style = known.get(pair.style.digest)
        if style is None:
            style = known[pair.style.digest] = painter.style(read_rgb(pair.style.path, FIX))
        content = read_rgb(pair.content.path, FIX)
        pixels = painter.paint(
            content, style, strength=order.strength, size=order.size, crop=order.crop
        )
        write_png(folder / pair.place, pixels)

    pool = ThreadPoolExecutor(order.workers)
    try:
        for start in range(0, len(left), ROUND):
            list(pool.map(paint, left[start : start + ROUND]))
            if start + ROUND < len(left):
                report(f"{order.name}: {start + ROUND} of {len(left)}")
    finally:
        pool.shutdown(cancel_futures=True)


def _check_name(name: str, target: Path, settings: Settings) -> None:
    """A made set never takes the name of a published one, or of one that lies elsewhere."""
    check_name(name)
    if find_built_in(name) is not None:
        raise StimuliError(
            f"'{name}' names a published set: choose another --name for a set of your own."
        )
    known = read_catalogue(settings).get(name)
    if known is not None and known.folder != str(target):
        raise StimuliError(f"'{name}' is there already, at {known.folder}: choose another --name.")


def _entry(order: Order, space: str, target: Path) -> Entry:
    role, layout = "cue-conflict", "cue-conflict"
    if order.sample is None:
        role, layout = _ROLES.get(space, order.name), "class-folder"
    entry = describe(order.name, target, order.role or role, space, layout)
    return replace(entry, title=f"{order.kind}, made from the user's own pictures")
