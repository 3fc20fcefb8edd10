"""From a card to something that answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from registry.caches import Place
from registry.cards import ModelCard
from registry.digests import digest_data, digest_file, digest_state
from registry.errors import CardError, WeightsError
from registry.ideal import IdealObserver
from registry.labels import LabelSpace, label_space
from registry.lean_imports import imported
from registry.spaces import with_nothing
from registry.weight_files import (
    is_file_reference,
    kept_if_good,
    torchvision_file,
    weights_path,
)

if TYPE_CHECKING:
    from torch import nn

    from registry.model import LoadedModel
    from registry.normalisation import Normalisation
    from registry.weight_sets import Chosen

_HUB = re.compile(r"hf[_-]hub:[\w.-]+/[\w.-]+(@[\w.-]+)?")


def _pretrained_timm(card: ModelCard, cache: Path | None) -> nn.Module:
    """timm's own download, through the Hugging Face cache; the head stays as it was trained."""
    from registry.architectures import require_known

    timm = imported("timm")
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
    from registry.checkpoints import fit_state
    from registry.normalisation import require_agreement, stated_in

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
    from registry.families.backbones import without_head

    assert card.preprocess is not None
    return without_head(module, card.preprocess.size)


def stated_weights(card: ModelCard, place: Place) -> tuple[Chosen, Normalisation | None]:
    """Which weights of the card's checkpoint are taken, and the normalisation that it holds beside the network.

    Raises WeightsError as `load_model`.
    """
    from registry.architectures import build
    from registry.normalisation import stated_in

    labels = labels_of(card)
    module = build(card.arch, _outputs(card, labels), card.options.get("kwargs"), drawn=False)
    chosen, origin = _weights(card, place, module)
    return chosen, stated_in(chosen.statistics, origin)


def _weights(card: ModelCard, place: Place, module: nn.Module) -> tuple[Chosen, str]:
    """The card's weights for the network, and where they came from."""
    from registry.architectures import renew_keys
    from registry.checkpoints import read_weights
    from registry.convert import CONVERTERS
    from registry.weight_sets import Chosen

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
    from registry.families.backbones import WithHead
    from registry.families.heads import read_head

    head = read_head(Path(file), len(labels.classes))
    module, code = _network(card, place, labels, bare=True)
    return WithHead(module, head.layer()).eval(), code


def _network(
    card: ModelCard, place: Place, labels: LabelSpace, *, bare: bool
) -> tuple[nn.Module, str]:
    """The network, without its classifier where it is to be bare, and the digest of its code, where its
    architecture's name does not say it.
    """
    from registry.architectures import build_untrained, random_seed, source_code
    from registry.exported import load_exported
    from registry.families.family import Sources, family_of

    if (family := family_of(card.arch)) is not None:
        sources = Sources(place, lambda asked: weights_path(asked, place))
        return family.network(card, sources, len(labels.classes), bare=bare)
    if (seed := random_seed(card.weights)) is not None:
        module = build_untrained(
            card.arch, _outputs(card, labels), seed, card.options.get("kwargs")
        )
        if bare:
            _take_off_head(module, card)
        return module.eval(), source_code(card.arch, module)
    if card.source == "export" or card.arch == "export":
        path = weights_path(card, place)
        side = card.preprocess.size if card.preprocess else 224
        return load_exported(path, side), digest_file(path)
    if card.source == "hub" or (
        card.source == "timm" and not is_file_reference(card.weights or "")
    ):
        module = _pretrained_timm(card, place.caches.hub)
        if bare:
            _take_off_head(module, card)
        return module.eval(), ""
    module = _with_state(card, place, labels, bare).eval()
    return module, source_code(card.arch, module)


def _verify(card: ModelCard, digest: str) -> None:
    if card.sha256 is not None and digest != card.sha256:
        raise WeightsError(
            f"weights of model '{card.name}': expected digest {card.sha256}, got {digest}, "
            f"from {card.weights or card.arch}. These are other weights than the card describes, "
            "so results would go under a wrong name. Restore the file, or register it under a new name or "
            "in this one's place (`bench register --replace`)."
        )


def load_model(
    card: ModelCard, place: Place, *, device: str = "cpu", bare: bool = False
) -> LoadedModel:
    """Load a network: evaluation mode, no parameter requires a gradient, weights verified against
    the card.

    bare: without its classifier; `module` then answers with features, and the digest is of the weights that are left.
    Raises WeightsError (unreadable, misfit, other digest, unreachable), CardError, UnknownName,
    LabelError.
    """
    from registry.model import LoadedModel
    from registry.normalisation import require_once

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
        if not bare:  # the card's digest is of the network with its classifier
            _verify(card, digest)
    module.requires_grad_(False)
    gradients = bare or not card.simulated
    return LoadedModel(card, module.to(device), digest, labels, code, gradients)


def load_observer(
    card: ModelCard, place: Place, *, device: str = "cpu"
) -> LoadedModel | IdealObserver:
    """Load whatever the card describes: an ideal observer or a network."""
    if card.source == "ideal":
        return IdealObserver(card)
    return load_model(card, place, device=device)
