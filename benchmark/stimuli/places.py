"""Where a set lies on this disk."""

from pathlib import Path

from benchmark.errors import MissingStimuli
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry


def locate(name: str, settings: Settings) -> Path | None:
    """The folder of a set, or None: BENCH_DATA first, then fetched sets, then a folder that a user
    added.

    Raises UnknownName for a name that the catalogue lacks.
    """
    return folder_of(find_entry(name, settings), settings)


def folder_of(entry: Entry, settings: Settings) -> Path | None:
    """`locate` for an entry at hand."""
    roots = ([settings.data] if settings.data else []) + [settings.stimuli]
    places = [root / entry.name for root in roots]
    if entry.folder:
        places.append(Path(entry.folder))
    found = next((place for place in places if place.is_dir()), None)
    return found and inside(entry, found)


def inside(entry: Entry, place: Path) -> Path:
    """The set's folder in one that is laid out as published, else that folder itself."""
    below = place / entry.member
    return below if entry.member and below.is_dir() else place


def absent(entry: Entry) -> MissingStimuli:
    """The error for a set that is not here, with the command that gets it."""
    return MissingStimuli(
        f"the stimulus set '{entry.name}' is not on this disk. Get it with {remedy(entry)}."
    )


def remedy(entry: Entry) -> str:
    """The command that gets a set, in words."""
    add = f"`bench data add {entry.name} FOLDER`"
    fetchable = entry.url is not None or entry.archives
    if not fetchable and entry.source:
        return f"{add} (get it from {entry.source})"
    if not fetchable:
        return f"{add} (its terms do not allow a download)"
    return f"`bench data fetch {entry.name}`, or {add} where you have it"
