"""What one forward pass costs, counted from a model's architecture: without weights, images or a clock."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry.cards import ModelCard
from registry.download import fetch, first_use, local_path, package_file
from registry.errors import CardError, WeightsError, unknown_name
from registry.files import (
    Caches,
    Place,
    digest_data,
    digest_file,
    digest_state,
    expanded,
    file_name,
    is_file,
    is_folder,
    is_url,
)
from registry.labels import LabelSpace, label_space, with_nothing
from registry.simulated import IdealObserver

if TYPE_CHECKING:
    from torch import nn

    from registry.checkpoints import Chosen, Normalisation
    from registry.model import LoadedModel


# Where a card's weights file lies, and bringing it there.


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
        return fetch(str(card.address), place.weights_folder, card.file_sha256, place.mirror)
    path = local_file(card, place.weights_folder)
    if card.file_sha256 and is_file(path) and digest_file(path) != card.file_sha256:
        raise WeightsError(
            f"file digest of {path}: expected {card.file_sha256} (card '{card.name}'), "
            f"got {digest_file(path)}. It is not the file that the card describes."
        )
    return path


def torchvision_file(card: ModelCard, place: Place) -> Path:
    """A torchvision network's published weights, from torch's cache or a download."""
    from torchvision import models

    from registry.architectures import split_arch

    kinds = models.get_model_weights(split_arch(card.arch)[1])
    names = [entry.name for entry in kinds]
    wanted = card.weights or "DEFAULT"
    if wanted not in (*names, "DEFAULT"):
        raise unknown_name("torchvision weights", wanted, names)
    url = kinds[wanted].url
    return place.caches.torch_file(file_name(url)) or fetch(url, place.weights_folder, None, place.mirror)


def kept_if_good(card: ModelCard, weights_folder: Path) -> AbstractContextManager[None]:
    """What a card has downloaded is kept only if it turns out to be the card's network."""
    if not is_url(card.weights):
        return nullcontext()
    return first_use(str(card.weights), weights_folder, card.file_sha256)


# From a card to something that answers.


_HUB = re.compile(r"hf[_-]hub:[\w.-]+/[\w.-]+(@[\w.-]+)?")


def _pretrained_timm(card: ModelCard, cache: Path | None) -> nn.Module:
    """timm's own download, through the Hugging Face cache; the head stays as it was trained."""
    import timm

    from registry.architectures import require_known

    name = card.arch.removeprefix("timm:")
    # timm would also take folders and other sites' names, whose files nobody has looked at.
    if card.source == "timm":
        require_known(card.arch)
    elif not _HUB.fullmatch(name):
        raise CardError(f"arch '{name}' of model '{card.name}': expected hf_hub:ORG/NAME.")
    kwargs = card.options.get("kwargs", {})
    try:
        module: nn.Module = timm.create_model(name, pretrained=True, cache_dir=cache, **kwargs)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise WeightsError(
            f"model '{card.name}': timm could not build '{name}' with its weights: {reason}. "
            "Offline? Fetch it once with a network, or set HF_ENDPOINT to a mirror."
        ) from error
    return module


def _with_state(card: ModelCard, place: Place, labels: LabelSpace, bare: bool) -> nn.Module:
    """Build the architecture, without its classifier where it is to be bare, and fill it from the card's weights."""
    from registry.architectures import build
    from registry.checkpoints import fit_state, require_agreement, stated_in

    module = build(card.arch, _outputs(card, labels), card.options.get("kwargs"), drawn=False)
    gone = _take_off_head(module, card) if bare else frozenset()
    if card.weights is None and card.source == "python":
        return module
    chosen, origin = _weights(card, place, module)
    require_agreement(stated_in(chosen.statistics, origin), card, origin)
    kept = {name: tensor for name, tensor in chosen.state.items() if name not in gone}
    fit_state(module, kept, origin)
    return module


def labels_of(card: ModelCard) -> LabelSpace:
    """What a card's outputs stand for; of detectors, with an output for nothing. Raises as `label_space`."""
    space = label_space(card.labels)
    return with_nothing(space) if "boxes" in card.options else space


def _outputs(card: ModelCard, labels: LabelSpace) -> int:
    """How many outputs the architecture is built with."""
    boxes = card.options.get("boxes")
    return len(labels.classes) if boxes is None else int(boxes.get("outputs", 0))


def _take_off_head(module: nn.Module, card: ModelCard) -> frozenset[str]:
    from registry.families.probe import without_head

    assert card.preprocess is not None
    return without_head(module, card.preprocess.size)


def stated_weights(card: ModelCard, place: Place) -> tuple[Chosen, Normalisation | None]:
    """Which weights of the card's checkpoint are taken, and the normalisation that it holds beside the network.

    Raises WeightsError as `load_model`."""
    from registry.architectures import build
    from registry.checkpoints import stated_in

    labels = labels_of(card)
    module = build(card.arch, _outputs(card, labels), card.options.get("kwargs"), drawn=False)
    chosen, origin = _weights(card, place, module)
    return chosen, stated_in(chosen.statistics, origin)


def _weights(card: ModelCard, place: Place, module: nn.Module) -> tuple[Chosen, str]:
    """The card's weights for the network, and where they came from."""
    from registry.architectures import renew_keys
    from registry.checkpoints import Chosen, read_weights
    from registry.convert import CONVERTERS

    if card.source == "torchvision" and not is_file_reference(card.weights or ""):
        path = torchvision_file(card, place)
        return read_weights(path, module.state_dict(), renew=renew_keys), str(path)
    path = weights_path(card, place)
    if converter := CONVERTERS.get(str(card.options.get("convert"))):
        return Chosen("", converter(path, module)), str(path)
    renew = renew_keys if card.arch.startswith("torchvision:") else dict
    return read_weights(path, module.state_dict(), card.options.get("key"), renew), str(path)


def _module(card: ModelCard, place: Place, labels: LabelSpace) -> tuple[nn.Module, str]:
    """The network, with the card's own head where it has one, and the digest of its code."""
    if "boxes" in card.options:
        from registry.families.detectors import BoxAnswers, Boxes

        boxes = Boxes.of(card.options["boxes"])
        module, code = _network(card, place, labels, bare=False)
        return BoxAnswers(module, boxes).eval(), digest_data([code, boxes.option()])
    file = card.options.get("head")
    if not file:
        return _network(card, place, labels, bare=False)
    from registry.families.probe import WithHead, read_head

    head = read_head(Path(file), len(labels.classes))
    module, code = _network(card, place, labels, bare=True)
    return WithHead(module, head.layer()).eval(), code


def _network(card: ModelCard, place: Place, labels: LabelSpace, *, bare: bool) -> tuple[nn.Module, str]:
    """The network, without its classifier where it is to be bare, and the digest of its code, where its architecture's
    name does not say it."""
    from registry.architectures import build_untrained, random_seed, source_code
    from registry.exported import load_exported
    from registry.families.family import Sources, family_of

    if (family := family_of(card.arch)) is not None:
        sources = Sources(place, lambda asked: weights_path(asked, place))
        return family.network(card, sources, len(labels.classes), bare=bare)
    if (seed := random_seed(card.weights)) is not None:
        module = build_untrained(card.arch, _outputs(card, labels), seed, card.options.get("kwargs"))
        if bare:
            _take_off_head(module, card)
        return module.eval(), source_code(card.arch, module)
    if card.source == "export" or card.arch == "export":
        path = weights_path(card, place)
        side = card.preprocess.size if card.preprocess else 224
        return load_exported(path, side), digest_file(path)
    if card.source == "hub" or (card.source == "timm" and not is_file_reference(card.weights or "")):
        module = _pretrained_timm(card, place.caches.hub)
        if bare:
            _take_off_head(module, card)
        return module.eval(), ""
    module = _with_state(card, place, labels, bare).eval()
    return module, source_code(card.arch, module)


def load_model(card: ModelCard, place: Place, *, device: str = "cpu", bare: bool = False) -> LoadedModel:
    """Load a network: evaluation mode, no parameter requires a gradient, weights verified against the card.

    bare: without its classifier; `module` then answers with features, and the digest is of the weights that are left.
    Raises WeightsError (unreadable, misfit, other digest, unreachable), CardError, UnknownName, LabelError."""
    from registry.checkpoints import require_once
    from registry.model import LoadedModel

    if card.source == "ideal":
        lacks = "features" if bare else "weights"
        raise CardError(f"'{card.name}' is an ideal observer, not a network: it has no {lacks}.")
    labels = labels_of(card)
    with kept_if_good(card, place.weights_folder):
        if bare:
            module, code = _network(card, place, labels, bare=True)
        else:
            module, code = _module(card, place, labels)
            require_once(module.state_dict(), card)
        digest = digest_state(module.state_dict())
        # The card's digest is of the network with its classifier.
        if not bare and card.sha256 is not None and digest != card.sha256:
            raise WeightsError(
                f"weights of model '{card.name}': expected digest {card.sha256}, got {digest}, "
                f"from {card.weights or card.arch}. These are other weights than the card describes, "
                "so results would go under a wrong name. Restore the file, or register it under a new name or "
                "in this one's place (`bench register --replace`)."
            )
    module.requires_grad_(False)
    gradients = bare or not card.simulated
    return LoadedModel(card, module.to(device), digest, labels, code, gradients)


def load_observer(card: ModelCard, place: Place, *, device: str = "cpu") -> LoadedModel | IdealObserver:
    """Load whatever the card describes: an ideal observer or a network."""
    if card.source == "ideal":
        return IdealObserver(card)
    return load_model(card, place, device=device)


# Whether a model's weights are on this machine, without importing torch or timm.


@dataclass(frozen=True)
class Availability:
    """Whether a model runs without a download, and what a person should know about it."""

    on_disk: bool
    note: str = ""


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
        package = (card.weights or "").removeprefix("package:").partition("/")[0]
        try:
            package_file(card.weights or "", install(card))
        except WeightsError:
            return Availability(False, f"not installed: {install(card)}")
        return Availability(True, f"in package {package}")
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


#: Of a network that is not built here: about a ResNet-50 at 224 pixels, by the area of the input.
_TYPICAL, _SIDE = 8_000_000_000, 224
_OWN = "python:registry."
#: Architectures that this program and the libraries that it depends on define: alike on every machine.
_COUNTED = ("timm:", "torchvision:", _OWN)


def forward_flops(card: ModelCard) -> int:
    """Floating point operations of one image's forward pass; 0 of an ideal observer, which sees none.

    One that somebody else's code builds, or that cannot be counted, stands by the area of its input alone."""
    if card.source == "ideal" or card.preprocess is None:
        return 0
    size = card.preprocess.size
    kwargs = card.options.get("kwargs")
    counted = _counted(card.arch, size, kwargs) if card.arch.startswith(_COUNTED) else 0
    return counted or _TYPICAL * size * size // (_SIDE * _SIDE)


def _counted(arch: str, size: int, kwargs: dict[str, object] | None) -> int:
    """0 where the network cannot be built or run without data."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from registry.architectures import build

    # Our own are small, and some of their operations look at values, which "meta" tensors lack.
    device, classes = ("cpu", 16) if arch.startswith(_OWN) else ("meta", 1000)
    try:
        with torch.device(device):
            module = build(arch, classes, kwargs).eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(torch.zeros(1, 3, size, size))
    except Exception:  # noqa: BLE001 - of whatever a network does at its first pass
        return 0
    return int(counter.get_total_flops())
