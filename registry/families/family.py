"""What a family of models tells of one of its members, and what it needs to build it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from torch import nn

from registry.cards import ModelCard, Source
from registry.determinism_checks import Check
from registry.download import fetch_whole
from registry.errors import CardError, LabelError, WeightsError, some_of
from registry.families.detectors import is_detector
from registry.files import Place, expanded, is_file, is_folder, is_url
from registry.foreign import shown
from registry.labels import ClassList, label_space, match_name, space_name, spaces_of_size, write_mapping
from registry.preprocessing import Stated, says_transformers

#: Scheme of `--arch` -> the module that knows its models.
FAMILIES: Mapping[str, str] = {"hf": "registry.families.transformers", "open_clip": "registry.families.open_clip"}


@dataclass(frozen=True)
class Asked:
    """What a user says of a model. name: of the card; arch: without its scheme; weights: a file, a folder, a tag or
    nothing; labels: a label space, a mapping file or nothing; options: of the family alone; folder: for files that
    belong to the card; bare: its features alone are wanted, a head follows."""

    name: str
    arch: str
    weights: str | None
    labels: str | None
    folder: Path
    hub: Place
    options: Mapping[str, Any] = field(default_factory=dict)
    bare: bool = False


@dataclass(frozen=True)
class Described:
    """What a card says of a model, with `stated`: what it is fed, as far as its files say; rows: what a user should
    know; files: that were written for the card; tags: of the recipe."""

    source: Source
    arch: str
    weights: str | None
    labels: str
    stated: Stated
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Check, ...] = ()
    files: tuple[Path, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Where what a card names comes from. network: of another card, with the digest of its code; file: of the card's
    weights, fetched."""

    hub: Place
    file: Callable[[ModelCard], Path]


class Family(Protocol):
    """A module of this room."""

    def describe(self, asked: Asked) -> Described:
        """What a card says of the model. Raises CardError, WeightsError, LabelError."""

    def network(self, card: ModelCard, sources: Sources, outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
        """The network of a card with so many outputs, or bare: with features; and the digest of what computes besides
        weights, where the architecture's name does not say it. Raises CardError, WeightsError."""


def require_fitting(arch: str, key: str | None, options: Mapping[str, Any]) -> None:
    """Raise CardError for what was given and would be ignored."""
    kind = arch.partition(":")[0]
    if "templates" in options and kind != "open_clip":
        raise CardError("--templates is for models that are asked in texts: --arch open_clip:...")
    if "threshold" in options and not is_detector(arch):
        raise CardError(
            "--threshold is for detectors: --arch torchvision:fasterrcnn_resnet50_fpn or detector:python:..."
        )
    if key is not None and kind in FAMILIES:
        raise CardError(
            f"--key is for checkpoints of plain architectures; weights of {kind}:... are taken whole. Save the set "
            "that you mean to a file of its own."
        )


def of_folder(arch: str, weights: Path | None) -> tuple[str, Path | None]:
    """Architecture and weights, where a folder of open_clip or transformers was given as weights: it says itself what
    it is, as one of timm does, and has its weights with it."""
    folder = None if weights is None else expanded(weights)
    if folder is None or not is_folder(folder):
        return arch, weights
    kind, _, place = arch.partition(":")
    if not arch:
        if is_file(folder / "open_clip_config.json"):
            return f"open_clip:{folder}", None
        if says_transformers(folder):
            return f"hf:{folder}", None
    elif kind in FAMILIES and expanded(place).resolve() == folder.resolve():
        return arch, None
    return arch, weights


def family_of(arch: str) -> Family | None:
    """The family of an architecture; None for those that need no more than an architecture and its weights."""
    module = FAMILIES.get(arch.partition(":")[0])
    return None if module is None else cast(Family, import_module(module))


# Libraries that only some families need.


def library(module: str, extra: str, what: str) -> ModuleType:
    """The library, imported. Raises CardError naming the extra that brings it; what: that needs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise CardError(
            f"{what} needs the package '{module}', which is not installed: pip install 'gestaltbench[{extra}]'"
        ) from error


# The files of a model's repository: from a mirror, or from the Hugging Face hub's cache and download.


_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")


def repository_folder(repository: str, hub: Place, files: Sequence[str], optional: Sequence[str]) -> Path:
    """A folder with the `files` of ORG/NAME (or ORG/NAME@REVISION) and those of the `optional` ones that it has.

    hub: its mirror is asked for ORG/NAME/FILE first. Optional names may be patterns (*.safetensors) for the hub; a
    mirror at a URL is asked for plain names alone. Raises CardError for another form of name, WeightsError where the
    repository can be had nowhere."""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise CardError(
            f"'{shown(repository)[:200]}' is neither a folder on this disk nor a repository of the hub: expected "
            "ORG/NAME or ORG/NAME@REVISION."
        )
    name, _, revision = repository.partition("@")
    failures = []
    if hub.mirror and not is_url(hub.mirror):
        folder = expanded(hub.mirror.removeprefix("file://")) / name
        if all((folder / file).is_file() for file in files):
            return folder
        failures.append(f"{folder}: it lacks one of {', '.join(files)}")
    elif hub.mirror:
        found = _from_url(f"{hub.mirror.rstrip('/')}/{name}", hub, name, files, optional)
        if isinstance(found, Path):
            return found
        failures.append(found)
    try:
        return _from_hub(name, revision, hub, [*files, *optional])
    except Exception as error:  # noqa: BLE001 - a download may fail in any way of its library's
        failures.append(f"Hugging Face hub: {' '.join(str(error).split())[:300]}")
    raise WeightsError(
        f"the repository {repository} could not be had. {' | '.join(failures)} Offline? Fetch it once with a network, "
        "put its files into a folder and name that, or name a mirror (BENCH_MIRROR: a folder or URL with "
        "ORG/NAME/FILE; HF_ENDPOINT: a mirror of the hub)."
    )


def _from_hub(name: str, revision: str, hub: Place, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(name, revision=revision or None, cache_dir=hub.caches.hub, allow_patterns=list(patterns))
    return Path(folder)


def _from_url(address: str, hub: Place, name: str, files: Sequence[str], optional: Sequence[str]) -> Path | str:
    """The folder with what an address gave, or what failed."""
    folder = hub.weights_folder / name.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*files, *(one for one in optional if "*" not in one)]:
        if (folder / file).is_file():
            continue
        try:
            fetch_whole(iter([f"{address}/{file}"]), folder / file)
        except OSError as error:
            if file in files:
                return str(error)
    return folder


# Outputs that come with names: which label space they are, and which names were not recognised.


_NUMBERED = re.compile(r"(?:label|class)?[ _-]?\d+", re.IGNORECASE)
#: Label spaces whose classes folders may be named by, in the order in which they are tried.
_FOLDER_SPACES = ("imagenet1k", "geirhos16")
#: Share of the names that must be those of a label space at their places. Spellings differ; orders do not.
_ENOUGH = 0.9


def labels_of_names(
    names: Sequence[str], labels: str | None, model: str, folder: Path
) -> tuple[str, list[Check], list[Path]]:
    """The label space of outputs with these names: a name or a mapping file, what to tell the user, files written.

    labels: what the user says. Raises LabelError where names say nothing and the user neither."""
    if labels is not None:
        return labels, [_told(f"{labels}, as given; {_agreement(names, labels)}")], []
    for space in spaces_of_size(len(names)):
        at_place = _at_place(names, space)
        if at_place and sum(at_place) >= _ENOUGH * len(names):
            return space, [_told(f"{space}: {_agreement(names, space)}")], []
    if all(_NUMBERED.fullmatch(name) for name in names):
        known = spaces_of_size(len(names))
        hint = f", such as --labels {' or '.join(known)}" if known else ": a list, a mapping file"
        raise LabelError(
            f"its {len(names)} outputs have no names ({names[0]}, ...): say what they stand for with --labels{hint}."
        )
    single = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    listed = ClassList(f"{model}-classes", tuple(single), tuple(map(match_name, single)))
    file = write_mapping(listed, folder / "labels")
    return str(file), [_told(str(listed))], [file]


def _told(text: str) -> Check:
    return Check("labels", True, text)


def labels_of_folders(
    classes: Sequence[str], space: str | None, place: Path, folder: Path
) -> tuple[str, tuple[int, ...], list[Path]]:
    """The label space of class folders, in any order: a name or a mapping file; for each of its outputs the place of
    its class in `classes`; files written, below `folder`.

    space: the label space that it must be; place: of the folders, which names a space of one's own. Raises LabelError
    where the classes of `space` are others."""
    if space:
        require_classes(classes, space)
    for name in (space,) if space else _FOLDER_SPACES:
        own = label_space(name).classes
        if set(own) == set(classes):
            at = {item: i for i, item in enumerate(classes)}
            return name, tuple(at[item] for item in own), []
    listed = ClassList(space_name(place, "own"), tuple(classes), tuple(map(match_name, classes)))
    file = write_mapping(listed, folder / "labels")
    return str(file), tuple(range(len(classes))), [file]


def require_classes(classes: Collection[str], space: str) -> None:
    """Raise LabelError where the classes, in any order, are not those of the label space."""
    own = set(label_space(space).classes)
    if own == set(classes):
        return
    lacking, strange = sorted(own - set(classes)), sorted(set(classes) - own)
    parts = [
        f"{len(names)} {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        for names, what in ((lacking, "lack"), (strange, "are none of its classes"))
        if names
    ]
    raise LabelError(
        f"the classes are not those of label space '{space}': {'; '.join(parts)}. Name the class folders as its "
        "classes, or leave --labels out: the classes are then a space of their own."
    )


def _at_place(names: Sequence[str], space: str) -> list[bool]:
    """Whether each name is one of the words, or the WordNet id, of the class at its place; [] without words."""
    known = label_space(space)
    if len(known.classes) != len(names):
        return []
    words = known.words or known.classes
    pairs = zip(names, words, known.classes, strict=True)
    return [bool(_spellings(name) & (_spellings(word) | {wnid})) for name, word, wnid in pairs]


def _spellings(text: str) -> set[str]:
    return {" ".join(re.split(r"[\s_-]+", part.strip().lower())) for part in text.split(",")}


def _agreement(names: Sequence[str], space: str) -> str:
    """How many names are those of a label space, and which are not."""
    known = label_space(space)
    if len(known.classes) != len(names):
        return f"it has {len(known.classes)} classes, the network {len(names)} outputs"
    flags = _at_place(names, space)
    lost = [f"{i} '{name}'" for i, (name, good) in enumerate(zip(names, flags, strict=True)) if not good]
    text = f"{sum(flags)} of {len(names)} names are those of its classes at their places"
    return f"{text}; not matched: {some_of(lost, 5)}" if lost else text
