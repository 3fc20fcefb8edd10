"""`bench data verify`: check whether an installed set matches its publication."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, entry_and_folder
from benchmark.stimuli.datasets import CellFolder, find_cells, list_cells, list_images, open_listing
from benchmark.stimuli.image_files import reread, text_digest
from benchmark.stimuli.items import Listing
from benchmark.stimuli.resolver import read_textures
from benchmark.stimuli.score_tables import read_scores
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


def verify(
    name: str, settings: Settings, sample: int | None = None, full: bool = False,
    expect: Callable[[int], Tick] = lambda _: lambda: None,
) -> Verification:  # fmt: skip
    """Check the files of a set: complete images and masks of the published size, their number, classes and known
    digest.

    A partial set is no error; cells of one set must agree. Every image is read in sets of at most READ_ALL images,
    or if `full`; otherwise a sample (of this size in each folder). expect: receives the number of images to read;
    returns a function called after each. Raises UnknownName, MissingStimuli."""
    entry, folder = entry_and_folder(name, settings)
    problems: list[str] = []
    if entry.kind == "trials":
        tables = read_tables(folder)
        lines = [f"{sum(map(len, tables.files))} trials in {len({file.path for file in tables.files})} tables"]
        problems = list(map(str, tables.unfit.values()))
    elif entry.kind == "scores":
        scores = read_scores(folder)
        lines = [f"{len(scores.scores)} scores", *scores.notes]
    elif entry.kind == "textures":
        try:
            count, pinned = len(read_textures(entry, folder)), "as published" if entry.files else "digests not pinned"
            lines = [f"{count} images, {pinned}"]
        except StimuliError as error:
            lines, problems = [], [str(error)]
    else:
        lines, problems = _verify_images(entry, folder, settings, (sample, full), expect)
    return Verification(not problems, (f"{folder}", *lines, *problems))


def _verify_images(
    entry: Entry, folder: Path, settings: Settings, depth: tuple[int | None, bool], expect: Callable[[int], Tick]
) -> tuple[list[str], list[str]]:
    """Check a folder of images, or every cell; return the checks and the problems."""
    problems: dict[str, list[str]] = defaultdict(list)  # by cell or corruption
    cells = find_cells(entry, folder) if entry.layout == "cells" else ()
    if cells:
        listings = list_cells(entry, cells, lambda cell, error: problems[cell.name].append(str(error)))
    else:
        listings = {"": list_images(entry, folder, settings)}
    total = sum(map(len, listings.values()))
    standard = max(FEWEST, CELL_SAMPLES // max(1, len(listings))) if cells else SAMPLE
    sample, full = depth
    limit = None if full or (sample is None and total <= READ_ALL) else sample or standard
    parts = {name: listing.sample(limit) for name, listing in listings.items()}
    read = sum(map(len, parts.values()))
    tick, sizes, opened, notes = expect(read), Counter[str](), dict[str, Stimuli](), Counter[str]()
    for name, part in parts.items():
        try:
            with foreign("files in", part.folder, StimuliError):
                places = [part.folder / file for file in listings[name].files]
                problems[name] += _some([f"{place}: an empty file" for place in places if not place.stat().st_size])
            altered = reread(part.folder, settings, part.files)
            opened[name] = open_listing(entry, part, settings, len(listings[name]) + listings[name].absent)
        except StimuliError as error:  # a file that is gone or locked
            problems[name].append(str(error))
            continue
        problems[name] += _unread(entry, opened[name], tick, sizes, notes)
        if altered:
            changed = f"{len(altered)} files changed since they were first read, behind an unchanged size and time"
            problems[name].append(f"{changed} ({', '.join(_some(altered))}): the set is another one now")
    rest = "" if read == total else f", those of `--limit {limit}`; --full reads every one"
    lines = [f"{read} images were read{rest}", *(f"{n} {what}: no score counts them" for what, n in notes.items() if n)]
    seen = ", ".join(size for size, _ in sizes.most_common(3)) + ", ..." * (len(sizes) > 3)
    if cells:
        lines += _verify_cells(entry, cells, listings, opened, problems)
    else:
        lines += _identity(entry, listings[""], opened.get(""), problems[""])
    wrong = [f"{name}: {problem}" if name else problem for name, several in problems.items() for problem in several]
    return [*lines, *([f"{seen} px"] if seen else [])], wrong


def _unread(entry: Entry, stimuli: Stimuli, tick: Tick, sizes: Counter[str], notes: Counter[str]) -> list[str]:
    """Read images, masks and maps; list what is not readable or of another size. sizes, notes: to be counted up."""
    broken, odd = [], defaultdict[str, list[str]](list)
    for i, name in enumerate(stimuli.ids):
        try:
            height, width, _ = stimuli.decode(i).shape
            sizes[f"{width} x {height}"] += 1
            if entry.size not in (None, width) or entry.size not in (None, height):
                odd[f"{width} x {height}"].append(name)
            if stimuli.ignored is not None:
                stimuli.ignored(i)
            if stimuli.mask is not None:
                notes["empty or full masks"] += np.ptp(stimuli.mask(i).astype(int)) == 0
            if stimuli.importance is not None:
                notes["flat maps"] += np.ptp(stimuli.importance(i)) == 0
        except StimuliError as error:
            broken.append(str(error))
        tick()
    wanted = f"px, expected {entry.size} x {entry.size}"
    return [
        *_some(broken),
        *(f"{len(each)} images are {size} {wanted} (such as {each[0]})" for size, each in odd.items()),
    ]


def _identity(entry: Entry, listing: Listing, stimuli: Stimuli | None, problems: list[str]) -> list[str]:
    """Compare number, classes and digest of a folder with the published set. stimuli: those that were read."""
    n, whole = len(listing), entry.count or len(listing) + listing.absent
    whole = stimuli.whole if stimuli and stimuli.whole else whole
    lines = [f"{n} of {whole} images" + ("" if n == whole else ": a part of the set"), *listing.notes]
    classes = set(listing.labels["category"].tolist())
    lines.append(f"{len(classes)}{f' of {entry.classes}' if entry.classes else ''} classes")
    problems += _class_problems(entry, classes)
    if n > whole:
        problems.append(f"more images than were published ({whole}): remove what does not belong there")
    if stimuli is not None:
        read = "" if len(stimuli) == n else f" of the {len(stimuli)} that were read"
        lines += [f"digest {stimuli.digest}{read}", f"object masks: {'yes' if stimuli.mask else 'no'}"]
        lines += ["maps of what people used: yes"] if stimuli.importance else []
        if len(stimuli) == whole and entry.digest is not None:
            same = stimuli.digest == entry.digest
            (lines if same else problems).append("exactly the published images" if same else "NOT the published images")
    return lines


def _class_problems(entry: Entry, classes: set[str]) -> list[str]:
    """List classes that this entry cannot have: unknown ones, or more than were published."""
    unknown = classes - set(label_space("imagenet1k").classes) if entry.space == "imagenet1k" else set()
    problems = [f"not among the 1000 classes of ImageNet-1k: {', '.join(_some(sorted(unknown)))}"] if unknown else []
    too_many = entry.classes is not None and len(classes) > entry.classes
    return [*problems, *([f"{len(classes)} classes, expected {entry.classes}"] if too_many else [])]


def _verify_cells(
    entry: Entry,
    cells: Sequence[CellFolder],
    listings: Mapping[str, Listing],
    opened: Mapping[str, Stimuli],
    problems: dict[str, list[str]],
) -> list[str]:
    """Check that cells have the same images, corruptions all severities, and no two cells equal pixels."""
    counts = Counter(id(listing.ids) for listing in listings.values())
    usual = max(listings.values(), key=lambda listing: (counts[id(listing.ids)], len(listing)), default=None)
    digests: dict[str, str] = {}
    for name, stimuli in opened.items():
        if usual is not None and listings[name].ids is not usual.ids:
            problems[name] += _unlike(listings[name], usual)
        if twin := next((other for other, digest in digests.items() if digest == stimuli.digest), None):
            problems[twin].append(f"the same images as in {name}")
        digests[name] = stimuli.digest
    # Severities that a corruption lacks and another has; of a published set, only published cells.
    names, levels = (*entry.parts, *entry.extra), entry.levels
    known = [(x.corruption, x.severity) for x in cells if not names or (x.corruption in names and x.severity in levels)]
    for corruption, severity in product(dict(known), sorted({severity for _, severity in known}, key=float)):
        if (corruption, severity) not in known:
            problems[corruption].append(f"no severity {severity}")
    corruptions, there = {cell.corruption for cell in cells}, sorted({cell.severity for cell in cells}, key=float)
    lines = [f"{len(cells)} cells: {len(corruptions)} corruptions, severities {', '.join(there)}"]
    if usual is not None:
        classes = set(usual.labels["category"].tolist())
        images, of = (f" of {number}" if number else "" for number in (entry.count, entry.classes))
        lines.append(f"{len(usual)}{images} images in {len(classes)}{of} classes in most cells")
        problems[entry.name] += _class_problems(entry, classes)
        if entry.count is not None and len(usual) > entry.count:
            problems[entry.name].append(f"{len(usual)} images in a cell, more than were published ({entry.count})")
    lost = [name for name in entry.parts if name not in corruptions]
    lost += [f"severity {level}" for level in entry.levels if level not in there]
    lines += [f"a part of the set: without {', '.join(lost)}"] if lost else []
    return [*lines, f"digest {text_digest(chr(10).join(map(' '.join, digests.items())))} of what was read"]


def _some(items: Sequence[str]) -> list[str]:
    """Return the first few of many names or problems, and how many more there are."""
    more = len(items) - SHOWN
    return [*items[:SHOWN], *([f"... and {more} more of this kind"] if more > 0 else [])]


def _unlike(listing: Listing, usual: Listing) -> list[str]:
    """Describe how a cell's images differ from those of most cells."""
    images, expected = (
        {f"{category}/{name}" for category, name in zip(x.labels["category"].tolist(), x.ids, strict=True)}
        for x in (listing, usual)
    )
    parts = {"missing that most cells have": expected - images, "that most cells do not have": images - expected}
    return [f"{len(odd)} images {what} ({', '.join(_some(sorted(odd)))})" for what, odd in parts.items() if odd]
