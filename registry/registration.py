"""Registering a model of one's own: load once, check, freeze digest and preprocessing into a card,
write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from pydantic import ValidationError

from registry.architectures import random_seed, require_known, split_arch
from registry.caches import NO_CACHES, Caches
from registry.cards import ModelCard, Preprocess, Source, read_cards, write_card
from registry.checks import Check, check, takes_only_its_size
from registry.class_lists import is_class_list, read_class_list, write_mapping
from registry.errors import CardError, WeightsError
from registry.load import load_model, stated_weights
from registry.model_folders import read_folder
from registry.normalisation import Normalisation
from registry.shelving import card_file
from registry.stated_input import (
    Overrides,
    Stated,
    given_fields,
    hub_input,
    preprocess_of,
    settled,
    stated_input,
)
from registry.validation import problems
from registry.weight_sets import Chosen

#: Recipe tag of random weights: boards hold such a network against the trained ones and do not rank it.
UNTRAINED = "untrained"


@dataclass(frozen=True)
class _Request:
    name: str
    arch: str
    weights: Path | None
    labels: str
    training: tuple[str, ...]
    key: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The card's options."""
        key = {} if self.key is None else {"key": self.key}
        return {**key, "kwargs": dict(self.kwargs)} if self.kwargs else key


@dataclass(frozen=True)
class _Place:
    """Architecture, weights file and arguments of the architecture."""

    arch: str
    weights: Path | None
    kwargs: Mapping[str, Any]


def _located(arch: str, weights: Path | None, caches: Caches) -> tuple[_Place, Stated]:
    """Where a network lies, and what is stated of its input: folders of timm and names of its hub are opened."""
    kind, _, name = arch.partition(":")
    if kind == "timm" and name.startswith("local-dir:"):
        arch, weights = "", Path(name.removeprefix("local-dir:"))
    if kind == "timm" and name.startswith(("hf_hub:", "hf-hub:")) and weights is None:
        repository = name[len("hf_hub:") :]
        return _Place(f"hf_hub:{repository}", None, {}), hub_input(repository, caches.hub)
    if weights is None or not weights.expanduser().is_dir():
        if not arch:
            raise CardError(
                "--arch is needed: timm:NAME, torchvision:NAME, python:MODULE:FUNCTION or export. Only a folder with "
                "timm's config.json says it by itself."
            )
        return _Place(arch, weights, {}), stated_input(arch)
    folder = read_folder(weights.expanduser())
    if arch not in ("", folder.arch):
        raise CardError(f"{weights} holds a {folder.arch}, not a {arch}. Leave --arch out.")
    require_known(folder.arch)
    where = f"{weights / 'config.json'}"
    return _Place(folder.arch, folder.weights, folder.kwargs), Stated(folder.fields, where)


def _from_checkpoint(
    request: _Request, known: Stated, overrides: Overrides, weights_folder: Path
) -> tuple[Chosen, Normalisation | None] | None:
    """The weights that are taken from the checkpoint, and the normalisation that it holds beside the network; None
    where there is no checkpoint.
    """
    fields = {**known.fields, **given_fields(overrides)}
    if _source(request.arch, request.weights) != "file" or "size" not in fields:
        return None
    blank = {**fields, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return stated_weights(_draft(request, preprocess_of(request.arch, blank)), weights_folder)


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
        if not request.weights.expanduser().is_file():
            raise WeightsError(f"checkpoint {request.weights} is not there. Check the path.")
        weights = str(request.weights.expanduser().resolve())
    labels = request.labels
    if Path(labels).suffix in (".yaml", ".yml"):
        labels = str(Path(labels).expanduser().resolve())
    try:
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
    except ValidationError as error:
        raise CardError(f"{problems(error, ModelCard.model_fields)[0]}.") from error


def _refuse_failures(name: str, checks: list[Check]) -> None:
    failed = [f"{result.name}: {result.detail}" for result in checks if not result.ok]
    if failed:
        raise WeightsError(
            f"model '{name}' was not registered, because {len(failed)} of {len(checks)} checks "
            "failed. "
            f"{'; '.join(failed)}."
        )


def register(
    name: str,
    arch: str,
    weights: Path | None = None,
    *,
    cards_folder: Path,
    weights_folder: Path,
    labels: str | Path | None = None,
    training: tuple[str, ...] = (),
    key: str | None = None,
    replaces: bool = False,
    mirror: str | None = None,
    caches: Caches = NO_CACHES,
    **overrides: Unpack[Overrides],
) -> tuple[ModelCard, list[Check]]:
    """Register a network and return its card, as written to `cards_folder`, and the checks that it
    passed.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION" or "export" (weights: a .pt2
    program); weights: a checkpoint, or "random:SEED" for the architecture before training; labels: a
    label space or mapping file ("imagenet1k"); key: the weights to take where a file holds several;
    replaces: take the place of a registered card of that name;
    overrides: fields of `Preprocess`; None leaves the architecture's own.

    Raises CardError (name taken, preprocessing unknown), WeightsError
    (unreadable, misfit, failing checks), LabelError, UnknownName. Nothing is written unless every
    check holds.
    """
    if name in read_cards(cards_folder):
        if not replaces:
            raise CardError(
                f"a model called '{name}' is there already. Choose another name, or --replace it."
            )
        card_file(name, cards_folder)
    if random_seed(str(weights)) is not None:
        training = tuple(dict.fromkeys([UNTRAINED, *training]))
    place, known = _located(arch, weights, caches)
    space = str(labels or "imagenet1k")
    listed = read_class_list(space, name) if is_class_list(space) else None
    if listed is not None:
        space = str(write_mapping(listed, cards_folder / "labels"))
    request = _Request(
        name,
        place.arch,
        place.weights,
        space,
        tuple(training),
        key,
        place.kwargs,
    )
    found = _from_checkpoint(request, known, overrides, weights_folder)
    if found and found[0].others and found[0].name:
        request = replace(request, key=found[0].name)  # the choice is frozen with the card
    how, rows = settled(place.arch, overrides, known, found[1] if found else None)
    if found:
        rows.insert(0, Check("weights", True, str(found[0])))
    if listed:
        rows.append(Check("labels", True, str(listed)))
    draft = _draft(request, how)
    model = load_model(draft, weights_folder=weights_folder, mirror=mirror, caches=caches)
    stated = {**known.fields, **given_fields(overrides)}
    if "fixed_size" not in stated and takes_only_its_size(model):
        how = how.model_copy(update={"fixed_size": True})
        draft = draft.model_copy(update={"preprocess": how})
        model = replace(model, card=draft)
    checks = [*rows, *check(model)]
    _refuse_failures(name, checks)
    card = draft.model_copy(update={"sha256": model.digest})
    write_card(card, cards_folder, replace=replaces)
    return card, checks
