"""`bench data verify`: check whether an installed set matches its publication."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmark.contracts import Stimuli
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, entry_and_folder
from benchmark.stimuli.datasets import find_cells, list_cells, list_images, open_listing
from benchmark.stimuli.fetch import check_readable
from benchmark.stimuli.image_files import reread, text_digest
from benchmark.stimuli.items import Listing
from benchmark.stimuli.trial_tables import read_tables
from benchmark.stimuli.world.sets import generated_set, is_generated
from registry.labels import label_space
from registry.user_errors import foreign, some_of

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


def verify_set(
    name: str, settings: Settings, full: bool = False, expect: Callable[[int], Tick] = lambda _: lambda: None
) -> Verification:
    """Check the files of a set: complete images and masks of the published size, their number, classes and known
    digest. A partial set is no error; cells of one set must agree. Unless `full`, a sample is read of a large set.
    expect: receives the number of images; returns a function called after each. Raises UnknownName, MissingStimuli."""
    if is_generated(name):
        drawn = generated_set(name)
        line = f"{len(drawn)} images, drawn by gestaltbench when they are shown: there are no files to verify"
        return Verification(True, (line, f"digest {drawn.digest}"))
    entry, folder = entry_and_folder(name, settings)
    problems = defaultdict[str, list[str]](list)  # by cell or corruption
    if entry.kind == "trials":
        tables = read_tables(folder)
        lines = [f"{sum(map(len, tables.files))} trials in {len({file.path for file in tables.files})} tables"]
        problems[""] = list(map(str, tables.unfit.values()))
    elif entry.kind in ("scores", "textures"):
        lines = list[str]()
        try:
            check_readable(entry, folder, settings, lines.append)
        except StimuliError as error:
            problems[""].append(str(error))
    else:
        lines = _verify_images(entry, folder, settings, full, expect, problems)
    wrong = [f"{name}: {problem}" if name else problem for name, several in problems.items() for problem in several]
    return Verification(not wrong, (f"{folder}", *lines, *wrong))


def _verify_images(
    entry: Entry,
    folder: Path,
    settings: Settings,
    full: bool,
    expect: Callable[[int], Tick],
    problems: dict[str, list[str]],
) -> list[str]:
    """Check a folder of images, or every cell."""
    cells = find_cells(entry, folder) if entry.layout == "cells" else {}
    listings, errors = list_cells(entry, cells) if cells else ({"": list_images(entry, folder, settings)}, {})
    for cell, error in errors.items():
        problems[cell].append(str(error))
    total = sum(map(len, listings.values()))
    sample = max(FEWEST, CELL_SAMPLES // max(1, len(listings))) if cells else SAMPLE
    limit = None if full or total <= READ_ALL else sample
    parts = {name: listing.sample(limit) for name, listing in listings.items()}
    read = sum(map(len, parts.values()))
    rest = "" if read == total else f", those of `--limit {limit}`; --full reads every one"
    lines, tick, opened = [f"{read} images were read{rest}"], expect(read), dict[str, Stimuli]()
    for name, listing in listings.items():
        try:
            opened[name] = _read(entry, listing, parts[name], settings, tick, problems[name])
        except StimuliError as error:  # a file that is gone or locked
            problems[name].append(str(error))
    if not cells:
        return [*lines, *_identity(entry, listings[""], opened.get(""), problems[""])]
    digest = text_digest("\n".join(f"{name} {stimuli.digest}" for name, stimuli in opened.items()))
    return [*lines, *_verify_cells(entry, cells, listings, problems), f"digest {digest} of what was read"]


def _read(
    entry: Entry, listing: Listing, part: Listing, settings: Settings, tick: Tick, problems: list[str]
) -> Stimuli:
    """Read the images, masks and maps of a part of a folder. Raises StimuliError."""
    with foreign("files in", part.folder, StimuliError):
        places = [part.folder / file for file in listing.files]
        wrong = {"an empty file": [str(place) for place in places if not place.stat().st_size]}
    changed = "changed since it was first read, behind an unchanged size and time"
    wrong[changed] = reread(part.folder, settings, part.files)
    stimuli, broken = open_listing(entry, part, settings, len(listing) + listing.absent), list[str]()
    for i, name in enumerate(stimuli.ids):
        try:
            height, width, _ = stimuli.decode(i).shape
            if entry.size is not None and (width, height) != (entry.size, entry.size):
                wrong.setdefault(f"{width} x {height} px, expected {entry.size} x {entry.size}", []).append(name)
            for beside in filter(None, (stimuli.mask, stimuli.ignored, stimuli.importance)):
                beside(i)
        except StimuliError as error:
            broken.append(str(error))
        tick()
    problems += broken[:SHOWN] + [f"... and {len(broken) - SHOWN} more of this kind"] * (len(broken) > SHOWN)
    problems += [f"{some_of(names, SHOWN)}: {what}" for what, names in wrong.items() if names]
    return stimuli


def _identity(entry: Entry, listing: Listing, stimuli: Stimuli | None, problems: list[str]) -> list[str]:
    """Compare number, classes and digest of a folder with the published set. stimuli: those that were read."""
    n, whole = len(listing), (stimuli and stimuli.whole) or entry.count or len(listing) + listing.absent
    lines = [f"{n} of {whole} images" + ("" if n == whole else ": a part of the set"), *listing.notes]
    lines.append(_classes(entry, listing, problems))
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


def _classes(entry: Entry, listing: Listing, problems: list[str]) -> str:
    """Return how many classes there are; those that the entry cannot have are problems."""
    classes = set(listing.labels["category"].tolist())
    if entry.space == "imagenet1k" and (unknown := classes - set(label_space("imagenet1k").classes)):
        problems.append(f"not among the 1000 classes of ImageNet-1k: {some_of(sorted(unknown), SHOWN)}")
    if entry.classes is not None and len(classes) > entry.classes:
        problems.append(f"{len(classes)} classes, expected {entry.classes}")
    return f"{len(classes)}{f' of {entry.classes}' if entry.classes else ''} classes"


def _verify_cells(
    entry: Entry, cells: Iterable[str], listings: Mapping[str, Listing], problems: dict[str, list[str]]
) -> list[str]:
    """Check that cells have the same images, and corruptions all severities."""
    # Severities that a corruption lacks and another has; of a published set, only published cells.
    names, levels = (*entry.parts, *entry.extra), entry.levels
    parts = [cell.split("/") for cell in cells]
    known = [(x, level) for x, level in parts if not names or (x in names and level in levels)]
    for corruption, severity in product(dict(known), sorted({severity for _, severity in known}, key=float)):
        if (corruption, severity) not in known:
            problems[corruption].append(f"no severity {severity}")
    corruptions, there = {x for x, _ in parts}, sorted({level for _, level in parts}, key=float)
    lines = [f"{len(parts)} cells: {len(corruptions)} corruptions, severities {', '.join(there)}"]
    if listings:
        counts = Counter(id(listing.ids) for listing in listings.values())
        usual = max(listings.values(), key=lambda listing: (counts[id(listing.ids)], len(listing)))
        pairs = [{*zip(x.labels["category"], x.ids, strict=True)} for x in (usual, *listings.values())]
        for name, own in zip(listings, pairs[1:], strict=True):
            if odd := sorted(map("/".join, own ^ pairs[0])):
                problems[name].append(f"other images than in most cells: {some_of(odd, SHOWN)}")
        images = f" of {entry.count}" if entry.count else ""
        lines.append(f"{len(usual)}{images} images in {_classes(entry, usual, problems[entry.name])} in most cells")
        if entry.count is not None and len(usual) > entry.count:
            problems[entry.name].append(f"{len(usual)} images in a cell, more than were published ({entry.count})")
    lost = [name for name in entry.parts if name not in corruptions]
    lost += [f"severity {level}" for level in entry.levels if level not in there]
    return [*lines, *([f"a part of the set: without {', '.join(lost)}"] if lost else [])]
