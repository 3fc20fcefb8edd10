"""The catalogue: the sets and published tables that gestaltbench can name. Built-in entries are in `catalogue.yaml`,
a user's in `stimuli.yaml` in the home folder, also the folder of a built-in name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import yaml

from benchmark.contracts.declarations import package_data
from benchmark.failures import MissingStimuli, StimuliError, unknown_name
from benchmark.settings import Settings
from registry.documents import read_document, validated
from registry.files import locked, write_whole

Kind = Literal["images", "names", "trials", "scores", "textures"]
Layout = Literal[
    "class-folder", "cue-conflict", "session", "labels-csv", "cells", "names", "trials", "scores", "textures",
    "masks", "imagenet-s", "imagenet-boxes", "voc", "coco", "clickme", "experiment",
]  # fmt: skip
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the catalogue records of a set; the fields are those of `catalogue.yaml`."""

    name: str
    role: str  # the role for which suites ask
    space: str  # the label space of its labels
    layout: Layout
    kind: Kind = "images"
    title: str = ""
    license: str = ""
    citation: str = ""
    url: str | None = None  # address of the download, None if its terms forbid one
    archive: str | None = None  # file name of the download
    sha256: str | None = None  # SHA-256 of the archive, None if it is not pinned
    member: str = ""  # the set's folder inside the archive's top folder
    #: Images (or tables of trials) of the complete published set; for a set in cells, images of each cell.
    count: int | None = None
    megabytes: int | None = None  # about how many MB the download takes, None if its publisher does not state it
    digest: str | None = None  # digest of the complete set, as `datasets.open_set` computes it
    mask: str | None = None  # name of the set of silhouettes that serve as its object masks
    folder: str | None = None  # the folder that a user gave
    #: The list of its images with their classes, below the folder, and the names of its columns "image" and "label".
    table: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    experiment: str = ""  # the YAML of an added experiment
    aliases: tuple[str, ...] = ()  # other names under which it is found
    source: str = ""  # where a person obtains it: an address or words
    parts: tuple[str, ...] = ()  # for cells (CORRUPTION/SEVERITY/class/image): the published corruptions in order
    extra: tuple[str, ...] = ()  # for cells: corruptions that published means leave out
    levels: tuple[str, ...] = ()  # for cells: the severities
    size: int | None = None  # side in px of its square images
    classes: int | None = None  # number of classes
    #: For textures and lists of names: file name -> SHA-256, in order.
    files: Mapping[str, str] = field(default_factory=dict)
    of: str = ""  # for a list of names: the set that has the images
    border: int = 0  # width in px of the frame that is cut off each image
    #: For a set in several archives: file name -> address; none of them is pinned.
    archives: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}


def read_catalogue(settings: Settings) -> dict[str, Entry]:
    """Read all entries by name: built-in ones in their order, then the user's. Raises StimuliError on a bad file."""
    entries = dict(_built_in())
    for name, row in _added_rows(settings).items():
        own = {key: row[key] for key in ("folder", "table", "columns") if key in row}
        fields = asdict(entries[name]) | own if name in entries else row
        entries[name] = entry_from(name, fields, added_file(settings))
    return entries


def find_entry(name: str, settings: Settings) -> Entry:
    """Find the entry of a name or alias. Raises UnknownName with close matches."""
    entries = read_catalogue(settings)
    if entry := _named(name, entries):
        return entry
    hint = "`bench data list` shows all; `bench data add NAME FOLDER` adds your own."
    raise unknown_name("stimulus set", name, entries, hint)


def find_built_in(name: str) -> Entry | None:
    """Find the built-in entry of a name or alias; None if there is none."""
    return _named(name, _built_in())


def _named(name: str, entries: Mapping[str, Entry]) -> Entry | None:
    return entries.get(name) or next((entry for entry in entries.values() if name in entry.aliases), None)


def save_entry(entry: Entry, settings: Settings) -> None:
    """Store an added entry. Readers see the old file or the new one; concurrent writers keep each other's entries."""
    target = added_file(settings)
    with locked(target.parent):
        fields = {key: value for key, value in asdict(entry).items() if value and key != "name"}
        row = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
        rows = _added_rows(settings) | {entry.name: row}
        write_whole(target, yaml.safe_dump(rows, sort_keys=True, allow_unicode=True))


def added_file(settings: Settings) -> Path:
    """Return the path of the file of added entries."""
    return settings.home / "stimuli.yaml"


def entry_from(name: str, row: Mapping[str, Any], source: Path | str) -> Entry:
    """Build an entry from plain data. Raises StimuliError naming the source, the entry and the field."""
    where = f"{source}, stimulus set '{name}'"
    return validated(Entry, {**row, "name": name}, lambda what: StimuliError(f"{where}: {what}."))


def group_members(name: str) -> tuple[str, ...]:
    """Return the names of a group's entries; any other name is its own only member."""
    return tuple(package_data("benchmark.stimuli", "catalogue")["groups"].get(name, (name,)))


@cache
def _built_in() -> Mapping[str, Entry]:
    raw = dict(package_data("benchmark.stimuli", "catalogue"))
    del raw["groups"]
    shared = raw.pop("shared", {})
    entries = {}
    for name, own in raw.items():
        row = {**shared.get(own.get("from", ""), {}), **own}
        row.pop("from", None)
        # Texts of a shared source are templates: {NAME} is the entry's name.
        texts = {key: value.replace("{NAME}", name) for key, value in row.items() if isinstance(value, str)}
        entries[name] = entry_from(name, row | texts, "catalogue.yaml")
    return entries


def _added_rows(settings: Settings) -> dict[str, Any]:
    path = added_file(settings)
    rows = read_document(path, "list of added sets", StimuliError) or {} if path.exists() else {}
    if not isinstance(rows, dict) or not all(isinstance(x, str) and isinstance(row, dict) for x, row in rows.items()):
        raise StimuliError(f"{path}: expected a table of entries, each with its fields.")
    return rows


def stimuli_folder(entry: Entry | str, settings: Settings) -> Path | None:
    """Find the folder of an installed set, or None. Raises UnknownName if the catalogue lacks its name."""
    entry = find_entry(entry, settings) if isinstance(entry, str) else entry
    places = [root / entry.name for root in (settings.data, settings.stimuli) if root]
    places += [Path(entry.folder)] if entry.folder else []
    folder = next((place for place in places if place.is_dir()), None)
    return folder and member_folder(entry, folder)


def entry_and_folder(name: str, settings: Settings) -> tuple[Entry, Path]:
    """Find an entry and its folder. Raises UnknownName, or MissingStimuli with the command that gets the set."""
    entry = find_entry(name, settings)
    folder = stimuli_folder(entry, settings)
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
