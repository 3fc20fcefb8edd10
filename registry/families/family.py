"""What a family of models tells of one of its members, and what it needs to build it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from torch import nn

from registry.cards import ModelCard, Source
from registry.documents import shown
from registry.download import download, is_url
from registry.errors import CardError, WeightsError
from registry.families.detectors import is_detector
from registry.files import Place, expanded, is_file, is_folder, part_of
from registry.model_folders import says_transformers
from registry.soundness import Check
from registry.stated_input import Stated

#: Scheme of `--arch` -> the module that knows its models.
FAMILIES: Mapping[str, str] = {
    "hf": "registry.families.transformers",
    "open_clip": "registry.families.open_clip",
}


@dataclass(frozen=True)
class Asked:
    """What a user says of a model. name: of the card; arch: without its scheme; weights: a file, a folder, a tag or
    nothing; labels: a label space, a mapping file or nothing; options: of the family alone; folder: for files that
    belong to the card; bare: its features alone are wanted, a head follows.
    """

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
    know; files: that were written for the card; tags: of the recipe.
    """

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
    weights, fetched.
    """

    hub: Place
    file: Callable[[ModelCard], Path]


class Family(Protocol):
    """A module of this room."""

    def describe(self, asked: Asked) -> Described:
        """What a card says of the model. Raises CardError, WeightsError, LabelError."""

    def network(
        self, card: ModelCard, sources: Sources, outputs: int, *, bare: bool
    ) -> tuple[nn.Module, str]:
        """The network of a card with so many outputs, or bare: with features; and the digest of what computes besides
        weights, where the architecture's name does not say it. Raises CardError, WeightsError.
        """


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
    it is, as one of timm does, and has its weights with it.
    """
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


def repository_folder(
    repository: str, hub: Place, files: Sequence[str], optional: Sequence[str]
) -> Path:
    """A folder with the `files` of ORG/NAME (or ORG/NAME@REVISION) and those of the `optional` ones that it has.

    hub: its mirror is asked for ORG/NAME/FILE first. Optional names may be patterns (*.safetensors) for the hub; a
    mirror at a URL is asked for plain names alone. Raises CardError for another form of name, WeightsError where the
    repository can be had nowhere.
    """
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

    folder = snapshot_download(
        name, revision=revision or None, cache_dir=hub.caches.hub, allow_patterns=list(patterns)
    )
    return Path(folder)


def _from_url(
    address: str, hub: Place, name: str, files: Sequence[str], optional: Sequence[str]
) -> Path | str:
    """The folder with what an address gave, or what failed."""
    folder = hub.weights_folder / name.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*files, *(one for one in optional if "*" not in one)]:
        if (folder / file).is_file():
            continue
        try:
            with part_of(folder / file) as part:
                download(f"{address}/{file}", part)
                part.replace(folder / file)
        except (OSError, ValueError) as error:
            if file in files:
                return f"{address}/{file}: {type(error).__name__}: {error}"
    return folder
