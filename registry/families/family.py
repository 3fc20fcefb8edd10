"""What a family of models tells of one of its members, and what it needs to build it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from torch import nn

from registry.caches import Place
from registry.cards import ModelCard, Source
from registry.errors import CardError
from registry.families.detectors import is_detector
from registry.model_folders import says_transformers
from registry.places import expanded, is_file, is_folder
from registry.soundness import Check
from registry.stated_input import Stated

#: Scheme of `--arch` -> the module that knows its models.
FAMILIES: Mapping[str, str] = {
    "hf": "registry.families.hugging_face",
    "open_clip": "registry.families.image_text",
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
