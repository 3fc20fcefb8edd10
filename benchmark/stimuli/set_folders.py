"""Where a stimulus set is installed, and how to get one that is not."""

from pathlib import Path

from benchmark.failures import MissingStimuli
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry


def stimuli_folder(name: str, settings: Settings) -> Path | None:
    """Find the folder of a set: in BENCH_DATA, among fetched sets, or the folder that a user added; None if it is not
    installed. Raises UnknownName if the catalogue lacks the name."""
    return folder_of(find_entry(name, settings), settings)


def folder_of(entry: Entry, settings: Settings) -> Path | None:
    """Find the folder of an entry, as `stimuli_folder` does."""
    places = [root / entry.name for root in (settings.data, settings.stimuli) if root]
    places += [Path(entry.folder)] if entry.folder else []
    folder = next((place for place in places if place.is_dir()), None)
    return folder and member_folder(entry, folder)


def entry_and_folder(name: str, settings: Settings) -> tuple[Entry, Path]:
    """Find an entry and its folder. Raises UnknownName, or MissingStimuli with the command that gets the set."""
    entry = find_entry(name, settings)
    folder = folder_of(entry, settings)
    if folder is None:
        raise missing_set(entry)
    return entry, folder


def member_folder(entry: Entry, place: Path) -> Path:
    """Return the folder of the set inside `place` if that is laid out as published; otherwise `place`."""
    below = place / entry.member
    return below if entry.member and below.is_dir() else place


def missing_set(entry: Entry) -> MissingStimuli:
    """Build the error for a set that is not installed, with the command that gets it."""
    return MissingStimuli(f"the stimulus set '{entry.name}' is not on this disk. Get it with {remedy(entry)}.")


def is_fetchable(entry: Entry) -> bool:
    """Return whether the terms of a set allow a download."""
    return entry.url is not None or bool(entry.archives)


def remedy(entry: Entry) -> str:
    """Name the command that gets a set."""
    if entry.experiment:
        return f"a folder of images under `stimuli:` in {entry.experiment}, and `bench data add` of it"
    add = f"`bench data add {entry.name} FOLDER`"
    if is_fetchable(entry):
        return f"`bench data fetch {entry.name}`, or {add} if you have it"
    return f"{add} (get it from {entry.source})" if entry.source else f"{add} (its terms do not allow a download)"
