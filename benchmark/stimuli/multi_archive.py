"""Sets that are published in several large archives, each unpacked as a folder of the set and kept once it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from benchmark.errors import StimuliError, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli.archives import Bounds, unpack
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.cells import find_cells
from benchmark.stimuli.downloads import archive_of, forget, remember

Report = Callable[[str], None]
BOUNDS = Bounds(size=200 * 2**30, files=4_000_000)


def archive_names(entry: Entry, only: Collection[str] = ()) -> tuple[str, ...]:
    """The names of an entry's archives without suffix ("noise"); of `only`, where that is given.

    Raises UnknownName with close matches.
    """
    known = {archive.partition(".")[0]: archive for archive in entry.archives}
    for name in only:
        if name not in known:
            raise unknown_name(f"part of '{entry.name}'", name, known)
    return tuple(name for name in known if not only or name in only)


def fetch_archives(
    entry: Entry,
    settings: Settings,
    staging: Path,
    report: Report,
    only: Collection[str] = (),
) -> Path:
    """Download and unpack what is not there yet; what is there already is kept whatever happens to the rest.

    staging: a folder on the same disk to unpack into. An archive is deleted once it is unpacked; its digest stays
    recorded, so that another download of it must be the same. Raises StimuliError.
    """
    target = settings.stimuli / entry.name
    wanted = archive_names(entry, only)
    for archive, url in entry.archives.items():
        name = archive.partition(".")[0]
        if name not in wanted:
            continue
        if (target / name).is_dir():
            report(f"{entry.name}: {name} is already there")
            continue
        _fetch(replace(entry, archive=archive, url=url), settings, staging / name, report)
        target.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(target / name)
        report(f"{entry.name}: {name} at {target / name}")
    return target


def _fetch(entry: Entry, settings: Settings, place: Path, report: Report) -> None:
    archive = archive_of(entry, settings, report)
    try:
        files = unpack(archive, None, place, BOUNDS)
        cells = find_cells(entry, place)
    except StimuliError:
        shutil.rmtree(place, ignore_errors=True)
        forget(archive, settings)
        raise
    remember(entry, archive, settings, report)
    report(f"{entry.name}: unpacked {files} files in {len(cells)} cells")
    archive.unlink()
