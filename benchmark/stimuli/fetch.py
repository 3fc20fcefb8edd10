"""Getting sets onto this disk: download, or a folder of the user's."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from benchmark.errors import MissingStimuli, StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.annotated import survey
from benchmark.stimuli.archives import unpack
from benchmark.stimuli.catalogue import (
    Entry,
    find_built_in,
    find_entry,
    save_entry,
)
from benchmark.stimuli.cells import find_cells
from benchmark.stimuli.downloads import archive_of, files_of, forget, remember
from benchmark.stimuli.guess import describe
from benchmark.stimuli.items import check_spelling
from benchmark.stimuli.listings import list_classes, list_folder
from benchmark.stimuli.multi_archive import archive_names, fetch_archives
from benchmark.stimuli.name_lists import read_names
from benchmark.stimuli.places import folder_of, inside, remedy
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.sets import open_folder
from benchmark.stimuli.textures import read_textures
from benchmark.stimuli.trials import trial_paths
from registry.places import expanded
from registry.whole_files import folder_in

Report = Callable[[str], None]


def fetch(name: str, settings: Settings, report: Report, only: Collection[str] = ()) -> Path:
    """The folder of a set, downloaded where it is not on this disk yet.

    A mirror (folder or URL) is tried first. The set is checked before it takes its place, in one
    move. report: told each step, a line each; only: of a set in several archives, the names of
    those to get ("noise"). Raises UnknownName, MissingStimuli where terms forbid
    a download, and StimuliError with every source that was tried.
    """
    entry = find_entry(name, settings)
    wanted = archive_names(entry, only)
    here = folder_of(entry, settings)
    target = settings.stimuli / entry.name
    if here is not None and (here != target or not wanted):
        report(f"{entry.name}: already at {here}")
        return here
    with folder_in(settings.stimuli, ".fetching-") as staging:
        source, packed = _mirrored(entry, settings), _packed(entry, settings)
        if wanted and source is None:
            return fetch_archives(entry, settings, staging, report, wanted)
        if source is not None:
            report(f"{entry.name}: copying {source}")
            shutil.copytree(source, staging / entry.name)
            _check_copied(entry, staging / entry.name, settings, report)
        elif packed is not None:
            report(f"{entry.name}: unpacking {packed}")
            unpack(packed, None, staging / entry.name)
            _check_fetched(entry, staging / entry.name, settings, report)
        else:
            _download(entry, staging / entry.name, settings, report)
        _settle(staging / entry.name, target)
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

    What is not given is read off the folder: layout from its names, space from its categories,
    role from the layout or the name. report: told which images are left out, a line a reason.
    Raises StimuliError where the folder cannot be read as such a set.
    """
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
    """Raise StimuliError where the folder cannot be such a set."""
    if entry.layout == "cells":
        list_classes(entry, find_cells(entry, place)[0].folder)
    elif entry.annotated:
        for line in survey(entry, place).lines:
            report(line)
    elif entry.kind == "images":
        list_folder(entry, place)
    else:
        _contents(entry, place)


def _contents(entry: Entry, place: Path) -> str:
    """What a set that is no images has, read from its folder. Raises StimuliError where that is none of the kind."""
    if entry.kind == "names":
        return f"{len(read_names(entry, place))} names of images in {entry.of}"
    if entry.kind == "textures":
        return f"{len(read_textures(entry, place))} textures, as published"
    if entry.kind == "scores":
        return f"{len(read_scores(place).scores)} scores"
    return f"{len(trial_paths(place))} tables"


def _download(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    if entry.url is None:
        raise MissingStimuli(f"'{entry.name}' cannot be downloaded. Get it with {remedy(entry)}.")
    place.mkdir()
    if entry.files:
        files_of(entry, place, settings, report)
        _check_fetched(entry, place, settings, report)
        return
    archive = archive_of(entry, settings, report)
    try:
        files = unpack(archive, entry.member, place)
        report(f"{entry.name}: unpacked {files} files")
        _check_fetched(entry, place, settings, report)
    except StimuliError:
        forget(archive, settings)
        raise
    remember(entry, archive, settings, report)


def _check_fetched(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    """What came must be the whole published set."""
    if entry.kind != "images":
        report(f"{entry.name}: {_contents(entry, place)}")
        return
    stimuli = open_folder(entry, place, settings)
    if entry.count is not None and len(stimuli) != entry.count:
        raise StimuliError(
            f"the download of '{entry.name}' has {len(stimuli)} images; expected {entry.count}. "
            "It was not kept."
        )
    if entry.digest is not None and stimuli.digest != entry.digest:
        raise StimuliError(
            f"the download of '{entry.name}' is not the published set: expected digest "
            f"{entry.digest}, got {stimuli.digest}. It was not kept."
        )
    known = "digest as published" if entry.digest else "the set's digest is not pinned"
    report(f"{entry.name}: {len(stimuli)} images, as published; {known}")


def _check_copied(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    """A mirror may hold a part of a set: that is kept, and said. Textures must be the published ones."""
    if entry.kind in ("textures", "names", "scores") or entry.layout == "cells":
        _check_readable(entry, inside(entry, place), report)
    elif entry.kind == "images":
        stimuli = open_folder(entry, inside(entry, place), settings)
        report(f"{entry.name}: {len(stimuli)} of {stimuli.whole} images")


def _mirrored(entry: Entry, settings: Settings) -> Path | None:
    """The set's folder in a mirror that is a folder."""
    if not settings.mirror or "://" in settings.mirror:
        return None
    root = expanded(settings.mirror)
    places = (root / entry.name, root / "published-scores" / entry.name)
    return next((place for place in places if place.is_dir()), None)


def _packed(entry: Entry, settings: Settings) -> Path | None:
    """Tables that a mirror folder holds in an archive of their own, under the paths of the publisher's repository."""
    if entry.kind != "trials" or not settings.mirror or "://" in settings.mirror:
        return None
    file = expanded(settings.mirror) / "published-trials" / f"{entry.name}.tar.xz"
    return file if file.is_file() else None


def _settle(ready: Path, target: Path) -> None:
    """Move a finished folder to its place; another process may have been first, with the same
    content."""
    try:
        ready.replace(target)
    except OSError:
        if not target.is_dir():
            raise
