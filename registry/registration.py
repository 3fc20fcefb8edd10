"""Registering a model of one's own: load once, check, freeze digest and preprocessing into a card,
write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from registry.admission import UNTRAINED, Shelf, admit, require_free
from registry.architectures import random_seed, split_arch
from registry.cards import ModelCard, Preprocess, Source, fitting
from registry.checkpoints import Chosen, Normalisation
from registry.errors import CardError, WeightsError
from registry.families.detectors import (
    COCO,
    boxes_of,
    is_detector,
)
from registry.families.family import family_of, of_folder, require_fitting
from registry.files import Place, absence, expanded
from registry.labels import is_class_list, read_class_list, write_mapping
from registry.loading import stated_weights
from registry.locating import locate
from registry.members import asked, described, register_member
from registry.soundness import Check
from registry.stated_input import (
    Overrides,
    Stated,
    given_fields,
    preprocess_of,
    settled,
)


@dataclass(frozen=True)
class _Request:
    name: str
    arch: str
    weights: Path | None
    labels: str
    training: tuple[str, ...]
    key: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    boxes: Mapping[str, Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The card's options."""
        every = {"key": self.key, "kwargs": dict(self.kwargs) or None, "boxes": self.boxes}
        return {name: value for name, value in every.items() if value is not None}


def _from_checkpoint(
    request: _Request, known: Stated, overrides: Overrides, place: Place
) -> tuple[Chosen, Normalisation | None] | None:
    """The weights that are taken from the checkpoint, and the normalisation that it holds beside the network; None
    where there is no checkpoint.
    """
    fields = {**known.fields, **given_fields(overrides)}
    if _source(request.arch, request.weights) != "file" or "size" not in fields:
        return None
    blank = {**fields, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return stated_weights(_draft(request, preprocess_of(request.arch, blank)), place)


def _source(arch: str, weights: Path | None) -> Source:
    if arch == "export":
        return "export"
    if arch.startswith("hf_hub:"):
        return "hub"
    if weights is not None and random_seed(str(weights)) is None:
        return "file"
    kind = split_arch(arch)[0]
    return "timm" if kind == "timm" else "torchvision" if kind == "torchvision" else "python"


def _draft(request: _Request, preprocess: Preprocess) -> ModelCard:
    if request.arch == "export" and request.weights is None:
        raise CardError("arch 'export' needs --weights PROGRAM.pt2.")
    weights = None if request.weights is None else str(request.weights)
    if request.weights is not None and random_seed(weights) is None:
        if not expanded(request.weights).is_file():
            raise WeightsError(
                f"checkpoint {request.weights} {absence(expanded(request.weights))}. Check the path."
            )
        weights = str(expanded(request.weights).resolve())
    labels = request.labels
    if Path(labels).suffix in (".yaml", ".yml"):
        labels = str(expanded(labels).resolve())
    with fitting():
        return ModelCard(
            name=request.name,
            source=_source(request.arch, request.weights),
            arch=request.arch,
            weights=weights,
            preprocess=preprocess,
            labels=labels,
            training=request.training,
            options=request.options,
        )


def backbone_card(
    name: str,
    arch: str,
    weights: Path | None,
    *,
    shelf: Shelf,
    key: str | None = None,
    **overrides: Unpack[Overrides],
) -> tuple[ModelCard, list[Check]]:
    """The card of a network that is to get a head of its own, not written anywhere, and what it is fed. Its labels
    decide nothing: its own classifier is taken off. Raises as `register`.
    """
    require_fitting(arch, key, {})
    if (family := family_of(arch)) is not None:
        said = asked(name, arch, weights, None, {}, shelf, bare=True)
        card, told, _ = described(family, said, (), overrides)
        return card, told
    training = () if random_seed(str(weights)) is None else (UNTRAINED,)
    net, known = locate(arch, weights, shelf.place.caches)
    how, rows = settled(net.arch, overrides, known, None)
    request = _Request(name, net.arch, net.weights, "imagenet1k", training, key, net.kwargs)
    return _draft(request, how), rows


def register(
    name: str,
    arch: str,
    weights: Path | None = None,
    *,
    cards_folder: Path,
    place: Place,
    labels: str | Path | None = None,
    training: tuple[str, ...] = (),
    key: str | None = None,
    replaces: bool = False,
    there: Mapping[str, ModelCard] | None = None,
    options: Mapping[str, Any] | None = None,
    **overrides: Unpack[Overrides],
) -> tuple[ModelCard, list[Check]]:
    """Register a network and return its card, as written to `cards_folder`, and the checks that it
    passed.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION", "export"
    (weights: a .pt2 program) or a member of a family (see `registry.families`); weights: a checkpoint, or
    "random:SEED" for the architecture before training; labels: a label space or mapping file
    ("imagenet1k"); key: the weights to take where a file holds several; replaces: take the place of
    a registered card of that name; there: the folder's cards, from who registers many; options: of a family alone;
    overrides: fields of `Preprocess`; None leaves the architecture's own.

    Raises CardError (name taken, preprocessing unknown), WeightsError
    (unreadable, misfit, failing checks), LabelError, UnknownName. Nothing is written unless every
    check holds.
    """
    shelf = Shelf(cards_folder, place, replaces, there)
    require_free(name, shelf)
    arch, weights = of_folder(arch, weights)
    require_fitting(arch, key, options or {})
    if random_seed(str(weights)) is not None:
        training = tuple(dict.fromkeys([UNTRAINED, *training]))
    space, told = _label_space(labels, name, cards_folder)
    if (family := family_of(arch)) is not None:
        said = asked(name, arch, weights, space, options or {}, shelf)
        return register_member(family, said, training, overrides, shelf)
    space, boxes = _answers(arch, space, options or {})
    net, known = locate(arch, weights, place.caches)
    request = _Request(name, net.arch, net.weights, space, tuple(training), key, net.kwargs, boxes)
    found = _from_checkpoint(request, known, overrides, place)
    if found and found[0].others and found[0].name:
        request = replace(request, key=found[0].name)  # the choice is frozen with the card
    how, rows = settled(net.arch, overrides, known, found[1] if found else None)
    if found:
        rows.insert(0, Check("weights", True, str(found[0])))
    draft = _draft(request, how)
    stated = {**known.fields, **given_fields(overrides)}
    return admit(draft, [*rows, *told], shelf, size_is_stated="fixed_size" in stated)


def _answers(
    arch: str, space: str | None, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any] | None]:
    """What the outputs stand for where nothing says it, and how a detector's boxes become an answer."""
    if not is_detector(arch):
        return space or "imagenet1k", None
    space = space or COCO
    return space, boxes_of(arch, space, options.get("threshold")).option()


def _label_space(
    labels: str | Path | None, model: str, cards_folder: Path
) -> tuple[str | None, list[Check]]:
    """The label space or mapping file that was given, and what was made of a list of classes."""
    if labels is None or not is_class_list(str(labels)):
        return None if labels is None else str(labels), []
    listed = read_class_list(str(labels), model)
    return str(write_mapping(listed, cards_folder / "labels")), [Check("labels", True, str(listed))]
