"""`bench data verify`: check whether an installed set matches its publication."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.datasets import (
    CellFolder,
    find_cells,
    left_out_lines,
    list_cells,
    open_folder,
    open_listing,
    survey,
)
from benchmark.stimuli.image_files import FileImages, reread, text_digest
from benchmark.stimuli.items import Listing, evenly, list_folder, sample_order
from benchmark.stimuli.roles import read_textures
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.set_folders import entry_and_folder, remedy
from benchmark.stimuli.trial_tables import read_tables
from registry.labels import label_space
from registry.user_errors import foreign

Tick = Callable[[], None]
SHOWN = 5  # names or problems of one kind that are printed
#: Read every image of a set up to this size; of a larger one, read samples (for cells: over all cells together).
READ_ALL = 5000
SAMPLE, CELL_SAMPLES = 1000, 2000
FEWEST = 5  # images of each cell


@dataclass(frozen=True)
class Verification:
    """Whether a set can be used as published, with a line for each check."""

    ok: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many images to read."""

    sample: int | None = None  # images to read in each folder
    full: bool = False  # read every image
    #: Receives the number of images to read; returns a function called after each.
    expect: Callable[[int], Tick] = lambda _: lambda: None

    def of(self, n: int, standard: int, total: int) -> Sequence[int]:
        """Choose which of the n images of a folder to read; `standard` of them if the set (`total`) is large."""
        if self.full or (self.sample is None and total <= READ_ALL):
            return range(n)
        return evenly(n, standard if self.sample is None else self.sample)


def verify(name: str, settings: Settings, depth: Depth | None = None) -> Verification:
    """Check the files of a set: complete images of the published size, the number of images and classes, and the digest
    if it is known.

    A partial set is reported, not an error; cells of one set must agree. Every image is read in sets of at most
    READ_ALL images, otherwise a sample; names and empty files are always checked. Raises UnknownName, MissingStimuli.
    """
    entry, folder = entry_and_folder(name, settings)
    depth = depth or Depth()
    if entry.kind == "trials":
        tables = read_tables(folder)
        rows, paths = sum(map(len, tables.files)), {file.path for file in tables.files}
        lines = [f"{rows} trials in {len(paths)} tables"]
        problems = list(map(str, tables.unfit.values()))
    elif entry.kind == "scores":
        scores = read_scores(folder)
        lines, problems = [f"{len(scores.scores)} scores", *scores.notes], []
    elif entry.kind == "textures":
        try:
            count, lines, problems = len(read_textures(entry, folder)), [], []
            lines.append(f"{count} images, {'as published' if entry.files else 'digests not pinned'}")
        except StimuliError as error:
            lines, problems = [], [str(error)]
    elif entry.layout == "cells":
        lines, problems = _verify_cells(entry, folder, settings, depth)
    elif entry.layout == "class-folder" and entry.mask is None:
        lines, problems = _verify_classes(entry, list_folder(entry, folder), settings, depth)
    else:
        lines, problems = _verify_images(entry, folder, settings, depth)
    return Verification(not problems, (f"{folder}", *lines, *problems))


Findings = tuple[list[str], list[str]]  # checks; problems


def _verify_images(entry: Entry, folder: Path, settings: Settings, depth: Depth) -> Findings:
    """Check a set with masks or maps by reading every image."""
    altered = _altered(reread(folder, settings))
    stimuli = open_folder(entry, folder, settings)
    tick = depth.expect(len(stimuli))
    broken, odd = [], Counter[str]()
    for i in range(len(stimuli)):
        try:
            stimuli.decode(i)
            if stimuli.ignored is not None:
                stimuli.ignored(i)
            if stimuli.mask is not None:
                odd["empty or full masks"] += np.ptp(stimuli.mask(i).astype(int)) == 0
            if stimuli.importance is not None:
                odd["flat maps"] += np.ptp(stimuli.importance(i)) == 0
        except StimuliError as error:
            broken.append(str(error))
        tick()
    lines, wrong = _identity(entry, stimuli)
    lines.append("object masks: " + ("yes" if stimuli.mask else "no"))
    lines += ["maps of what people used: yes"] if stimuli.importance else []
    lines += [f"{n} {what}: no score counts them" for what, n in odd.items() if n]
    lines += left_out_lines(survey(entry, folder)[1]) if entry.annotated else []
    return lines, [*_some(broken), *altered, *wrong]


def _verify_classes(entry: Entry, listing: Listing, settings: Settings, depth: Depth) -> Findings:
    """Check a folder of class folders of any size."""
    n = len(listing)
    index = depth.of(n, SAMPLE, n)
    if len(index) < n:
        index = sample_order(listing.ids, listing.labels, len(index))
    stimuli, sizes, broken = _look_at(entry, listing, index, settings, depth.expect(len(index)))
    lines, wrong = _identity(entry, stimuli, n)
    classes = set(listing.labels["category"].tolist())
    expected = f" of {entry.classes}" if entry.classes else ""
    seen = ", ".join(f"{width} x {height}" for (width, height), _ in sizes.most_common(3))
    lines += [f"{len(classes)}{expected} classes; {seen}{', ...' * (len(sizes) > 3)} px", *listing.notes]
    if len(index) < n:
        lines.append(f"{len(index)} images were read, those of `--limit {len(index)}`; --full reads every one")
    return lines, [*broken, *_class_problems(entry, classes), *wrong]


def _verify_cells(entry: Entry, folder: Path, settings: Settings, depth: Depth) -> Findings:
    """Check that cells have the same images, corruptions all severities, and no two cells equal pixels."""
    cells = find_cells(entry, folder)
    problems: dict[str, list[str]] = defaultdict(list)  # by cell or corruption
    listings = list_cells(entry, cells, lambda cell, error: problems[cell.name].append(str(error)))
    counts = Counter(id(listing.ids) for listing in listings.values())
    # The listing that most cells share.
    usual = max(listings.values(), key=lambda listing: (counts[id(listing.ids)], len(listing)), default=None)
    total, read = sum(map(len, listings.values())), 0
    standard = max(FEWEST, CELL_SAMPLES // max(1, len(listings)))
    index = {name: depth.of(len(listing), standard, total) for name, listing in listings.items()}
    tick = depth.expect(sum(map(len, index.values())))
    digests: dict[str, str] = {}
    for name, listing in listings.items():
        problems[name] += _unlike(listing, usual)
        try:
            stimuli, sizes, broken = _look_at(entry, listing, index[name], settings, tick)
        except StimuliError as error:  # a file that is gone or locked
            problems[name].append(str(error))
            continue
        read += sizes.total()
        problems[name] += broken
        if twin := next((other for other, digest in digests.items() if digest == stimuli.digest), None):
            problems[twin].append(f"the same images as in {name}")
        digests[name] = stimuli.digest
    for corruption, severity in _lost_severities(entry, cells):
        problems[corruption].append(f"no severity {severity}")
    wrong = [f"{name}: {problem}" for name, several in problems.items() for problem in several]
    if usual is not None:
        wrong += _class_problems(entry, set(usual.labels["category"].tolist()))
        if entry.count is not None and len(usual) > entry.count:
            wrong.append(f"{len(usual)} images in a cell, more than were published ({entry.count})")
    lines = [
        *_summary(entry, cells, usual),
        f"{read} images were read{'' if read == total else ', evenly spaced; --full reads every one'}",
        f"digest {text_digest(chr(10).join(map(' '.join, digests.items())))} of what was read",
    ]
    return lines, wrong


def _look_at(
    entry: Entry, listing: Listing, index: Sequence[int], settings: Settings, tick: Tick
) -> tuple[Stimuli, Counter[tuple[int, int]], list[str]]:
    """Decode and digest the images at `index`; return them as a set, the count of each size, and the problems."""
    images = FileImages(files=listing.files, remedy=remedy(entry), folder=listing.folder)
    with foreign("files in", listing.folder, StimuliError):
        empty = [i for i in range(len(listing)) if not images.path(i).stat().st_size]
    sizes: Counter[tuple[int, int]] = Counter()
    unreadable: list[str] = []
    first: dict[tuple[int, int], Path] = {}
    for i in sorted(set(index) - set(empty)):
        try:
            height, width, _ = images(i).shape
            sizes[width, height] += 1
            first.setdefault((width, height), images.path(i))
        except StimuliError as error:
            unreadable.append(str(error))
        tick()
    part = listing if len(index) == len(listing) else listing.pick(index)
    problems = [*_some([f"{images.path(i)}: an empty file" for i in empty]), *_some(unreadable)]
    problems += _altered(reread(listing.folder, settings, part.files))
    wanted = f"expected {entry.size} x {entry.size}"
    problems += [
        f"{n} of {sizes.total()} images that were read are {w} x {h} px, {wanted} (such as {first[w, h]})"
        for (w, h), n in sizes.items()
        if entry.size not in (None, w) or entry.size not in (None, h)
    ]
    return open_listing(entry, part, settings, len(listing)), sizes, problems


def _altered(names: Sequence[str]) -> list[str]:
    """Report files whose content changed since they were first read."""
    changed = f"{len(names)} files changed since they were first read, behind an unchanged size and time"
    return [f"{changed} ({', '.join(_some(names))}): the set is another one now"] if names else []


def _class_problems(entry: Entry, classes: Collection[str]) -> list[str]:
    """List classes that this entry cannot have: unknown ones, or more than were published."""
    problems = []
    unknown = set(classes) - set(label_space("imagenet1k").classes) if entry.space == "imagenet1k" else set()
    if unknown:
        problems.append(f"not among the 1000 classes of ImageNet-1k: {', '.join(_some(sorted(unknown)))}")
    if entry.classes is not None and len(classes) > entry.classes:
        problems.append(f"{len(classes)} classes, expected {entry.classes}")
    return problems


def _some(items: Sequence[str]) -> list[str]:
    """Return the first few of many names or problems, and how many more there are."""
    more = len(items) - SHOWN
    return [*items[:SHOWN], *([f"... and {more} more of this kind"] if more > 0 else [])]


def _lost_severities(entry: Entry, cells: Sequence[CellFolder]) -> list[tuple[str, str]]:
    """List corruptions with a severity that they lack and another has; of a published set, only published cells."""
    names, levels = (*entry.parts, *entry.extra), entry.levels
    known = [(x.corruption, x.severity) for x in cells if not names or (x.corruption in names and x.severity in levels)]
    every = product(dict(known), sorted({severity for _, severity in known}, key=float))
    return [pair for pair in every if pair not in known]


def _unlike(listing: Listing, usual: Listing | None) -> list[str]:
    """Describe how a cell's images differ from those of most cells."""
    if usual is None or listing.ids is usual.ids:
        return []
    images, expected = (
        {f"{category}/{name}" for category, name in zip(x.labels["category"].tolist(), x.ids, strict=True)}
        for x in (listing, usual)
    )
    parts = {"missing that most cells have": expected - images, "that most cells do not have": images - expected}
    return [f"{len(odd)} images {what} ({', '.join(_some(sorted(odd)))})" for what, odd in parts.items() if odd]


def _summary(entry: Entry, cells: Sequence[CellFolder], usual: Listing | None) -> list[str]:
    """Summarise the installed cells and the missing published ones."""
    corruptions = {cell.corruption for cell in cells}
    levels = sorted({cell.severity for cell in cells}, key=float)
    lines = [f"{len(cells)} cells: {len(corruptions)} corruptions, severities {', '.join(levels)}"]
    if usual is not None:
        classes = len(set(usual.labels["category"].tolist()))
        images, known = (f" of {number}" if number else "" for number in (entry.count, entry.classes))
        lines.append(f"{len(usual)}{images} images in {classes}{known} classes in most cells")
    lost = [name for name in entry.parts if name not in corruptions]
    lost += [f"severity {level}" for level in entry.levels if level not in levels]
    return [*lines, f"a part of the set: without {', '.join(lost)}"] if lost else lines


def _identity(entry: Entry, stimuli: Stimuli, n: int | None = None) -> Findings:
    """Compare number and digest with the published set. stimuli: the complete set, or a sample of its n images."""
    there = len(stimuli) if n is None else n
    whole = stimuli.whole or there
    lines = [
        f"{there} of {whole} images" + ("" if there == whole else ": a part of the set"),
        f"digest {stimuli.digest}" + ("" if len(stimuli) == there else f" of the {len(stimuli)} that were read"),
    ]
    problems = []
    if len(stimuli) == whole and entry.digest is not None:
        if stimuli.digest == entry.digest:
            lines.append("exactly the published images")
        else:
            problems.append("NOT the published images")
    if there > whole:
        problems.append(f"more images than were published ({whole}): remove what does not belong there")
    return lines, problems
