"""Whether a set in cells is whole: the same images in every cell, every severity of every corruption, no cell twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.cells import Cell, find_cells, list_cells
from benchmark.stimuli.digests import reread, text_digest
from benchmark.stimuli.file_sets import open_listing
from benchmark.stimuli.inspecting import (
    Depth,
    Row,
    Tick,
    Verification,
    altered_files,
    class_problems,
    empty_files,
    look_at,
    repeats,
    shortened,
    size_problems,
    size_words,
    some,
)
from benchmark.stimuli.listings import Listing

SAMPLES = 2000  # images of a large set, over all its cells
FEWEST = 5  # of each cell


@dataclass
class Found:
    """What is gathered cell by cell. problems: cell or corruption -> what is wrong with it."""

    listings: dict[str, Listing] = field(default_factory=dict)
    sizes: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)


def verify_cells(entry: Entry, folder: Path, settings: Settings, depth: Depth) -> Verification:
    """The report on a set in cells. Raises StimuliError where there is none, or one in two places."""
    cells = find_cells(entry, folder)
    found = Found()

    def failed(cell: Cell, error: StimuliError) -> None:
        found.problems[cell.name].append(str(error))

    found.listings = list_cells(entry, cells, failed)
    usual = _usual(found.listings.values())
    for name, listing in found.listings.items():
        found.problems[name] += _unlike(listing, usual)
    _read(entry, found, settings, depth)
    for twins in _twins(found.digests):
        found.problems[twins[0]].append(f"the same images as in {' and '.join(twins[1:])}")
    lost = _lost_severities(entry, cells)
    for corruption, severities in lost.items():
        found.problems[corruption].append(f"no severity {', '.join(severities)}")
    problems = [
        f"{name}: {problem}" for name, several in found.problems.items() for problem in several
    ]
    if usual is not None:
        problems += class_problems(entry, set(usual.labels["category"].tolist()))
        problems += _too_many(entry, usual)
    lines = [f"{folder}", *_summary(entry, cells, usual, found), *shortened(found.notes)]
    return Verification(not problems, (*lines, *problems), tuple(_rows(cells, found)))


def _usual(listings: Iterable[Listing]) -> Listing | None:
    """What most cells show."""
    several = list(listings)
    counts = Counter(id(listing.ids) for listing in several)
    return max(several, key=lambda one: (counts[id(one.ids)], len(one)), default=None)


def _unlike(listing: Listing, usual: Listing | None) -> list[str]:
    """How a cell's images differ from what most cells show."""
    if usual is None or listing.ids is usual.ids:
        return []
    problems = []
    mine, others = (set(one.labels["category"].tolist()) for one in (listing, usual))
    if mine != others:
        odd = some(sorted(mine ^ others))
        problems.append(f"{len(mine)} classes, most cells have {len(others)} (differing: {odd})")
    have, want = (
        set(zip(one.labels["category"].tolist(), one.ids, strict=True)) for one in (listing, usual)
    )
    lost, more = (sorted("/".join(pair) for pair in odd) for odd in (want - have, have - want))
    if lost:
        problems.append(f"{len(lost)} images missing that most cells have ({some(lost)})")
    if more:
        problems.append(f"{len(more)} images that most cells do not have ({some(more)})")
    return problems


def _read(entry: Entry, found: Found, settings: Settings, depth: Depth) -> None:
    """Read a sample of every cell, or all."""
    total = sum(map(len, found.listings.values()))
    standard = max(FEWEST, SAMPLES // max(1, len(found.listings)))
    index = {name: depth.of(len(one), standard, total) for name, one in found.listings.items()}
    tick = depth.expect(sum(map(len, index.values())))
    for name in found.listings:
        try:
            _read_cell(entry, name, index[name], found, settings, tick)
        except StimuliError as error:  # a file that is gone or locked
            found.problems[name].append(str(error))


def _read_cell(
    entry: Entry, name: str, index: Sequence[int], found: Found, settings: Settings, tick: Tick
) -> None:
    listing = found.listings[name]
    empty = empty_files(listing)
    found.problems[name] += shortened([f"{listing.paths[i]}: an empty file" for i in empty])
    looked = look_at(entry, listing, sorted(set(index) - set(empty)), tick)
    found.sizes[name] = looked.sizes
    found.problems[name] += [*shortened(looked.unreadable), *size_problems(entry, looked)]
    part = listing.pick(index)
    found.problems[name] += altered_files(reread(listing.folder, settings, part.files))
    stimuli = open_listing(entry, part, settings, len(listing))
    found.digests[name] = stimuli.digest
    found.notes += [f"{name}: {line}" for line in repeats(stimuli.items, stimuli.ids)]


def _twins(digests: Mapping[str, str]) -> list[list[str]]:
    """Cells that show the very same files."""
    cells: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        cells[digest].append(name)
    return [names for names in cells.values() if len(names) > 1]


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


def _too_many(entry: Entry, usual: Listing) -> list[str]:
    if entry.count is None or len(usual) <= entry.count:
        return []
    return [f"{len(usual)} images in a cell, more than were published ({entry.count})"]


def _summary(entry: Entry, cells: Sequence[Cell], usual: Listing | None, found: Found) -> list[str]:
    there = dict.fromkeys(cell.corruption for cell in cells)
    levels = sorted({cell.severity for cell in cells}, key=float)
    lines = [f"{len(cells)} cells: {len(there)} corruptions, severities {', '.join(levels)}"]
    n = 0 if usual is None else len(usual)
    if usual is not None:
        classes = len(set(usual.labels["category"].tolist()))
        of = (
            f" of {entry.count}" if entry.count else "",
            f" of {entry.classes}" if entry.classes else "",
        )
        lines.append(f"{n}{of[0]} images in {classes}{of[1]} classes in most cells")
    seen = sum(sizes.total() for sizes in found.sizes.values())
    every = seen == sum(map(len, found.listings.values()))
    known = text_digest("\n".join(f"{name} {digest}" for name, digest in found.digests.items()))
    lines.append(
        f"{seen} images were read{'' if every else ', evenly spaced; --full reads every one'}"
    )
    lines.append(f"digest {known} of what was read")
    lost = [name for name in entry.parts if name not in there]
    fewer = [level for level in entry.levels if level not in levels]
    if lost:
        lines.append(f"a part of the set: without {', '.join(lost)}")
    if fewer:
        lines.append(f"a part of the set: without severity {', '.join(fewer)}")
    if entry.count is not None and n < entry.count:
        lines.append(f"a part of the set: {n} of {entry.count} images")
    if beyond := [name for name in entry.extra if name not in there]:
        lines.append(f"not here, and in no published mean: {', '.join(beyond)}")
    if own := [cell.name for cell in cells if _beyond(entry, cell)]:
        lines.append(f"not of the published set: {', '.join(own)}")
    return lines


def _rows(cells: Sequence[Cell], found: Found) -> list[Row]:
    corruptions: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        corruptions[cell.corruption].append(cell)
    return [_row(name, several, found) for name, several in corruptions.items()]


def _row(corruption: str, cells: Sequence[Cell], found: Found) -> Row:
    listings = [found.listings[cell.name] for cell in cells if cell.name in found.listings]
    classes = {len(set(one.labels["category"].tolist())) for one in listings}
    sizes = sum(
        (found.sizes.get(cell.name, Counter()) for cell in cells), Counter[tuple[int, int]]()
    )
    names = [corruption, *(cell.name for cell in cells)]
    wrong = [name.rpartition("/")[2] for name in names[1:] if found.problems.get(name)]
    remark = ", ".join(
        [
            *found.problems.get(corruption, []),
            *([f"see severity {', '.join(wrong)}"] if wrong else []),
        ]
    )
    return Row(
        corruption,
        " ".join(cell.severity for cell in cells),
        _range(classes),
        _range({len(one) for one in listings}),
        size_words(sizes),
        remark or "ok",
    )


def _range(values: set[int]) -> str:
    low, high = min(values, default=0), max(values, default=0)
    return f"{low}" if low == high else f"{low}-{high}"
