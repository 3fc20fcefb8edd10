"""Whether a model's weights are on this machine, without importing torch or timm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from registry.caches import Caches, Place
from registry.cards import ModelCard
from registry.errors import WeightsError
from registry.fetch import is_url
from registry.packages import package_file
from registry.places import is_file, is_folder
from registry.weight_files import install, is_file_reference, local_file


@dataclass(frozen=True)
class Availability:
    """Whether a model runs without a download, and what a person should know about it."""

    on_disk: bool
    note: str = ""


def _package_availability(card: ModelCard) -> Availability:
    package = (card.weights or "").removeprefix("package:").partition("/")[0]
    try:
        package_file(card.weights or "", install(card))
    except WeightsError:
        return Availability(False, f"not installed: {install(card)}")
    return Availability(True, f"in package {package}")


def _cached_availability(card: ModelCard, caches: Caches) -> Availability:
    """timm, torchvision and hub sources: a look into the caches that their libraries keep."""
    repository = card.options.get("repository") or card.arch.removeprefix("hf_hub:")
    if card.source == "torchvision":
        if caches.torch_file(str(card.options.get("file", ""))):
            return Availability(True, "in torch's cache")
    elif ("/" in repository and caches.hub_has(str(repository))) or (
        card.source == "timm" and caches.hub_has(f"timm/{card.arch.removeprefix('timm:')}")
    ):
        return Availability(True, "in the Hugging Face cache")
    return Availability(False, "downloads on use")


def availability(card: ModelCard, place: Place) -> Availability:
    """Whether the card's weights are on this machine, without importing torch or timm."""
    weights = card.weights or ""
    if card.source == "ideal":
        return Availability(True, "needs no weights")
    if (head := card.options.get("head")) and not is_file(Path(head)):
        return Availability(False, f"missing: {head}")
    if weights.startswith("random:"):
        return Availability(True, "random weights")
    if weights.startswith("package:"):
        return _package_availability(card)
    if card.source in ("timm", "torchvision", "hub") and not is_file_reference(weights):
        return _cached_availability(card, place.caches)
    if not weights:
        return Availability(True, "comes with its code")
    try:
        path = local_file(card, place.weights_folder)
    except WeightsError as error:
        return Availability(False, str(error))
    if is_file(path) or is_folder(path):
        return Availability(True, str(path.name))
    return Availability(False, "downloads on use" if is_url(weights) else f"missing: {path}")
