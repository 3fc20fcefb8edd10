"""Sets that are a list of names in another set: a text file, one name a line (with or without a folder before it)."""

from __future__ import annotations

from pathlib import Path

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry
from benchmark.stimuli.file_sets import open_listing
from benchmark.stimuli.listings import list_folder
from benchmark.stimuli.places import absent, folder_of
from benchmark.stimuli.plain_files import read_text


def open_named(entry: Entry, folder: Path, settings: Settings, limit: int | None = None) -> Stimuli:
    """The images that the list in `folder` names, in the order of the set `entry.of`; with `limit` a sample of so many.
    No other image is read.

    Raises MissingStimuli where that set is not on this disk, StimuliError where the list cannot be used.
    """
    names = read_names(entry, folder)
    source = find_entry(entry.of, settings)
    place = folder_of(source, settings)
    if place is None:
        raise absent(source)
    whole = list_folder(source, place)
    position = {name: i for i, name in enumerate(whole.ids)}
    unknown = [name for name in names if name not in position]
    if unknown:
        raise StimuliError(
            f"'{source.name}' in {place} lacks {len(unknown)} of the {len(names)} images that '{entry.name}' names, "
            f"such as {unknown[0]}. Complete it."
        )
    part = whole.pick(sorted(position[name] for name in names))
    return open_listing(entry, part.sample(limit), settings, len(names))


def read_names(entry: Entry, folder: Path) -> tuple[str, ...]:
    """The image names of a list, as they come, without folders.

    Raises StimuliError where there is no list, where it cannot be read, or where it names an image twice.
    """
    paths = [folder / name for name in entry.files] or sorted(folder.glob("*.txt"))[:1]
    if not paths:
        raise StimuliError(f"{folder}: no text file with the names of '{entry.name}'.")
    try:
        lines = read_text(paths[0]).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StimuliError(f"{paths[0]}: cannot be read ({error}).") from error
    names = tuple(line.strip().rpartition("/")[2] for line in lines if line.strip())
    if not names or len(set(names)) < len(names):
        raise StimuliError(f"{paths[0]}: expected image names, one a line, each once.")
    return names
