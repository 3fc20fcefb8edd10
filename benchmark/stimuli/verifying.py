"""`bench data verify`: whether what lies on this disk can be used as published, and what was looked at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.annotated import survey
from benchmark.stimuli.catalogue import Entry, find_entry
from benchmark.stimuli.digests import reread
from benchmark.stimuli.file_sets import open_listing
from benchmark.stimuli.inspecting import (
    SAMPLE,
    Depth,
    Verification,
    altered_files,
    class_problems,
    empty_files,
    look_at,
    repeats,
    shortened,
    size_problems,
    size_words,
)
from benchmark.stimuli.listings import Listing, list_folder, sample_order
from benchmark.stimuli.places import absent, folder_of
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.sets import open_folder
from benchmark.stimuli.textures import read_texture, texture_paths
from benchmark.stimuli.trials import read_tables
from benchmark.stimuli.verifying_cells import verify_cells


def verify(name: str, settings: Settings, depth: Depth | None = None) -> Verification:
    """Read the files of a set: are the images whole and of the published size, how many of the published ones and
    of their classes are there, are they the published ones where that is known.

    A part of a set is all right, and said; what makes cells of one set unlike each other is not. Every image is
    read where there are at most READ_ALL, else a sample; names and empty files are checked of all. Raises
    UnknownName, MissingStimuli.
    """
    entry = find_entry(name, settings)
    folder = folder_of(entry, settings)
    if folder is None:
        raise absent(entry)
    depth = depth or Depth()
    if entry.kind == "trials":
        return _verify_trials(folder)
    if entry.kind == "scores":
        return _verify_scores(folder)
    if entry.kind == "textures":
        return _verify_textures(entry, folder)
    if entry.layout == "cells":
        return verify_cells(entry, folder, settings, depth)
    if entry.layout == "class-folder" and entry.mask is None:
        return _verify_classes(entry, list_folder(entry, folder), settings, depth)
    return _verify_images(entry, folder, settings, depth)


def _verify_trials(folder: Path) -> Verification:
    found = read_tables(folder)
    rows, tables = sum(map(len, found.files)), {file.path for file in found.files}
    lines = (f"{folder}", f"{rows} trials in {len(tables)} tables", *map(str, found.unfit.values()))
    return Verification(not found.unfit, lines)


def _verify_scores(folder: Path) -> Verification:
    found = read_scores(folder)
    return Verification(True, (f"{folder}", f"{len(found.scores)} scores", *found.notes))


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
    altered = altered_files(reread(folder, settings))
    stimuli = open_folder(entry, folder, settings)
    tick = depth.expect(len(stimuli))
    broken, odd = [], Counter[str]()
    for i in range(len(stimuli)):
        try:
            stimuli.decode(i)
            odd.update(_annotations(stimuli, i))
        except StimuliError as error:
            broken.append(str(error))
        tick()
    lines, wrong = _identity(entry, stimuli)
    lines.append("object masks: " + ("yes" if stimuli.mask else "no"))
    lines += ["maps of what people used: yes"] if stimuli.importance else []
    lines += [f"of these {n} {what}: no score counts them" for what, n in sorted(odd.items())]
    if entry.annotated:
        lines += survey(entry, folder).lines
    problems = [*shortened(broken), *altered, *wrong]
    return Verification(not problems, (f"{folder}", *lines, *problems))


def _annotations(stimuli: Stimuli, index: int) -> list[str]:
    """Read all that is drawn over an image, and say what cannot be scored. Raises StimuliError."""
    found = []
    if stimuli.ignored is not None:
        stimuli.ignored(index)
    if stimuli.mask is not None:
        mask = stimuli.mask(index)
        found += ["are empty"] * (not mask.any()) + ["are full"] * bool(mask.all())
    if stimuli.importance is not None and np.ptp(stimuli.importance(index)) == 0:
        found.append("graded maps are flat")
    return found


def _verify_classes(
    entry: Entry, listing: Listing, settings: Settings, depth: Depth
) -> Verification:
    """A folder of class folders, of any size."""
    n = len(listing)
    empty = empty_files(listing)
    index = depth.of(n, SAMPLE, n)
    if len(index) < n:
        index = sample_order(listing.ids, listing.labels, len(index))
    tick = depth.expect(len(index))
    looked = look_at(entry, listing, sorted(set(index) - set(empty)), tick)
    whole = len(index) == n
    chosen = listing if whole else listing.pick(index)
    altered = altered_files(reread(listing.folder, settings, chosen.files))
    part = open_listing(entry, chosen, settings, n)
    lines, wrong = _identity(entry, part, n)
    classes = set(listing.labels["category"].tolist())
    expected = f" of {entry.classes}" if entry.classes else ""
    lines.append(f"{len(classes)}{expected} classes; {size_words(looked.sizes)} px")
    lines += repeats(part.items, part.ids)
    if not whole:
        lines.append(
            f"{len(index)} images were read, those of `--limit {len(index)}`; --full reads every one"
        )
    problems = [
        *shortened([f"{listing.paths[i]}: an empty file" for i in empty]),
        *shortened(looked.unreadable),
        *altered,
        *size_problems(entry, looked),
        *class_problems(entry, classes),
        *wrong,
    ]
    return Verification(not problems, (f"{listing.folder}", *lines, *problems))


def _identity(entry: Entry, stimuli: Stimuli, n: int | None = None) -> tuple[list[str], list[str]]:
    """How much of the published set is there and whether it is that, and what is wrong with it.

    stimuli: the whole set, or a sample of the n images that are there.
    """
    there = len(stimuli) if n is None else n
    whole = stimuli.whole or there
    lines = [
        f"{there} of {whole} images" + ("" if there == whole else ": a part of the set"),
        f"digest {stimuli.digest}"
        + ("" if len(stimuli) == there else f" of the {len(stimuli)} that were read"),
    ]
    problems = []
    if len(stimuli) == whole and entry.digest is not None:
        if stimuli.digest == entry.digest:
            lines.append("exactly the published images")
        else:
            problems.append("NOT the published images")
    if there > whole:
        problems.append(
            f"more images than were published ({whole}): remove what does not belong there"
        )
    return lines, problems
