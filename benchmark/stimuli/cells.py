"""Sets that lie in cells: CORRUPTION/SEVERITY/class/image, with or without folders of groups above.

Every cell is a set of its own, called "imagenet-c gaussian_noise/3". Cells that show the same images share their
names and labels, so all of ImageNet-C (95 cells of 50,000 images) is held in 32 bytes an image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.file_sets import open_listing
from benchmark.stimuli.listings import Listing, list_classes, positions, sample_order, subfolders

SEVERITY = re.compile(r"\d+(\.\d+)?")
GROUPS = 3  # folders (a group such as "noise", an archive's top) that may lie above a corruption's


class Cell(NamedTuple):
    """One condition of a set: its name, "gaussian_noise/3", and its folder of class folders."""

    name: str
    folder: Path

    @property
    def corruption(self) -> str:
        """The first part of the name."""
        return self.name.partition("/")[0]

    @property
    def severity(self) -> str:
        """The second part of the name."""
        return self.name.partition("/")[2]


def find_cells(entry: Entry, folder: Path) -> tuple[Cell, ...]:
    """The cells below `folder`: published corruptions in their order, then others by name; severities by number.

    Raises StimuliError where there is none, or one of a name lies in two places.
    """
    found: dict[str, Cell] = {}
    for cell in _below(folder, GROUPS + 1):
        if cell.name in found:
            raise StimuliError(
                f"{cell.folder} and {found[cell.name].folder} are both the cell '{cell.name}' of '{entry.name}'. "
                "Remove one of them."
            )
        found[cell.name] = cell
    if not found:
        raise StimuliError(
            f"{folder}: no cells of '{entry.name}'. Expected folders like gaussian_noise/3/n01440764 with images."
        )
    known = {name: i for i, name in enumerate((*entry.parts, *entry.extra))}
    order = [
        (known.get(cell.corruption, len(known)), cell.corruption, float(cell.severity), cell)
        for cell in found.values()
    ]
    return tuple(cell for *_, cell in sorted(order))


def _below(folder: Path, depth: int) -> Iterator[Cell]:
    """Cells whose corruption's folder lies at most `depth` levels below `folder`."""
    for name in subfolders(folder):
        place = folder / name
        below = subfolders(place)
        severities = [severity for severity in below if SEVERITY.fullmatch(severity)]
        yield from (Cell(f"{name}/{severity}", place / severity) for severity in severities)
        if not severities and depth > 1:
            yield from _below(place, depth - 1)


@dataclass(frozen=True)
class Cells(Mapping[str, Stimuli]):
    """Cell name -> that cell's set, in canonical order; opened when it is asked for, which reads its files' digests."""

    entry: Entry
    settings: Settings
    listings: Mapping[str, Listing]
    whole: Mapping[str, int]
    _opened: dict[str, Stimuli] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Stimuli:
        if name not in self._opened:
            listing, n = self.listings[name], self.whole[name]
            called = f"{self.entry.name} {name}"
            self._opened[name] = open_listing(self.entry, listing, self.settings, n, called)
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.listings)

    def __len__(self) -> int:
        return len(self.listings)


def open_cells(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Cells:
    """The cells of an entry, read from `folder`.

    With `limit` each shows the same images: a sample of so many of those that all cells have. Raises StimuliError.
    """
    listings = list_cells(entry, find_cells(entry, folder))
    whole = {name: len(listing) for name, listing in listings.items()}
    if limit is not None:
        listings = _limited(entry, listings, limit)
    return Cells(entry, settings, listings, whole)


def list_cells(
    entry: Entry, cells: Sequence[Cell], failed: Callable[[Cell, StimuliError], None] | None = None
) -> dict[str, Listing]:
    """What lies in each cell; those with the same names in the same classes share one copy of them.

    failed: told of a cell that cannot be listed, which is then left out; without it that is raised.
    """
    distinct: list[Listing] = []
    listings = {}
    for cell in cells:
        try:
            listing = list_classes(entry, cell.folder)
        except StimuliError as error:
            if failed is None:
                raise
            failed(cell, error)
            continue
        twin = next((other for other in distinct if _alike(other, listing)), None)
        if twin is None:
            distinct.append(listing)
        listings[cell.name] = listing if twin is None else replace(twin, folder=cell.folder)
    return listings


def _alike(one: Listing, other: Listing) -> bool:
    return one.ids == other.ids and np.array_equal(one.labels["category"], other.labels["category"])


def _limited(entry: Entry, listings: Mapping[str, Listing], limit: int) -> dict[str, Listing]:
    distinct = list({id(listing.ids): listing for listing in listings.values()}.values())
    common = _common(distinct)
    if not common:
        raise StimuliError(
            f"the cells of '{entry.name}' have no image in common to take {limit} of."
        )
    order: Sequence[int] = range(len(common))
    if limit < len(common):
        first = distinct[0].pick(positions(distinct[0], common).tolist())
        order = sample_order(common, first.labels, limit)
    names = [common[i] for i in order]
    parts = {
        id(listing.ids): listing.pick(positions(listing, names).tolist()) for listing in distinct
    }
    return {
        name: replace(parts[id(listing.ids)], folder=listing.folder)
        for name, listing in listings.items()
    }


def _common(distinct: Sequence[Listing]) -> list[str]:
    """Names of the images that every listing has in the same class, in order."""
    first, *others = distinct
    if not others:
        return list(first.ids)
    tables = [dict(zip(one.ids, one.labels["category"].tolist(), strict=True)) for one in others]
    rows = zip(first.ids, first.labels["category"].tolist(), strict=True)
    return [name for name, category in rows if all(t.get(name) == category for t in tables)]
