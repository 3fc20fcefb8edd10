"""The catalogue: which stimulus sets and tables of trials exist, and what is known of each.

Built-in entries are `catalogue.yaml`; entries that a user added are `stimuli.yaml` in the home
folder. An added entry of a built-in name says where that set lies and keeps everything else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from benchmark.errors import StimuliError, unknown_name
from benchmark.settings import Settings
from registry.whole_files import locked, write_whole

Kind = Literal["images", "names", "trials", "scores", "textures"]
Layout = Literal[
    "class-folder", "cue-conflict", "session", "labels-csv", "cells", "names", "trials", "scores", "textures",
    "masks", "imagenet-s", "imagenet-boxes", "voc", "coco", "clickme",
]  # fmt: skip
#: Layouts with something drawn over each image, read by `benchmark.stimuli.masked`.
ANNOTATED = frozenset({"masks", "imagenet-s", "imagenet-boxes", "voc", "coco", "clickme"})
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True)
class Entry:
    """What is known of a set.

    role: what suites ask for; space: the decision space of its labels; url: None where its terms
    forbid a download; archive: file name of the download; sha256: of that file, None where it is
    not pinned; member: the set's folder inside the archive's top folder; count: images (or files of
    trials) of the full published set; digest: of the full set as `sets.open_set` computes it; mask:
    the set of silhouettes that mask it; folder: where a user said it lies; aliases: other names
    that are used for it; source: where a person gets it, an address or words.

    Of a set that lies in cells (CORRUPTION/SEVERITY/class/image): parts: the published corruptions
    in order; extra: those beyond them that published means leave out; levels: the severities; and
    `count` is that of each cell. size: px of its square images; classes: how many there are.
    files: of textures and lists of names, file name -> SHA-256, in order. of: of a list of names, the set that has
    the images. archives: of a set in several archives, file
    name -> address; none is pinned.
    """

    name: str
    role: str
    space: str
    layout: Layout
    kind: Kind = "images"
    title: str = ""
    license: str = ""
    citation: str = ""
    url: str | None = None
    archive: str | None = None
    sha256: str | None = None
    member: str = ""
    count: int | None = None
    digest: str | None = None
    mask: str | None = None
    folder: str | None = None
    aliases: tuple[str, ...] = ()
    source: str = ""
    parts: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    size: int | None = None
    classes: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    of: str = ""
    archives: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    @property
    def annotated(self) -> bool:
        """Whether masks or graded maps lie beside its images."""
        return self.layout in ANNOTATED


_LISTS = ("aliases", "parts", "extra", "levels")


def read_catalogue(settings: Settings) -> dict[str, Entry]:
    """Name -> entry: the built-in ones in their order, then the user's. Raises StimuliError on a
    bad file."""
    entries = dict(_built_in())
    for name, row in _added_rows(settings).items():
        if name in entries:
            known = {key: value for key, value in asdict(entries[name]).items() if key != "name"}
            entries[name] = entry_from(
                name, {**known, "folder": row.get("folder")}, added_file(settings)
            )
        else:
            entries[name] = entry_from(name, row, added_file(settings))
    return entries


def find_entry(name: str, settings: Settings) -> Entry:
    """The entry of that name or alias. Raises UnknownName with close matches."""
    entries = read_catalogue(settings)
    if name in entries:
        return entries[name]
    for entry in entries.values():
        if name in entry.aliases:
            return entry
    hint = "`bench data list` shows all; `bench data add NAME FOLDER` adds your own."
    raise unknown_name("stimulus set", name, entries, hint)


def find_built_in(name: str) -> Entry | None:
    """The built-in entry of that name or alias, as published."""
    entries = _built_in().values()
    return next((entry for entry in entries if name == entry.name or name in entry.aliases), None)


def save_entry(entry: Entry, settings: Settings) -> None:
    """Remember an added entry. A reader sees the old file or the new one; of several writers each adds its own."""
    target = added_file(settings)
    with locked(target.parent):
        rows = _added_rows(settings)
        rows[entry.name] = _row(entry)
        write_whole(target, _yaml().safe_dump(rows, sort_keys=True, allow_unicode=True))


def added_file(settings: Settings) -> Path:
    """The file of added entries."""
    return settings.home / "stimuli.yaml"


def entry_from(name: str, row: Mapping[str, Any], source: Path | str) -> Entry:
    """An entry from plain data. Raises StimuliError naming the source, the entry and the field."""
    from registry.validation import validated  # pydantic: 0.1 s that not every command needs

    def wrong(what: str) -> StimuliError:
        return StimuliError(f"{source}, stimulus set '{name}': {what}.")

    return validated(Entry, {"name": name, **row, **_lists(row)}, wrong)


def _lists(row: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of texts; numbers in them (severities) are spelled out."""
    return {
        key: tuple(map(str, row[key])) for key in _LISTS if isinstance(row.get(key), list | tuple)
    }


def members(name: str) -> tuple[str, ...]:
    """The entries that a name stands for: those of a group, or itself."""
    return tuple(_raw()["groups"].get(name, (name,)))


@cache
def _raw() -> Mapping[str, Any]:
    source = files("benchmark.stimuli") / "catalogue.yaml"
    yaml = _yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, a tenth of the time
    read: Mapping[str, Any] = yaml.load(source.read_text(encoding="utf-8"), Loader=loader)
    return read


@cache
def _built_in() -> Mapping[str, Entry]:
    raw = {name: row for name, row in _raw().items() if name != "groups"}
    shared = raw.pop("shared", {})
    rows = {name: {**shared.get(row.get("from", ""), {}), **row} for name, row in raw.items()}
    for row in rows.values():
        row.pop("from", None)
    return {name: _trusted(name, _filled(name, row)) for name, row in rows.items()}


def _trusted(name: str, row: Mapping[str, Any]) -> Entry:
    """An entry of the package's own file: a test checks those, not every start."""
    return Entry(name=name, **{**row, **_lists(row)})


def _filled(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """`{NAME}` in the texts of a shared source stands for the entry's name."""
    return {k: v.replace("{NAME}", name) if isinstance(v, str) else v for k, v in row.items()}


def _added_rows(settings: Settings) -> dict[str, Any]:
    path = added_file(settings)
    if not path.exists():
        return {}
    from registry.documents import read_document  # brings YAML

    rows = read_document(path, "list of added sets", StimuliError) or {}
    named = isinstance(rows, dict) and all(isinstance(name, str) for name in rows)
    if not named or not all(isinstance(row, dict) for row in rows.values()):
        raise StimuliError(f"{path}: expected a table of entries, each with its fields.")
    return dict(rows)


def _row(entry: Entry) -> dict[str, Any]:
    row = {key: value for key, value in asdict(entry).items() if value and key != "name"}
    return row | {key: list(row[key]) for key in _LISTS if key in row}


def _yaml() -> Any:
    import yaml

    return yaml
