"""The catalogue: which stimulus sets and tables of trials exist, and what is known of each.

Built-in entries are `catalogue.yaml`; entries that a user added are `stimuli.yaml` in the home folder. An added entry
of a built-in name says where that set lies and keeps everything else."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import yaml

from benchmark.errors import MissingStimuli, StimuliError, TrialsError, unknown_name
from benchmark.settings import Settings
from registry.files import locked, write_whole
from registry.foreign import parse_document, read_document, validated

Kind = Literal["images", "names", "trials", "scores", "textures"]
Layout = Literal[
    "class-folder", "cue-conflict", "session", "labels-csv", "cells", "names", "trials", "scores", "textures",
    "masks", "imagenet-s", "imagenet-boxes", "voc", "coco", "clickme",
]  # fmt: skip
#: Layouts with something drawn over each image, read by `benchmark.stimuli.masked`.
ANNOTATED = frozenset({"masks", "imagenet-s", "imagenet-boxes", "voc", "coco", "clickme"})
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a set. role: what suites ask for; space: the decision space of its labels; url: None where its
    terms forbid a download; archive: file name of the download; sha256: of that file, None where it is not pinned;
    member: the set's folder inside the archive's top folder; count: images (or files of trials) of the full published
    set; digest: of the full set as `sets.open_set` computes it; mask: the set of silhouettes that mask it; folder:
    where a user said it lies; aliases: other names that are used for it; source: where a person gets it, an address or
    words. Of a set that lies in cells (CORRUPTION/SEVERITY/class/image): parts: the published corruptions in order;
    extra: those beyond them that published means leave out; levels: the severities; and `count` is that of each cell.
    size: px of its square images; classes: how many there are. files: of textures and lists of names, file name ->
    SHA-256, in order. of: of a list of names, the set that has the images. archives: of a set in several archives, file
    name -> address; none is pinned. border: px that are cut off each side of an image."""

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
    border: int = 0
    archives: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    @property
    def annotated(self) -> bool:
        """Whether masks or graded maps lie beside its images."""
        return self.layout in ANNOTATED


def read_catalogue(settings: Settings) -> dict[str, Entry]:
    """Name -> entry: the built-in ones in their order, then the user's. Raises StimuliError on a bad file."""
    entries = dict(_built_in())
    for name, row in _added_rows(settings).items():
        fields = asdict(entries[name]) | {"folder": row.get("folder")} if name in entries else row
        entries[name] = entry_from(name, fields, added_file(settings))
    return entries


def find_entry(name: str, settings: Settings) -> Entry:
    """The entry of that name or alias. Raises UnknownName with close matches."""
    entries = read_catalogue(settings)
    for entry in (*filter(None, [entries.get(name)]), *entries.values()):
        if name == entry.name or name in entry.aliases:
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
        fields = {key: value for key, value in asdict(entry).items() if value and key != "name"}
        row = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
        rows = _added_rows(settings) | {entry.name: row}
        write_whole(target, yaml.safe_dump(rows, sort_keys=True, allow_unicode=True))


def added_file(settings: Settings) -> Path:
    """The file of added entries."""
    return settings.home / "stimuli.yaml"


def entry_from(name: str, row: Mapping[str, Any], source: Path | str) -> Entry:
    """An entry from plain data. Raises StimuliError naming the source, the entry and the field."""

    def wrong(what: str) -> StimuliError:
        return StimuliError(f"{source}, stimulus set '{name}': {what}.")

    return validated(Entry, {**row, "name": name}, wrong)


def members(name: str) -> tuple[str, ...]:
    """The entries that a name stands for: those of a group, or itself."""
    return tuple(_package_table("catalogue.yaml")["groups"].get(name, (name,)))


@cache
def _package_table(name: str) -> Mapping[str, Any]:
    """A table of this package."""
    data = (files("benchmark.stimuli") / name).read_bytes()
    table: Mapping[str, Any] = parse_document(data, Path(name), "table", StimuliError)
    return table


@cache
def _built_in() -> Mapping[str, Entry]:
    raw = dict(_package_table("catalogue.yaml"))
    del raw["groups"]
    shared = raw.pop("shared", {})
    entries = {}
    for name, own in raw.items():
        row = {**shared.get(own.get("from", ""), {}), **own}
        row.pop("from", None)
        # {NAME} in the texts of a shared source stands for the entry's name.
        texts = {key: value.replace("{NAME}", name) for key, value in row.items() if isinstance(value, str)}
        entries[name] = entry_from(name, row | texts, "catalogue.yaml")
    return entries


def _added_rows(settings: Settings) -> dict[str, Any]:
    path = added_file(settings)
    rows = read_document(path, "list of added sets", StimuliError) or {} if path.exists() else {}
    if not isinstance(rows, dict) or not all(isinstance(x, str) and isinstance(row, dict) for x, row in rows.items()):
        raise StimuliError(f"{path}: expected a table of entries, each with its fields.")
    return rows


#: The middle number of an eidolon condition -> the experiment. texture-vs-shape has all three in one table, "eidolon".
EIDOLONS = {"10": "eidolonI", "3": "eidolonII", "0": "eidolonIII"}
#: Experiment -> its other names in publications, in lower case.
_ALIASES = {
    "cue-conflict": "style-transfer-512-nomask",
    "sketch": "", "original": "", "texture": "", "phase-scrambling": "", "rotation": "", "eidolon": "",
    "edges": "edge", "silhouettes": "silhouette silhouette-filled filled-silhouettes", "stylized": "stylised",
    "greyscale": "grayscale", "colour": "color colour-png", "contrast": "contrast-png", "high-pass": "highpass",
    "low-pass": "lowpass", "uniform-noise": "noise noise-png", "salt-and-pepper": "salt-and-pepper-png",
    "power-equalisation": "power-equalization", "false-colour": "false-color", "eidolonI": "eidoloni",
    "eidolonII": "eidolonii", "eidolonIII": "eidoloniii",
}  # fmt: skip
KNOWN = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases.split())}
_SUFFIX = re.compile(r"(-experiment)?(-trained-cnns)?$")
_PUBLISHED = re.compile(r"([^_]+)_.+_session[-_]\d+")
#: What stands before the experiment in the names of error-consistency (Geirhos et al. 2020).
_GROUP = re.compile(r"^(?:texture-shape|noise-generalisation)_")


def name_experiment(text: str) -> str:
    """The experiment's one name for a name in use: "edge-experiment" -> "edges". Unknown names stay."""
    plain = _SUFFIX.sub("", _GROUP.sub("", text.strip().lower()))
    return KNOWN.get(plain, plain)


def experiment_of(path: Path) -> str:
    """From the file name up to the first "_", else from the nearest folder that names a known experiment. A file in the
    published form NAME_OBSERVER_session-1.csv may name an experiment of its own. Raises TrialsError if nothing tells.
    """
    stem = _GROUP.sub("", path.stem.lower())
    folders = [folder.name for folder in path.absolute().parents[:2]]
    for text in (stem.partition("_")[0], stem, *folders):
        if (name := name_experiment(text)) in _ALIASES:
            return name
    if published := _PUBLISHED.fullmatch(path.stem):
        return name_experiment(published[1])
    raise TrialsError(
        f"{path}: the name does not tell which experiment this is. Expected a file like "
        f"'cue-conflict_OBSERVER_session-1.csv' or a folder called one of: {', '.join(sorted(_ALIASES))}."
    )


def split_eidolon(experiment: str, condition: str, where: str) -> str:
    """The eidolon experiment of a condition such as "8-3-10"; other experiments stay. Raises TrialsError."""
    if experiment != "eidolon":
        return experiment
    if match := re.fullmatch(r"[^-]*-(10|3|0)-[^-]*", condition.strip()):
        return EIDOLONS[match[1]]
    raise TrialsError(f"{where}: condition '{condition}' is no eidolon condition like '8-3-10' (coherence 10, 3 or 0).")


# What is read from names: categories, exemplars, conditions. Every rule is one explicit pattern.
#
# Image names of the human experiments (Geirhos et al. 2018, 2019, 2021) carry a prefix that differs per observer,
# `0001_s5n_s01_0_bird_00_bird3-bird2.png`; what follows it names the image and is its id here.
GEIRHOS16 = (
    "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat",
    "chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck",
)  # fmt: skip
NO_ANSWER = "na"
#: One condition only: the condition column of their tables says "0" or "NaN" and means nothing.
SINGLE_CONDITION = frozenset(
    {"cue-conflict", "edges", "silhouettes", "sketch", "stylized", "original", "greyscale", "texture"}
)
NUMERIC = frozenset(
    {"high-pass", "low-pass", "phase-scrambling", "power-equalisation", "rotation", "salt-and-pepper", "uniform-noise"}
)
WNID = re.compile(r"n\d{8}")
#: number, experiment, observer, condition, category, context: the parts of a prefix.
PREFIX = re.compile(r"^\d{4}_[a-z0-9]+_(?:dnn|s\d+)_(?P<condition>[^_]+)_(?P<category>[a-z]+)_\d+_(?=.)")
_EXEMPLAR = re.compile(r"([a-z]+)\d+")


class CuePair(NamedTuple):
    """A cue-conflict image: category of the shape, category of the texture, exemplars of both."""

    shape: str
    texture: str
    exemplar: str
    ground: str


def any_answer(responses: Iterable[str]) -> bool:
    """Whether any of these is an answer; of none, no."""
    return any(response != NO_ANSWER for response in responses)


def image_id(name: str) -> str:
    """The image's own name: `name` without its observer's prefix, or `name` whole where it has none."""
    return PREFIX.sub("", name, count=1)


def stimulus_id(condition: str, image: str) -> str:
    """What is shown: the image's name, after its condition where there are several ("c05/cat1.png")."""
    return f"{condition}/{image}" if condition else image


@lru_cache(maxsize=2**16)  # a hundred observers of the same images
@lru_cache(maxsize=2**16)  # asked again for each metric, as is the next
def read_pair(name: str) -> CuePair | None:
    """The cues of `cat7-elephant1.png`; None where the name is not of that form or of the 16 categories."""
    shape, dash, texture = PurePath(name).stem.rpartition("-")
    first, second = _EXEMPLAR.fullmatch(shape), _EXEMPLAR.fullmatch(texture)
    if not (dash and first and second):
        return None
    pair = CuePair(shape=first[1], texture=second[1], exemplar=shape, ground=texture)
    return pair if pair.shape in GEIRHOS16 and pair.texture in GEIRHOS16 else None


@lru_cache(maxsize=2**16)
def read_shape(name: str) -> str:
    """The exemplar whose shape an image has: "cat7" of `cat7-elephant1.png`, of its edges and of its silhouette, both
    `cat7.png`; "" of other names."""
    pair = read_pair(name)
    alone = _EXEMPLAR.fullmatch(PurePath(name).stem)
    return pair.exemplar if pair else alone[0] if alone and alone[1] in GEIRHOS16 else ""


def canonical_condition(experiment: str, text: str) -> str:
    """One spelling per condition, so that tables of people and of networks meet. Experiments of one condition: ""
    whatever the table says. Numeric ones: the shortest decimal ("0.20" and "0.2" -> "0.2", "3.0" -> "3", "inf" stays).
    Others: lower case ("True" -> "true", "c05" stays)."""
    text = text.strip().lower()
    if experiment in SINGLE_CONDITION:
        return ""
    if experiment in NUMERIC:
        with suppress(ValueError):
            return f"{float(text):.10g}"
    return text


def locate(name: str, settings: Settings) -> Path | None:
    """The folder of a set, or None: BENCH_DATA first, then fetched sets, then a folder that a user added. Raises
    UnknownName for a name that the catalogue lacks."""
    return folder_of(find_entry(name, settings), settings)


def folder_of(entry: Entry, settings: Settings) -> Path | None:
    """`locate` for an entry at hand."""
    places = [root / entry.name for root in (settings.data, settings.stimuli) if root]
    places += [Path(entry.folder)] if entry.folder else []
    folder = next((place for place in places if place.is_dir()), None)
    return folder and inside(entry, folder)


def place_of(name: str, settings: Settings) -> tuple[Entry, Path]:
    """The entry of that name, and its folder. Raises UnknownName, and MissingStimuli with the command that gets it."""
    entry = find_entry(name, settings)
    folder = folder_of(entry, settings)
    if folder is None:
        raise absent(entry)
    return entry, folder


def inside(entry: Entry, place: Path) -> Path:
    """The set's folder in one that is laid out as published, else that folder itself."""
    below = place / entry.member
    return below if entry.member and below.is_dir() else place


def absent(entry: Entry) -> MissingStimuli:
    """The error for a set that is not here, with the command that gets it."""
    return MissingStimuli(f"the stimulus set '{entry.name}' is not on this disk. Get it with {remedy(entry)}.")


def remedy(entry: Entry) -> str:
    """The command that gets a set, in words."""
    add = f"`bench data add {entry.name} FOLDER`"
    if entry.url is not None or entry.archives:
        return f"`bench data fetch {entry.name}`, or {add} where you have it"
    return f"{add} (get it from {entry.source})" if entry.source else f"{add} (its terms do not allow a download)"


#: The decision space in which people answered.
PUBLISHED_SPACE = "geirhos16"
#: What may follow a source's name in the name of a folder: the version or the commit of its archive.
_VERSION = r"(?:-(?:v?\d[\w.]*|[0-9a-f]{7,40}|main|master))?"


class Named(NamedTuple):
    """Who answered: a source, and a name that is unique there."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published collection. folders, holds: how it is recognised; names: what its tables call an observer -> what
    that is; people: experiment (or "all") -> the source whose people these are; experiment: whose images all of its
    tables show, where their names do not tell; files: patterns of file names that say who answered, and how; prompts:
    what a file name calls a way of asking -> that way in words, the usual one first; others: patterns of files that are
    no tables of trials -> what they are; apart: why its own people are no group to compare with, "" where they are."""

    folders: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    experiment: str = ""
    files: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    apart: str = ""


@cache
def known_sources() -> Mapping[str, Source]:
    """The published collections by name."""
    sources = {}
    for source, row in _package_table("sources.yaml").items():
        lists = {key: tuple(row[key]) for key in ("folders", "holds", "files") if key in row}
        names = {old: new["name"] for old, new in row.get("names", {}).items()}
        sources[source] = Source(**{**row, **lists, "names": names})
    return sources


def known_source(name: str) -> Source:
    """What is known of a collection; of others nothing."""
    return known_sources().get(name, Source())


class PublishedNetwork(NamedTuple):
    """What is known of a published network."""

    training: tuple[str, ...] = ()
    family: str = ""


@cache
def _published_networks() -> Mapping[Named, PublishedNetwork]:
    return {
        Named(source, name): PublishedNetwork(tuple(group["training"]), family)
        for source, groups in _package_table("published_observers.yaml").items()
        for group in groups
        for name, family in group["observers"].items()
    }


def known_of(observer: Named) -> PublishedNetwork:
    """Recipe and family of a published network; empty if nothing is known."""
    return _published_networks().get(observer, PublishedNetwork())


def sources_of(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """The source of each table below `root` (a folder, or a table itself). The nearest folder that is called like a
    published collection tells; else what one collection alone holds; else the source is called like `root`."""
    parts = {part for path in paths for part in (path.relative_to(root).parts if path != root else (path.name,))}
    held = [name for name, known in known_sources().items() if any(part.startswith(known.holds) for part in parts)]
    place = root.resolve()
    plain = "".join(c if c.isprintable() else "?" for c in (place.name if place.is_dir() else place.stem))
    rest = held[0] if len(held) == 1 else plain or "tables"
    called = [(re.escape(text) + _VERSION, name) for name, known in known_sources().items() for text in known.folders]
    sources = {}
    for path in paths:
        folders = (folder.name for folder in path.resolve().parents)
        names = (name for text in folders for form, name in called if re.fullmatch(form, text, re.IGNORECASE))
        sources[path] = next(names, rest)
    return sources


def check_source(name: str) -> str:
    """A source that a user states. Raises TrialsError where it is empty or not printable."""
    name = name.strip()
    if not name or not name.isprintable() or set(name) & set("()"):
        raise TrialsError(f"--source {name!r}: expected a name without brackets, such as 'my-laboratory'.")
    return name


def named(source: str, observer: str, experiment: str, *, human: bool) -> Named:
    """Who an observer of a table is: under the name that is true of its source, and people under theirs."""
    known = known_source(source)
    if human:
        return Named(known.people.get(experiment) or known.people.get("all") or source, observer)
    return Named(source, known.names.get(observer, observer))


def observer_of_place(source: str, path: Path) -> tuple[str | None, str]:
    """Who answered, and under which prompt (in words), as the name of a file and of the two folders above it say in
    this source."""
    known = known_source(source)
    place = "/".join(path.absolute().with_suffix("").parts[-3:])
    for pattern in known.files:
        if match := re.search(f"(?:^|/){pattern}$", place):
            prompt = match.groupdict().get("prompt") or ""
            return match["observer"], known.prompts.get(prompt, prompt.replace("_", " "))
    return None, ""


def is_no_table(source: str, path: Path) -> str:
    """What a file of this source is that holds no trials; "" where it should hold some."""
    place = path.absolute().as_posix()
    others = known_source(source).others.items()
    return next((what for pattern, what in others if re.search(f"/{pattern}$", place)), "")


def prompt_order(source: str, prompt: str) -> tuple[int, str]:
    """By this the prompts of one observer are ordered: the one that its scores are made of comes first."""
    usual = list(known_source(source).prompts.values())
    return (usual.index(prompt) if prompt in usual else len(usual), prompt)
