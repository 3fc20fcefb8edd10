"""`bench data verify`: whether what lies on this disk can be used as published, and what was looked at."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, place_of, remedy
from benchmark.stimuli.datasets import Cell, find_cells, list_cells, open_folder, open_listing, survey
from benchmark.stimuli.image_files import FileImages, reread, text_digest
from benchmark.stimuli.items import Listing, evenly, list_folder, sample_order
from benchmark.stimuli.roles import read_texture, texture_paths
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.trials import read_tables
from registry.foreign import foreign

Tick = Callable[[], None]
SHOWN = 10  # problems of one kind that are spelled out
#: Every image of a set is read where it has at most so many; of a larger one a sample.
READ_ALL = 5000
SAMPLE = 1000
Expect = Callable[[int], Tick]


@dataclass(frozen=True)
class Row:
    """One corruption of a set in cells, in words."""

    corruption: str
    severities: str
    classes: str
    images: str
    size: str
    remark: str


@dataclass(frozen=True)
class Verification:
    """Whether a set can be used as published, and what was looked at, a line each; `table` for sets in cells."""

    ok: bool
    lines: tuple[str, ...]
    table: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Depth:
    """How closely to look. sample: images per folder; full: read every one; expect: told how many images will be read,
    gives what is called after each."""

    sample: int | None = None
    full: bool = False
    expect: Expect = lambda _: lambda: None

    def of(self, n: int, standard: int, total: int) -> Sequence[int]:
        """Which of the n images of a folder to read, of a set with `total`; standard: how many of a large set."""
        if self.full or (self.sample is None and total <= READ_ALL):
            return range(n)
        return evenly(n, standard if self.sample is None else self.sample)


@dataclass
class Looked:
    """What was seen of a folder's images. sizes: (width, height) px -> how many were read; digest: of what was read."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    digest: str = ""
    stimuli: Stimuli | None = None


def _look_at(entry: Entry, listing: Listing, index: Sequence[int], settings: Settings, tick: Tick) -> Looked:
    """Decode and digest the images at `index`; files without a byte are looked for among all that are listed.

    Raises StimuliError where a file is gone."""
    looked = Looked()
    empty = []
    for i, file in enumerate(listing.files):
        path = os.path.join(listing.folder, file)  # noqa: PTH118 - a million paths as text, not objects
        with foreign("file", path, StimuliError):
            if not os.stat(path).st_size:  # noqa: PTH116 - as above
                empty.append(i)
    images = FileImages(listing.paths, remedy(entry))
    unreadable: list[str] = []
    first: dict[tuple[int, int], Path] = {}
    for i in sorted(set(index) - set(empty)):
        try:
            height, width, _ = images(i).shape
            looked.sizes[width, height] += 1
            first.setdefault((width, height), images.paths[i])
        except StimuliError as error:
            unreadable.append(str(error))
        tick()
    part = listing if len(index) == len(listing) else listing.pick(index)
    looked.problems += _shortened([f"{listing.paths[i]}: an empty file" for i in empty])
    looked.problems += [*_shortened(unreadable), *_altered(reread(listing.folder, settings, part.files))]
    looked.problems += [
        f"{n} of {looked.sizes.total()} images that were read are {w} x {h} px, expected "
        f"{entry.size} x {entry.size} (such as {first[w, h]})"
        for (w, h), n in looked.sizes.items()
        if entry.size is not None and (w, h) != (entry.size, entry.size)
    ]
    looked.stimuli = open_listing(entry, part, settings, len(listing))
    looked.digest = looked.stimuli.digest
    looked.copies = _copies(looked.stimuli)
    return looked


def _copies(stimuli: Stimuli) -> list[str]:
    """A line on images of one folder that are the same files byte for byte, where there are any."""
    first: dict[str, int] = {}
    items = enumerate(stimuli.items)
    twice = [(first[item], i) for i, item in items if first.setdefault(item, i) != i]
    pairs = [f"{stimuli.ids[a]} = {stimuli.ids[b]}" for a, b in twice]
    return [f"{len(twice)} images are copies of others ({_some(pairs)})"] if twice else []


def _altered(names: Sequence[str]) -> list[str]:
    """A line on files that are others than when they were first read, where there are any."""
    if not names:
        return []
    return [
        f"{len(names)} files changed since they were first read, behind an unchanged size and time ({_some(names)}): "
        "the set is another one now"
    ]


def _size_words(sizes: Counter[tuple[int, int]]) -> str:
    """The sizes seen, the most frequent first: "224 x 224", "500 x 375 and 87 others"."""
    if not sizes:
        return ""
    (width, height), _ = sizes.most_common(1)[0]
    others = len(sizes) - 1
    return f"{width} x {height}" + (f" and {others} other{'s' * (others > 1)}" if others else "")


def _class_problems(entry: Entry, classes: Collection[str]) -> list[str]:
    """Classes that a set of this entry cannot have: unknown ones, or more than were published."""
    problems = []
    if entry.space == "imagenet1k":
        from registry.labels import label_space

        unknown = sorted(set(classes) - set(label_space("imagenet1k").classes))
        if unknown:
            problems.append(f"not among the 1000 classes of ImageNet-1k: {_some(unknown)}")
    if entry.classes is not None and len(classes) > entry.classes:
        problems.append(f"{len(classes)} classes, expected {entry.classes}")
    return problems


def _some(names: Sequence[str], shown: int = 3) -> str:
    """A few of many names."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _shortened(problems: Sequence[str]) -> list[str]:
    """The first problems of one kind, and how many there are beyond them."""
    more = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"... and {more} more of this kind"] if more > 0 else [])]


SAMPLES = 2000  # images of a large set, over all its cells
FEWEST = 5  # of each cell


Problems = dict[str, list[str]]  # cell or corruption -> what is wrong with it


def _verify_cells(entry: Entry, folder: Path, settings: Settings, depth: Depth) -> Verification:
    """The report on a set in cells. Raises StimuliError where there is none, or one in two places."""
    cells = find_cells(entry, folder)
    problems: Problems = defaultdict(list)
    listings = list_cells(entry, cells, lambda cell, error: problems[cell.name].append(str(error)))
    counts = Counter(id(listing.ids) for listing in listings.values())
    # What most cells show.
    usual = max(listings.values(), key=lambda one: (counts[id(one.ids)], len(one)), default=None)
    total = sum(map(len, listings.values()))
    standard = max(FEWEST, SAMPLES // max(1, len(listings)))
    index = {name: depth.of(len(one), standard, total) for name, one in listings.items()}
    tick = depth.expect(sum(map(len, index.values())))
    looks: dict[str, Looked] = {}
    twins: dict[str, list[str]] = defaultdict(list)
    for name, listing in listings.items():
        problems[name] += _unlike(listing, usual)
        try:
            looks[name] = _look_at(entry, listing, index[name], settings, tick)
            looks[name].stimuli = None  # a hundred cells' digests are not kept
        except StimuliError as error:  # a file that is gone or locked
            problems[name].append(str(error))
            continue
        problems[name] += looks[name].problems
        twins[looks[name].digest].append(name)
    for first, *others in twins.values():
        if others:
            problems[first].append(f"the same images as in {' and '.join(others)}")
    for corruption, severities in _lost_severities(entry, cells).items():
        problems[corruption].append(f"no severity {', '.join(severities)}")
    wrong = [f"{name}: {problem}" for name, several in problems.items() for problem in several]
    if usual is not None:
        wrong += _class_problems(entry, set(usual.labels["category"].tolist()))
        if entry.count is not None and len(usual) > entry.count:
            wrong.append(f"{len(usual)} images in a cell, more than were published ({entry.count})")
    seen = sum(one.sizes.total() for one in looks.values())
    text = "\n".join(f"{name} {one.digest}" for name, one in looks.items())
    lines = [
        f"{folder}",
        *_summary(entry, cells, usual),
        f"{seen} images were read{'' if seen == total else ', evenly spaced; --full reads every one'}",
        f"digest {text_digest(text)} of what was read",
        *_parts(entry, cells, 0 if usual is None else len(usual)),
        *_shortened([f"{name}: {line}" for name, one in looks.items() for line in one.copies]),
    ]
    return Verification(not wrong, (*lines, *wrong), _rows(cells, listings, looks, problems))


def _unlike(listing: Listing, usual: Listing | None) -> list[str]:
    """How a cell's images differ from what most cells show."""
    if usual is None or listing.ids is usual.ids:
        return []
    problems = []
    (mine, have), (others, want) = (
        (set(column := one.labels["category"].tolist()), set(zip(column, one.ids, strict=True)))
        for one in (listing, usual)
    )
    if mine != others:
        odd = _some(sorted(mine ^ others))
        problems.append(f"{len(mine)} classes, most cells have {len(others)} (differing: {odd})")
    lost, more = (sorted("/".join(pair) for pair in odd) for odd in (want - have, have - want))
    if lost:
        problems.append(f"{len(lost)} images missing that most cells have ({_some(lost)})")
    if more:
        problems.append(f"{len(more)} images that most cells do not have ({_some(more)})")
    return problems


def _lost_severities(entry: Entry, cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Severities that other corruptions have and one lacks; of a published set, the published ones alone."""
    there: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        if not _beyond(entry, cell):
            there[cell.corruption].add(cell.severity)
    all_of_them = set().union(*there.values())
    lost = {name: sorted(all_of_them - mine, key=float) for name, mine in there.items()}
    return {name: severities for name, severities in lost.items() if severities}


def _beyond(entry: Entry, cell: Cell) -> bool:
    """Whether a cell is not of the published set."""
    return bool(entry.parts) and (
        cell.corruption not in (*entry.parts, *entry.extra) or cell.severity not in entry.levels
    )


def _summary(entry: Entry, cells: Sequence[Cell], usual: Listing | None) -> list[str]:
    corruptions = {cell.corruption for cell in cells}
    levels = sorted({cell.severity for cell in cells}, key=float)
    lines = [f"{len(cells)} cells: {len(corruptions)} corruptions, severities {', '.join(levels)}"]
    if usual is not None:
        classes = len(set(usual.labels["category"].tolist()))
        images, known = (f" of {n}" if n else "" for n in (entry.count, entry.classes))
        lines.append(f"{len(usual)}{images} images in {classes}{known} classes in most cells")
    return lines


def _parts(entry: Entry, cells: Sequence[Cell], n: int) -> list[str]:
    """What of the published set is not here, and what is here beyond it; n: images in most cells."""
    there, levels = {cell.corruption for cell in cells}, {cell.severity for cell in cells}
    lines = []
    if lost := [name for name in entry.parts if name not in there]:
        lines.append(f"a part of the set: without {', '.join(lost)}")
    if fewer := [level for level in entry.levels if level not in levels]:
        lines.append(f"a part of the set: without severity {', '.join(fewer)}")
    if entry.count is not None and n < entry.count:
        lines.append(f"a part of the set: {n} of {entry.count} images")
    if beyond := [name for name in entry.extra if name not in there]:
        lines.append(f"not here, and in no published mean: {', '.join(beyond)}")
    if own := [cell.name for cell in cells if _beyond(entry, cell)]:
        lines.append(f"not of the published set: {', '.join(own)}")
    return lines


def _rows(
    cells: Sequence[Cell], listings: Mapping[str, Listing], looks: Mapping[str, Looked], problems: Problems
) -> tuple[Row, ...]:
    """One for each corruption."""
    rows = []
    for corruption in dict.fromkeys(cell.corruption for cell in cells):
        own = [cell for cell in cells if cell.corruption == corruption]
        listed = [listings[cell.name] for cell in own if cell.name in listings]
        sizes = Counter[tuple[int, int]]()
        for cell in own:
            sizes += looks[cell.name].sizes if cell.name in looks else Counter()
        wrong = [cell.severity for cell in own if problems.get(cell.name)]
        remarks = [*problems.get(corruption, []), *([f"see severity {', '.join(wrong)}"] if wrong else [])]
        severities = " ".join(cell.severity for cell in own)
        classes = _range({len(set(one.labels["category"].tolist())) for one in listed})
        images = _range({len(one) for one in listed})
        remark = ", ".join(remarks) or "ok"
        rows.append(Row(corruption, severities, classes, images, _size_words(sizes), remark))
    return tuple(rows)


def _range(values: set[int]) -> str:
    low, high = min(values, default=0), max(values, default=0)
    return f"{low}" if low == high else f"{low}-{high}"


def verify(name: str, settings: Settings, depth: Depth | None = None) -> Verification:
    """Read the files of a set: are the images whole and of the published size, how many of the published ones and of
    their classes are there, are they the published ones where that is known.

    A part of a set is all right, and said; what makes cells of one set unlike each other is not. Every image is read
    where there are at most READ_ALL, else a sample; names and empty files are checked of all. Raises UnknownName,
    MissingStimuli."""
    entry, folder = place_of(name, settings)
    depth = depth or Depth()
    if entry.kind == "trials":
        read = read_tables(folder)
        rows, tables = sum(map(len, read.files)), {file.path for file in read.files}
        lines = (f"{rows} trials in {len(tables)} tables", *map(str, read.unfit.values()))
        return Verification(not read.unfit, (f"{folder}", *lines))
    if entry.kind == "scores":
        scores = read_scores(folder)
        return Verification(True, (f"{folder}", f"{len(scores.scores)} scores", *scores.notes))
    if entry.kind == "textures":
        return _verify_textures(entry, folder)
    if entry.layout == "cells":
        return _verify_cells(entry, folder, settings, depth)
    if entry.layout == "class-folder" and entry.mask is None:
        return _verify_classes(entry, list_folder(entry, folder), settings, depth)
    return _verify_images(entry, folder, settings, depth)


def _verify_textures(entry: Entry, folder: Path) -> Verification:
    lines, ok = [f"{folder}"], True
    for path in texture_paths(entry, folder):
        try:
            height, width, _ = read_texture(entry, path).shape
            known = "as published" if entry.files else "digest not pinned"
            lines.append(f"{path.name}: {width} x {height} px, {known}")
        except StimuliError as error:
            lines.append(str(error))
            ok = False
    return Verification(ok, tuple(lines))


def _verify_images(entry: Entry, folder: Path, settings: Settings, depth: Depth) -> Verification:
    """A set with what is drawn over it; every image is read."""
    altered = _altered(reread(folder, settings))
    stimuli = open_folder(entry, folder, settings)
    tick = depth.expect(len(stimuli))
    broken, odd = [], Counter[str]()
    for i in range(len(stimuli)):
        try:
            stimuli.decode(i)
            # Read all that is drawn over an image, and say what cannot be scored. Raises StimuliError.
            found = []
            if stimuli.ignored is not None:
                stimuli.ignored(i)
            if stimuli.mask is not None:
                mask = stimuli.mask(i)
                found += ["are empty"] * (not mask.any()) + ["are full"] * bool(mask.all())
            if stimuli.importance is not None and np.ptp(stimuli.importance(i)) == 0:
                found.append("graded maps are flat")
            odd.update(found)
        except StimuliError as error:
            broken.append(str(error))
        tick()
    lines, wrong = _identity(entry, stimuli)
    lines.append("object masks: " + ("yes" if stimuli.mask else "no"))
    lines += ["maps of what people used: yes"] if stimuli.importance else []
    lines += [f"of these {n} {what}: no score counts them" for what, n in sorted(odd.items())]
    if entry.annotated:
        lines += survey(entry, folder).lines
    problems = [*_shortened(broken), *altered, *wrong]
    return Verification(not problems, (f"{folder}", *lines, *problems))


def _verify_classes(entry: Entry, listing: Listing, settings: Settings, depth: Depth) -> Verification:
    """A folder of class folders, of any size."""
    n = len(listing)
    index = depth.of(n, SAMPLE, n)
    if len(index) < n:
        index = sample_order(listing.ids, listing.labels, len(index))
    looked = _look_at(entry, listing, index, settings, depth.expect(len(index)))
    assert looked.stimuli is not None
    lines, wrong = _identity(entry, looked.stimuli, n)
    classes = set(listing.labels["category"].tolist())
    expected = f" of {entry.classes}" if entry.classes else ""
    lines.append(f"{len(classes)}{expected} classes; {_size_words(looked.sizes)} px")
    lines += looked.copies
    if len(index) < n:
        lines.append(f"{len(index)} images were read, those of `--limit {len(index)}`; --full reads every one")
    problems = [*looked.problems, *_class_problems(entry, classes), *wrong]
    return Verification(not problems, (f"{listing.folder}", *lines, *problems))


def _identity(entry: Entry, stimuli: Stimuli, n: int | None = None) -> tuple[list[str], list[str]]:
    """How much of the published set is there and whether it is that, and what is wrong with it.

    stimuli: the whole set, or a sample of the n images that are there."""
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
