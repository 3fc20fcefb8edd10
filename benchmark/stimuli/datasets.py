"""Stimulus sets as values: opened from a folder, a list of names or cells, or drawn; then cut to what is needed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_built_in, folder_of, place_of, read_catalogue, read_pair, remedy
from benchmark.stimuli.generated import generated_set, is_generated
from benchmark.stimuli.image_files import (
    FileImages,
    FileMasks,
    Picked,
    State,
    changed,
    file_digests,
    pick_digests,
    read_text,
    set_digest,
    size_of,
    state_of,
    text_digest,
)
from benchmark.stimuli.items import (
    Annotation,
    Item,
    LeftOut,
    Listing,
    Size,
    check_spelling,
    check_unique,
    evenly,
    images_below,
    label_columns,
    list_classes,
    list_folder,
    positions,
    sample_order,
    subfolders,
)
from benchmark.stimuli.masked import READERS
from registry.foreign import foreign

MANIFEST = "stylised.json"
FORMAT = 1


class Made(NamedTuple):
    """What a set's manifest says. origin: in words, as `Stimuli.origin`; label: the value of the label column "made",
    by which the whole manifest enters the set's digest; whole: how many images were planned without a limit."""

    origin: str
    label: str
    whole: int


def read_manifest(folder: Path) -> Made | None:
    """What the folder's manifest says; None where it has none. Raises StimuliError where it is damaged."""
    place = folder / MANIFEST
    if not place.is_file():
        return None
    with foreign("manifest", place, StimuliError, "Expected that of a stylised set: make the set again."):
        text = read_text(place)
        table = json.loads(text)
        if table["format"] != FORMAT:
            raise StimuliError(
                f"{place}: format {table['format']}, expected {FORMAT}: made by another version of this program."
            )
        by, strength = table["generator"], float(table["strength"])
        origin = f"stylised: {by['name']} {by['version']}, strength {strength:g}, seed {int(table['seed'])}"
        return Made(origin, f"stylised {text_digest(text)[:16]}", int(table["whole"]))


def open_listing(entry: Entry, listing: Listing, settings: Settings, n: int, name: str | None = None) -> Stimuli:
    """The images of a listing as a set of an entry, called `name`; n: how many the folder has.

    Raises StimuliError."""
    check_spelling(listing.folder, listing.ids)
    check_spelling(listing.folder, listing.labels["category"].tolist())
    items = file_digests(listing.files, listing.folder, settings)
    labels = dict(listing.labels)
    made = read_manifest(listing.folder)
    if made is not None:  # the manifest is part of the set's identity
        labels["made"] = np.full(len(listing), made.label)
    images = FileImages(listing.paths, remedy(entry), items)
    return Stimuli(
        name=name or entry.name,
        digest=set_digest(listing.ids, items, labels),
        space=entry.space,
        ids=listing.ids,
        items=items,
        labels=labels,
        decode=images,
        mask=_masks(entry, images, settings),
        whole=made.whole if made else entry.count or n,
        origin=made.origin if made else "catalogue" if entry.count else "added",
        sampled=listing.sampled,
    )


def _masks(entry: Entry, images: FileImages, settings: Settings) -> FileMasks | None:
    """Masks from the entry's set of silhouettes, where that set is here and fits every image."""
    source = read_catalogue(settings).get(entry.mask) if entry.mask else None
    folder = folder_of(source, settings) if source else None
    if folder is None:
        return None
    silhouettes = {(path.parent.name, path.stem): path for path in images_below(folder)}
    fitting = []
    for path in images.paths:  # the shape of `cat7-elephant1.png` and of `cat7.png` is that of `cat7`
        pair = read_pair(path.name)
        exemplar = pair.exemplar if pair else path.stem
        if (path.parent.name, exemplar) not in silhouettes:
            return None
        fitting.append(silhouettes[path.parent.name, exemplar])
    return FileMasks(images, tuple(fitting))


def open_set(name: str, settings: Settings) -> Stimuli:
    """The set of that name (or alias) as it lies on this disk; sets of the built-in world are drawn.

    Order: by category, then image name. `whole` is the published count, so that a part of a set shows as a part. Raises
    UnknownName, MissingStimuli (with the command that gets the set) or StimuliError."""
    if is_generated(name):
        return generated_set(name)
    return open_folder(*place_of(name, settings), settings)


def open_folder(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Stimuli:
    """The set of an entry, read from `folder`; with `limit` what `sample` leaves of it, no other file being read.

    Raises StimuliError."""
    if entry.annotated:
        return open_annotated(entry, folder, settings, limit)
    if entry.kind == "names":
        return open_named(entry, folder, settings, limit)
    listing = list_folder(entry, folder)
    return open_listing(entry, listing.sample(limit), settings, len(listing))


def subset(stimuli: Stimuli, limit: int) -> Stimuli:
    """The part that a protocol shows: at most `limit` stimuli, evenly spaced over the order (floor(i * n / limit)); of
    a sample the first.

    It has a digest of its own; `whole` stays the full count. Raises StimuliError where limit < 1."""
    index = evenly(len(stimuli), limit)
    if len(index) == len(stimuli):
        return stimuli
    return _pick(stimuli, range(limit) if stimuli.sampled else index)


def sample(stimuli: Stimuli, limit: int) -> Stimuli:
    """At most `limit` stimuli, the first in the order of `items.sample_order`; the set itself where it has no more.

    It has a digest of its own; `whole` stays the full count. Raises StimuliError where limit < 1."""
    if limit >= max(1, len(stimuli)):
        return stimuli
    index = sample_order(stimuli.ids, stimuli.labels, limit)
    return replace(_pick(stimuli, index), sampled=True)


def shuffled(stimuli: Stimuli) -> Stimuli:
    """All of the stimuli in the order of `items.sample_order`, so that any front part is a sample; a sample stays.

    The set has a digest of its own and says "shuffled" in its name."""
    mixed = stimuli
    if len(stimuli) and not stimuli.sampled:
        index = sample_order(stimuli.ids, stimuli.labels, len(stimuli))
        mixed = replace(_pick(stimuli, index), sampled=True)
    return replace(mixed, name=f"{stimuli.name} (shuffled)", whole=stimuli.whole or len(stimuli))


def restrict(stimuli: Stimuli, ids: Sequence[str]) -> Stimuli:
    """The stimuli of those names, in the order given. Raises StimuliError on unknown or repeated names."""
    position = {name: i for i, name in enumerate(stimuli.ids)}
    unknown = [name for name in ids if name not in position]
    if unknown:
        raise StimuliError(
            f"'{stimuli.name}' has no image '{unknown[0]}' ({len(unknown)} of {len(ids)} names are unknown)."
        )
    if len(set(ids)) != len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise StimuliError(f"the image '{twice}' of '{stimuli.name}' is named twice.")
    index = [position[name] for name in ids]
    return stimuli if index == list(range(len(stimuli))) else _pick(stimuli, index)


def seeds_of(stimuli: Stimuli, index: NDArray[np.int64], policy_seed: int) -> NDArray[np.uint64]:
    """One seed per stimulus at `index` [n], from the policy's seed and the item's content alone.

    So a stimulus keeps its seed in any order, batch or subset."""
    texts = (f"{policy_seed}:{stimuli.items[int(i)]}" for i in index)
    return np.array([int(text_digest(text)[:16], 16) for text in texts], dtype=np.uint64)


def _pick(stimuli: Stimuli, index: Sequence[int]) -> Stimuli:
    ids = tuple(stimuli.ids[i] for i in index)
    items = pick_digests(stimuli.items, index)
    labels = {name: column[list(index)] for name, column in stimuli.labels.items()}
    chosen = tuple(index)
    return replace(
        stimuli,
        digest=set_digest(ids, items, labels),
        ids=ids,
        items=items,
        labels=labels,
        decode=Picked(stimuli.decode, chosen),
        mask=None if stimuli.mask is None else Picked(stimuli.mask, chosen),
        ignored=None if stimuli.ignored is None else Picked(stimuli.ignored, chosen),
        importance=None if stimuli.importance is None else Picked(stimuli.importance, chosen),
        whole=stimuli.whole or len(stimuli),
    )


T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What lies in a folder. items: by category, then name; left_out: reason -> images that the set does not show;
    absent: how many of these are of the set, but not in the folder."""

    items: tuple[Item, ...]
    left_out: Mapping[str, int]
    absent: int

    @property
    def lines(self) -> tuple[str, ...]:
        """What was left out, a line each."""
        return tuple(f"left out: {n} images ({why})" for why, n in sorted(self.left_out.items()))


@dataclass(frozen=True)
class Pictures:
    """Images and what is drawn over them, from their files as they were when the set was planned.

    An image file is read and compared whole where it is decoded; what annotates it, or holds many images, is compared
    by its state before and after it is read. Raises StimuliError naming a file that is another one now."""

    drawn: tuple[Annotation, ...]
    files: FileImages
    states: tuple[Mapping[Path, State], ...]

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8 from an image file, or from where an annotation says that it lies."""
        source = self.drawn[index].pixels
        return self.files(index) if source is None else self._planned(index, source)

    def part(self, name: str, index: int) -> Any:
        """The mask, ignored pixels or map of the i-th image ("mask", "ignored", "importance"), HW at its size."""
        says = getattr(self.drawn[index], name)
        return self._planned(index, lambda: says(self._size(index)))

    def _size(self, index: int) -> Size:
        if self.drawn[index].pixels is not None:
            height, width = self.pixels(index).shape[:2]
        else:
            width, height = size_of(self.files.paths[index], self.files.remedy)
        return height, width

    def _planned(self, index: int, read: Callable[[], T]) -> T:
        self._check(index)
        value = read()
        self._check(index)
        return value

    def _check(self, index: int) -> None:
        for path, state in self.states[index].items():
            try:
                same = state_of(path) == state
            except OSError:
                same = False
            if not same:
                raise changed(path)


def survey(entry: Entry, folder: Path) -> Survey:
    """Read a folder's layout; no image is decoded. Raises StimuliError (file, what was expected)."""
    found: list[Item] = []
    left: list[LeftOut] = []
    for one in READERS[entry.layout](entry, folder):
        if isinstance(one, LeftOut):
            left.append(one)
        else:
            found.append(one)
    counts = Counter(one.reason for one in left)
    found.sort(key=lambda item: (item.labels["category"], item.id))
    seen = Survey(tuple(found), counts, sum(one.absent for one in left))
    if not found:
        raise StimuliError(
            f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}'"
            + "".join(f"; {line}" for line in seen.lines)
            + "."
        )
    check_unique(found)
    return seen


def open_annotated(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Stimuli:
    """The set of an entry, read from `folder`; with `limit` a sample of so many images.

    An item's digest covers its image and what is drawn over it. Raises StimuliError."""
    seen = survey(entry, folder)
    n = len(seen.items)
    sampled, items = limit is not None and limit < n, seen.items
    if limit is not None and sampled:
        order = sample_order([item.id for item in items], label_columns(items), limit)
        items = tuple(items[i] for i in order)
    drawn = tuple(item.annotation or Annotation() for item in items)
    ids = tuple(item.id for item in items)
    check_spelling(folder, ids)
    pictures, digests = _planned(items, drawn, folder, settings, remedy(entry))
    labels = label_columns(items)

    def over(name: str) -> Callable[[int], Any] | None:
        """What all images have, or None."""
        whole = all(getattr(one, name) is not None for one in drawn)
        return partial(pictures.part, name) if whole else None

    return Stimuli(
        name=entry.name,
        digest=set_digest(ids, digests, labels),
        space=entry.space,
        ids=ids,
        items=digests,
        labels=labels,
        decode=pictures.pixels,
        mask=over("mask"),
        ignored=over("ignored"),
        importance=over("importance"),
        whole=entry.count or n + seen.absent,
        origin="catalogue" if find_built_in(entry.name) else "added",
        sampled=sampled,
    )


def _planned(
    items: Sequence[Item], drawn: tuple[Annotation, ...], folder: Path, settings: Settings, again: str
) -> tuple[Pictures, tuple[str, ...]]:
    """The images with what is drawn over them, as their files are now, and one digest each: of its image file, the
    files that annotate it, and the rest in words."""
    needed = [(item.path, *one.files) for item, one in zip(items, drawn, strict=True)]
    files = tuple(dict.fromkeys(path for paths in needed for path in paths))
    states: dict[Path, State] = {}
    for path in files:  # before anything is read
        with foreign("file", path, StimuliError):
            states[path] = state_of(path)
    known = dict(zip(files, file_digests(files, folder, settings), strict=True))
    digests = tuple(
        text_digest("\n".join([*(known[path] for path in paths), one.text]))
        for paths, one in zip(needed, drawn, strict=True)
    )
    paths = tuple(item.path for item in items)
    images = FileImages(paths, again, tuple(known[path] for path in paths))
    planned = tuple({path: states[path] for path in paths} for paths in needed)
    return Pictures(drawn, images, planned), digests


# Sets that lie in cells: CORRUPTION/SEVERITY/class/image, with or without folders of groups above.
#
# Every cell is a set of its own, called "imagenet-c gaussian_noise/3". Cells that show the same images share their
# names and labels, so all of ImageNet-C (95 cells of 50,000 images) is held in 32 bytes an image.
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

    Raises StimuliError where there is none, or one of a name lies in two places."""
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
        (known.get(cell.corruption, len(known)), cell.corruption, float(cell.severity), cell) for cell in found.values()
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

    With `limit` each shows the same images: a sample of so many of those that all cells have. Raises StimuliError."""
    listings = list_cells(entry, find_cells(entry, folder))
    whole = {name: len(listing) for name, listing in listings.items()}
    if limit is not None:
        distinct = list({id(listing.ids): listing for listing in listings.values()}.values())
        # Names of the images that every listing has in the same class, in order.
        first, *others = distinct
        tables = [dict(zip(one.ids, one.labels["category"].tolist(), strict=True)) for one in others]
        rows = zip(first.ids, first.labels["category"].tolist(), strict=True)
        common = [name for name, category in rows if all(t.get(name) == category for t in tables)]
        if not common:
            raise StimuliError(f"the cells of '{entry.name}' have no image in common to take {limit} of.")
        order: Sequence[int] = range(len(common))
        if limit < len(common):
            labels = first.pick(positions(first, common).tolist()).labels
            order = sample_order(common, labels, limit)
        names = [common[i] for i in order]
        parts = {id(listing.ids): listing.pick(positions(listing, names).tolist()) for listing in distinct}
        listings = {name: replace(parts[id(listing.ids)], folder=listing.folder) for name, listing in listings.items()}
    return Cells(entry, settings, listings, whole)


def list_cells(
    entry: Entry, cells: Sequence[Cell], failed: Callable[[Cell, StimuliError], None] | None = None
) -> dict[str, Listing]:
    """What lies in each cell; those with the same names in the same classes share one copy of them.

    failed: told of a cell that cannot be listed, which is then left out; without it that is raised."""
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
        category = listing.labels["category"]
        alike = (
            other
            for other in distinct
            if other.ids == listing.ids and np.array_equal(other.labels["category"], category)
        )
        twin = next(alike, None)
        if twin is None:
            distinct.append(listing)
        listings[cell.name] = listing if twin is None else replace(twin, folder=cell.folder)
    return listings


def open_named(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Stimuli:
    """The images that the list in `folder` names, in the order of the set `entry.of`; with `limit` a sample of so many.
    No other image is read.

    Raises MissingStimuli where that set is not on this disk, StimuliError where the list cannot be used."""
    names = read_names(entry, folder)
    source, place = place_of(entry.of, settings)
    whole = list_folder(source, place)
    position = {name: i for i, name in enumerate(whole.ids)}
    unknown = [name for name in names if name not in position]
    if unknown:
        raise StimuliError(
            f"'{source.name}' in {place} lacks {len(unknown)} of the {len(names)} images that '{entry.name}' names, "
            f"such as {unknown[0]}. Complete it."
        )
    part = whole.pick(sorted(position[name] for name in names))
    return open_listing(entry, part.sample(limit), settings, len(names))


def read_names(entry: Entry, folder: Path) -> tuple[str, ...]:
    """The image names of a list, as they come, without folders.

    Raises StimuliError where there is no list, where it cannot be read, or where it names an image twice."""
    paths = [folder / name for name in entry.files] or sorted(folder.glob("*.txt"))[:1]
    if not paths:
        raise StimuliError(f"{folder}: no text file with the names of '{entry.name}'.")
    with foreign("list of names", paths[0], StimuliError):
        lines = read_text(paths[0]).splitlines()
    names = tuple(line.strip().rpartition("/")[2] for line in lines if line.strip())
    if not names or len(set(names)) < len(names):
        raise StimuliError(f"{paths[0]}: expected image names, one a line, each once.")
    return names
