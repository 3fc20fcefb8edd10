"""Getting sets onto this disk: download, or a folder of the user's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import MissingStimuli, StimuliError, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import (
    ANNOTATED,
    GEIRHOS16,
    LAYOUTS,
    PREFIX,
    WNID,
    Entry,
    Layout,
    find_built_in,
    find_entry,
    folder_of,
    inside,
    read_pair,
    remedy,
    save_entry,
)
from benchmark.stimuli.datasets import SEVERITY, find_cells, open_folder, read_names, survey
from benchmark.stimuli.downloads import Bounds, archive_of, files_of, remember, unpack
from benchmark.stimuli.generated import PREFIX as RESERVED
from benchmark.stimuli.items import check_spelling, images_below, list_classes, list_folder
from benchmark.stimuli.masked import annotated_layout
from benchmark.stimuli.roles import read_textures
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.trials import trial_paths
from registry.download import forget
from registry.files import expanded, folder_in

LOOKED_AT = 200  # images; enough to tell layouts apart without reading a large tree


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Guess(NamedTuple):
    """A layout, and the decision space where the categories tell it."""

    layout: Layout
    space: str | None


def describe(name: str, place: Path, role: str | None, space: str | None, layout: str | None) -> Entry:
    """The entry of a folder; what is not given is read off its names. Raises StimuliError."""
    check_name(name)
    if layout is not None and layout not in LAYOUTS:
        raise StimuliError(f"'{layout}' is no layout; expected one of {', '.join(LAYOUTS)}.")
    guess = guess_layout(place)
    found = layout or guess.layout
    if found == "textures":
        space = "any"
    if space is None and guess.space is None:
        raise StimuliError(
            f"{place}: the categories are neither the 16 nor WordNet ids. Say in which decision "
            f"space the labels of '{name}' live: --space NAME."
        )
    usual_role = name
    if found in ANNOTATED:
        usual_role = "clickme" if found == "clickme" else "natural-masked"
    return Entry(
        name=name,
        role=role or usual_role,
        space=space or guess.space or "",
        layout=found,  # type: ignore[arg-type]
        kind=found if found in ("trials", "textures") else "images",  # type: ignore[arg-type]
        title="added by the user",
        folder=str(place),
    )


def check_name(name: str) -> None:
    """Raise StimuliError where `name` cannot name a set of the user's."""
    if not _NAME.fullmatch(name) or name.startswith(RESERVED):
        raise StimuliError(
            f"'{name}' cannot name a set: use letters, digits, '.', '_' and '-', not starting with '{RESERVED}'."
        )


def guess_layout(folder: Path) -> Guess:
    """Layout and space of a folder. Raises StimuliError where it holds neither images nor tables."""
    if annotated := annotated_layout(folder):
        return Guess(*annotated)
    if (folder / "labels.csv").is_file():
        return Guess("labels-csv", None)
    images = list(islice(images_below(folder), LOOKED_AT))
    if not images:
        if any(folder.rglob("*.csv")):
            return Guess("trials", "geirhos16")
        raise StimuliError(f"{folder}: neither images nor tables of trials below this folder.")
    if all(PREFIX.match(path.name) for path in images):
        return Guess("session", "geirhos16")
    classes = {path.parent.name for path in images}
    if all(WNID.fullmatch(name) for name in classes):
        space: str | None = "imagenet1k"
    else:
        space = "geirhos16" if classes <= set(GEIRHOS16) else None
    places = [path.relative_to(folder).parts for path in images]
    if all(len(parts) > 3 and SEVERITY.fullmatch(parts[-3]) for parts in places):
        return Guess("cells", space)
    conflict = space == "geirhos16" and all(read_pair(path.name) for path in images)
    return Guess("cue-conflict" if conflict else "class-folder", space)


Report = Callable[[str], None]
BOUNDS = Bounds(size=200 * 2**30, files=4_000_000)


def archive_names(entry: Entry, only: Collection[str] = ()) -> tuple[str, ...]:
    """The names of an entry's archives without suffix ("noise"); of `only`, where that is given.

    Raises UnknownName with close matches."""
    known = {archive.partition(".")[0]: archive for archive in entry.archives}
    for name in only:
        if name not in known:
            raise unknown_name(f"part of '{entry.name}'", name, known)
    return tuple(name for name in known if not only or name in only)


def fetch_archives(entry: Entry, settings: Settings, staging: Path, report: Report, only: Collection[str] = ()) -> Path:
    """Download and unpack what is not there yet; what is there already is kept whatever happens to the rest.

    staging: a folder on the same disk to unpack into. An archive is deleted once it is unpacked; its digest stays
    recorded, so that another download of it must be the same. Raises StimuliError."""
    target = settings.stimuli / entry.name
    wanted = archive_names(entry, only)
    for archive, url in entry.archives.items():
        name = archive.partition(".")[0]
        if name not in wanted:
            continue
        if (target / name).is_dir():
            report(f"{entry.name}: {name} is already there")
            continue
        part, place = replace(entry, archive=archive, url=url), staging / name
        packed = archive_of(part, settings, report)
        try:
            files = unpack(packed, None, place, BOUNDS)
            cells = find_cells(part, place)
        except StimuliError:
            shutil.rmtree(place, ignore_errors=True)
            forget(packed)
            raise
        remember(part, packed, report)
        report(f"{entry.name}: unpacked {files} files in {len(cells)} cells")
        packed.unlink()
        target.mkdir(parents=True, exist_ok=True)
        place.replace(target / name)
        report(f"{entry.name}: {name} at {target / name}")
    return target


def fetch(name: str, settings: Settings, report: Report, only: Collection[str] = ()) -> Path:
    """The folder of a set, downloaded where it is not on this disk yet.

    A mirror (folder or URL) is tried first. The set is checked before it takes its place, in one move. report: told
    each step, a line each; only: of a set in several archives, the names of those to get ("noise"). Raises UnknownName,
    MissingStimuli where terms forbid a download, and StimuliError with every source that was tried."""
    entry = find_entry(name, settings)
    wanted = archive_names(entry, only)
    here = folder_of(entry, settings)
    target = settings.stimuli / entry.name
    if here is not None and (here != target or not wanted):
        report(f"{entry.name}: already at {here}")
        return here
    with folder_in(settings.stimuli, ".fetching-") as staging:
        source, packed = _mirrored(entry, settings)
        if wanted and source is None:
            return fetch_archives(entry, settings, staging, report, wanted)
        if source is not None:
            report(f"{entry.name}: copying {source}")
            shutil.copytree(source, staging / entry.name)
            _check(entry, staging / entry.name, settings, report, whole=False)
        elif packed is not None:
            report(f"{entry.name}: unpacking {packed}")
            unpack(packed, None, staging / entry.name)
            _check(entry, staging / entry.name, settings, report, whole=True)
        else:
            _download(entry, staging / entry.name, settings, report)
        try:
            (staging / entry.name).replace(target)
        except OSError:  # another process may have been first, with the same content
            if not target.is_dir():
                raise
    report(f"{entry.name}: at {target}")
    return target


def add(
    name: str,
    folder: str | Path,
    settings: Settings,
    *,
    role: str | None = None,
    space: str | None = None,
    layout: str | None = None,
    report: Report = lambda _line: None,
) -> Entry:
    """Remember a folder as a set. A catalogue name keeps its own role, space and layout.

    What is not given is read off the folder: layout from its names, space from its categories, role from the layout or
    the name. report: told which images are left out, a line a reason. Raises StimuliError where the folder cannot be
    read as such a set."""
    place = expanded(folder).resolve()
    if not place.is_dir():
        raise StimuliError(f"{place}: not a folder. Expected the folder that holds the set.")
    check_spelling(place.parent, [str(place)])
    built_in = find_built_in(name)
    entry = built_in or describe(name, place, role, space, layout)
    entry = replace(entry, folder=str(place))
    _check_readable(entry, inside(entry, place), report)
    save_entry(entry, settings)
    return entry


def _check_readable(entry: Entry, place: Path, report: Report) -> None:
    """Raise StimuliError where the folder cannot be such a set; what it holds, or leaves out, is reported."""
    if entry.layout == "cells":
        list_classes(entry, find_cells(entry, place)[0].folder)
    elif entry.annotated:
        for line in survey(entry, place).lines:
            report(line)
    elif entry.kind == "images":
        list_folder(entry, place)
    elif entry.kind == "names":
        report(f"{entry.name}: {len(read_names(entry, place))} names of images in {entry.of}")
    elif entry.kind == "textures":
        known = ", as published" if entry.files else ""
        report(f"{entry.name}: {len(read_textures(entry, place))} textures{known}")
    elif entry.kind == "scores":
        report(f"{entry.name}: {len(read_scores(place).scores)} scores")
    else:
        report(f"{entry.name}: {len(trial_paths(place))} tables")


def _download(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    if entry.url is None:
        raise MissingStimuli(f"'{entry.name}' cannot be downloaded. Get it with {remedy(entry)}.")
    place.mkdir()
    if entry.files:
        files_of(entry, place, settings, report)
        _check(entry, place, settings, report, whole=True)
        return
    archive = archive_of(entry, settings, report)
    try:
        files = unpack(archive, entry.member, place)
        report(f"{entry.name}: unpacked {files} files")
        _check(entry, place, settings, report, whole=True)
    except StimuliError:
        forget(archive)
        raise
    remember(entry, archive, report)


def _check(entry: Entry, place: Path, settings: Settings, report: Report, *, whole: bool) -> None:
    """What came must be the published set; whole: all of it. A mirror may hold a part: that is kept, and said."""
    if entry.kind != "images" or entry.layout == "cells":
        _check_readable(entry, inside(entry, place), report)
        return
    stimuli = open_folder(entry, inside(entry, place), settings)
    if not whole:
        report(f"{entry.name}: {len(stimuli)} of {stimuli.whole} images")
        return
    if entry.count is not None and len(stimuli) != entry.count:
        raise StimuliError(
            f"the download of '{entry.name}' has {len(stimuli)} images; expected {entry.count}. It was not kept."
        )
    if entry.digest is not None and stimuli.digest != entry.digest:
        raise StimuliError(
            f"the download of '{entry.name}' is not the published set: expected digest "
            f"{entry.digest}, got {stimuli.digest}. It was not kept."
        )
    known = "digest as published" if entry.digest else "the set's digest is not pinned"
    report(f"{entry.name}: {len(stimuli)} images, as published; {known}")


def _mirrored(entry: Entry, settings: Settings) -> tuple[Path | None, Path | None]:
    """The set's folder in a mirror that is a folder; and tables that it holds in an archive of their own, under the
    paths of the publisher's repository."""
    if not settings.mirror or "://" in settings.mirror:
        return None, None
    root = expanded(settings.mirror)
    places = (root / entry.name, root / "published-scores" / entry.name)
    packed = root / "published-trials" / f"{entry.name}.tar.xz"
    folder = next((place for place in places if place.is_dir()), None)
    return folder, packed if entry.kind == "trials" and packed.is_file() else None
