"""Stimulus sets as values: opened from a folder, a list of names or cells, or generated; then reduced as needed."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli import image_files, items
from benchmark.stimuli.catalogue import Entry, entry_and_folder, find_built_in, read_catalogue, remedy, stimuli_folder
from benchmark.stimuli.image_files import FileImages, file_digests, text_digest
from benchmark.stimuli.image_names import cues_of
from benchmark.stimuli.items import Annotation, Item, LeftOut, Listing, images_below, list_classes, sample_order
from benchmark.stimuli.masked import READERS
from benchmark.stimuli.world.sets import generated_set, is_generated
from registry.user_errors import foreign

#: The manifest in the folder of a stylised set records the origin of its images.
MANIFEST = "stylised.json"
FORMAT = 1


def open_set(name: str, settings: Settings) -> Stimuli:
    """Open a set by name or alias. Raises UnknownName, StimuliError, MissingStimuli with the command that gets it."""
    return generated_set(name) if is_generated(name) else open_folder(*entry_and_folder(name, settings), settings)


def open_folder(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Stimuli:
    """Open the set of an entry from `folder`; with `limit`, open the images of `sample` only. Raises StimuliError."""
    listing = list_images(entry, folder, settings)
    return open_listing(entry, listing.sample(limit), settings, len(listing) + listing.absent)


#: Layout -> reader of its images; `masked.READERS` has those of masks and maps.
_READERS: Mapping[str, Callable[[Entry, Path], Iterator[Item | LeftOut]]] = {
    "labels-csv": items.labelled_images,
    **dict.fromkeys(("cue-conflict", "session", "experiment"), items.shown_images),
    **READERS,
}


def list_images(entry: Entry, folder: Path, settings: Settings) -> Listing:
    """List the images of a folder or a list of names by category, then name. Raises StimuliError, MissingStimuli."""
    if entry.kind == "names":  # in the order of the set that has them
        names, (source, place) = read_names(entry, folder), entry_and_folder(entry.of, settings)
        whole = list_images(source, place, settings)
        position = {name: i for i, name in enumerate(whole.ids)}
        if unknown := [name for name in names if name not in position]:
            raise StimuliError(
                f"'{source.name}' in {place} lacks {len(unknown)} of the {len(names)} images that '{entry.name}' "
                f"names, such as {unknown[0]}. Complete it."
            )
        return whole.pick(sorted(position[name] for name in names))
    if entry.layout == "class-folder":
        return list_classes(entry, folder)
    if entry.layout not in _READERS:
        hint = ": `bench import trials` reads its tables" if entry.layout == "trials" else ""
        raise StimuliError(f"{folder}: the layout '{entry.layout}' is not one set of labelled images{hint}.")
    rows = list(_READERS[entry.layout](entry, folder))
    left = Counter(row for row in rows if isinstance(row, LeftOut))
    notes = sorted(f"left out: {n} images ({row.reason})" for row, n in left.items())
    shown = sorted((row for row in rows if isinstance(row, Item)), key=lambda item: (item.labels["category"], item.id))
    if not shown:
        lost = [f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}'", *notes]
        raise StimuliError(f"{'; '.join(lost)}.")
    for item, other in pairwise(sorted(shown, key=attrgetter("id"))):
        if item.id == other.id:
            raise StimuliError(f"{item.path} and {other.path} are both called '{item.id}': image names must be unique.")
    columns = dict.fromkeys(name for item in shown for name in item.labels)
    return Listing(
        folder=folder,
        files=tuple(os.fspath(item.path) for item in shown),
        ids=tuple(item.id for item in shown),
        labels={name: np.array([item.labels.get(name, "") for item in shown]) for name in columns},
        notes=tuple(notes),
        annotations=tuple(item.annotation for item in shown if item.annotation),
        absent=sum(n for row, n in left.items() if row.absent),
    )


def open_listing(entry: Entry, listing: Listing, settings: Settings, n: int, name: str | None = None) -> Stimuli:
    """Open the images of a listing as a set of an entry, called `name`. n: number of images in the folder. An item's
    digest covers its image, its mask's or map's files and their settings. Raises StimuliError."""
    items.check_spelling(listing.folder, [*listing.ids, *listing.labels["category"].tolist()])
    digests = contents = file_digests(listing.files, listing.folder, settings)
    if drawn := listing.annotations:
        beside = tuple(dict.fromkeys(path for own in drawn for path in own.files))
        known = dict(zip(beside, file_digests(beside, listing.folder, settings), strict=True))
        parts = zip(digests, drawn, strict=True)
        contents = tuple(
            text_digest("\n".join([image, *map(known.__getitem__, x.files), x.text])) for image, x in parts
        )
    labels, whole = dict(listing.labels), entry.count or n
    origin = "catalogue" if entry.count or (drawn and find_built_in(entry.name)) else "added"
    place = listing.folder / MANIFEST
    if place.is_file():
        with foreign("manifest", place, StimuliError, "Expected that of a stylised set: make the set again."):
            text = image_files.read_plain(place).decode()
            table = json.loads(text)
            by, strength, whole = table["generator"], float(table["strength"]), int(table["whole"])
            origin = f"stylised: {by['name']} {by['version']}, strength {strength:g}, seed {int(table['seed'])}"
            # This label makes the manifest part of the set's digest.
            labels["made"] = np.full(len(listing), f"stylised {text_digest(text)[:16]}")
    if entry.border:
        labels["made"] = np.full(len(listing), f"without a frame of {entry.border} px")
    images = FileImages(
        files=listing.files, remedy=remedy(entry), digests=digests, folder=listing.folder, border=entry.border
    )
    over: dict[str, Any] = {"mask": _masks(entry, images, settings)}
    for kind in ("mask", "ignored", "importance"):
        if drawn and all(getattr(own, kind) is not None for own in drawn):  # shared by all images
            over[kind] = partial(_annotation, drawn, images, kind)
    return image_files.stimuli_of(
        name=name or entry.name, space=entry.space, ids=listing.ids, items=contents, labels=labels, decode=images,
        whole=whole, origin=origin, sampled=listing.sampled, **over,
    )  # fmt: skip


def _masks(entry: Entry, images: FileImages, settings: Settings) -> Callable[[int], NDArray[np.bool_]] | None:
    """Build masks from the entry's set of silhouettes, if it is installed and matches every image."""
    source = read_catalogue(settings).get(entry.mask) if entry.mask else None
    folder = stimuli_folder(source, settings) if source else None
    if folder is None:
        return None
    silhouettes, fitting = {(path.parent.name, path.stem): path for path in images_below(folder)}, []
    for path in map(images.path, range(len(images.files))):
        # `cat7-elephant1.png` and `cat7.png` both have the shape of `cat7`.
        place = path.parent.name, cues_of(path.name).get("shape_exemplar", path.stem)
        if place not in silhouettes:
            return None
        fitting.append(silhouettes[place])
    return partial(image_files.silhouette_mask, images, tuple(fitting))


def subset(stimuli: Stimuli, limit: int) -> Stimuli:
    """Select at most `limit` stimuli for a protocol, evenly spaced over the order (floor(i * n / limit)); for a sample,
    the first. The subset has its own digest; `whole` is unchanged."""
    n = len(stimuli)
    return stimuli if limit >= n else _pick(stimuli, [i if stimuli.sampled else i * n // limit for i in range(limit)])


def sample(stimuli: Stimuli, limit: int) -> Stimuli:
    """Select the first `limit` stimuli of `sample_order`, as `subset` does. Raises StimuliError if limit < 1."""
    if limit >= max(1, len(stimuli)):
        return stimuli
    return replace(_pick(stimuli, sample_order(stimuli.ids, stimuli.labels, limit)), sampled=True)


def shuffled(stimuli: Stimuli) -> Stimuli:
    """Put the stimuli in the order of `sample_order`, so that any front part is a sample; a sample keeps its order."""
    mixed = stimuli
    if len(stimuli) and not stimuli.sampled:
        mixed = replace(_pick(stimuli, sample_order(stimuli.ids, stimuli.labels, len(stimuli))), sampled=True)
    return replace(mixed, name=f"{stimuli.name} (shuffled)", whole=stimuli.whole or len(stimuli))


def restrict(stimuli: Stimuli, ids: Sequence[str]) -> Stimuli:
    """Select stimuli by name, in the order given."""
    position = {name: i for i, name in enumerate(stimuli.ids)}
    index = [position[name] for name in ids]
    return stimuli if index == list(range(len(stimuli))) else _pick(stimuli, index)


def seeds_of(stimuli: Stimuli, index: NDArray[np.int64], policy_seed: int) -> NDArray[np.uint64]:
    """Return a seed for each stimulus at `index` [n], from the policy's seed and the item's content alone."""
    return np.array([image_files.seed_of(f"{policy_seed}:{stimuli.items[int(i)]}") for i in index], dtype=np.uint64)


@dataclass(frozen=True, kw_only=True)
class Picked:
    """A function of an index that is applied to chosen indices of its source."""

    source: Callable[[int], Any]
    index: tuple[int, ...]
    whole: tuple[str, int]  # digest and size of the set chosen from

    def __call__(self, index: int) -> Any:
        """Return the source's value for the index-th chosen one."""
        return self.source(self.index[index])


def _pick(stimuli: Stimuli, index: Sequence[int]) -> Stimuli:
    chosen, whole = tuple(index), (stimuli.digest, len(stimuli))
    picked: dict[str, Any] = {}
    for name in ("decode", "mask", "ignored", "importance"):
        part = getattr(stimuli, name)
        if isinstance(part, Picked):  # pick from its source
            part = replace(part, index=tuple(part.index[i] for i in chosen))
        picked[name] = part if isinstance(part, Picked | None) else Picked(source=part, index=chosen, whole=whole)
    ids, contents = (tuple(values[i] for i in chosen) for values in (stimuli.ids, stimuli.items))
    labels = {name: column[list(chosen)] for name, column in stimuli.labels.items()}
    digest = image_files.set_digest(ids, contents, labels)
    size = stimuli.whole or len(stimuli)
    return replace(stimuli, digest=digest, ids=ids, items=contents, labels=labels, whole=size, **picked)


def _annotation(drawn: Sequence[Annotation], files: FileImages, name: str, index: int) -> Any:
    """Return the i-th mask, ignored pixels or map ("mask", "ignored", "importance"), HW at the image's size."""
    width, height = files.size(index)
    return getattr(drawn[index], name)((height, width))


# Sets in cells: CORRUPTION/SEVERITY/class/image, optionally below folders of groups. Every cell is a set called
# "imagenet-c gaussian_noise/3". Cells with the same images share their names and labels.
LEVEL = "intensity_level_"  # before the severity, in LAION-C
SEVERITY = re.compile(rf"({LEVEL})?\d+(\.\d+)?")
GROUPS = 3  # folders (a group such as "noise", an archive's top) that may lie above a corruption's


def find_cells(entry: Entry, folder: Path) -> dict[str, Path]:
    """Find the cells below `folder`, "gaussian_noise/3" -> its folder of class folders: published corruptions in their
    order, then others by name; severities by number. Raises StimuliError if there is no cell, or two of one name."""

    def below(place: Path, depth: int) -> Iterator[tuple[str, Path]]:
        """Yield cells whose corruption's folder is at most `depth` levels below."""
        for name in items.subfolders(place):
            severities = [text for text in items.subfolders(place / name) if SEVERITY.fullmatch(text)]
            yield from ((f"{name}/{text.removeprefix(LEVEL)}", place / name / text) for text in severities)
            if not severities and depth > 1:
                yield from below(place / name, depth - 1)

    cells: dict[str, Path] = {}
    for cell, place in below(folder, GROUPS + 1):
        if cells.setdefault(cell, place) is not place:
            raise StimuliError(f"{place} and {cells[cell]} are both cell '{cell}'. Remove one.")
    if not cells:
        raise StimuliError(f"{folder}: no cells of '{entry.name}', folders like gaussian_noise/3/n01440764.")
    known = {name: i for i, name in enumerate((*entry.parts, *entry.extra))}
    named = (cell.split("/") for cell in cells)
    ranked = sorted((known.get(what, len(known)), what, float(level), f"{what}/{level}") for what, level in named)
    return {cell: cells[cell] for *_, cell in ranked}


class Cells(Mapping[str, Stimuli]):
    """The sets of all cells by cell name, in canonical order. Each is opened (its files are digested) on first use."""

    def __init__(self, names: Sequence[str], open_cell: Callable[[str], Stimuli]) -> None:
        self._names, self._open = names, cache(open_cell)

    def __getitem__(self, name: str) -> Stimuli:
        return self._open(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open_cells(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Cells:
    """Open the cells of an entry; with `limit` a sample of the images that all cells have. Raises StimuliError."""
    listings, errors = list_cells(entry, find_cells(entry, folder))
    for error in errors.values():
        raise error
    whole = {name: len(listing) for name, listing in listings.items()}
    if limit is not None:
        distinct = {id(listing.ids): listing for listing in listings.values()}
        pairs = ({*zip(x.labels["category"].tolist(), x.ids, strict=True)} for x in distinct.values())
        if not (common := sorted(set.intersection(*pairs))):
            raise StimuliError(f"the cells of '{entry.name}' have no image in common to take {limit} of.")
        categories, names = zip(*common, strict=True)
        if limit < len(names):
            names = tuple(names[i] for i in sample_order(names, {"category": np.array(categories)}, limit))
        positions = {key: {name: i for i, name in enumerate(x.ids)} for key, x in distinct.items()}
        parts = {key: x.pick([positions[key][name] for name in names]) for key, x in distinct.items()}
        listings = {name: replace(parts[id(x.ids)], folder=x.folder) for name, x in listings.items()}

    def open_cell(name: str) -> Stimuli:
        return open_listing(entry, listings[name], settings, whole[name], f"{entry.name} {name}")

    return Cells(tuple(listings), open_cell)


def list_cells(entry: Entry, cells: Mapping[str, Path]) -> tuple[dict[str, Listing], dict[str, StimuliError]]:
    """List the images of each cell, and the errors of cells that fail. Cells with equal images share one copy."""
    distinct: list[Listing] = []
    listings, errors = dict[str, Listing](), dict[str, StimuliError]()
    for name, folder in cells.items():
        try:
            listing = list_classes(entry, folder)
        except StimuliError as error:
            errors[name] = error
            continue
        category = listing.labels["category"]
        alike = (x for x in distinct if x.ids == listing.ids and np.array_equal(x.labels["category"], category))
        twin = next(alike, None)
        if twin is None:
            distinct.append(listing)
        listings[name] = listing if twin is None else replace(twin, folder=folder)
    return listings, errors


def read_names(entry: Entry, folder: Path) -> tuple[str, ...]:
    """Read the image names of a list in order, each once, without folders. Raises StimuliError."""
    paths = [folder / name for name in entry.files] or sorted(folder.glob("*.txt"))[:1]
    if not paths:
        raise StimuliError(f"{folder}: no text file with the names of '{entry.name}'.")
    with foreign("list of names", paths[0], StimuliError):
        lines = image_files.read_plain(paths[0]).decode().splitlines()
    names = tuple(line.strip().rpartition("/")[2] for line in lines if line.strip())
    if not names or len(set(names)) < len(names):
        raise StimuliError(f"{paths[0]}: expected image names, one a line, each once.")
    return names
