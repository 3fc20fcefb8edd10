"""Registering a model of one's own: load once, check, freeze digest and preprocessing into a card,
write it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args

from pydantic import ValidationError

from registry.architectures import random_seed, require_known, split_arch
from registry.caches import NO_CACHES, Caches
from registry.cards import (
    Interpolation,
    ModelCard,
    Preprocess,
    Source,
    read_cards,
    write_card,
)
from registry.checks import Check, check, takes_only_its_size
from registry.errors import CardError, WeightsError
from registry.load import load_model, stated_weights
from registry.normalisation import Normalisation, agrees, as_text
from registry.weight_sets import Chosen

_GUESSABLE = ("timm", "torchvision")
#: Recipe tag of random weights: boards hold such a network against the trained ones and do not rank it.
UNTRAINED = "untrained"
_NEEDED = ("size", "mean", "std")


class Overrides(TypedDict, total=False):
    """Preprocessing that replaces what the architecture's own configuration says (fields of
    `Preprocess`).
    """

    size: int | None
    resize: int | None
    interpolation: Interpolation | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    channels: Literal["rgb", "bgr"] | None
    scale: float | None
    fixed_size: bool | None


@dataclass(frozen=True)
class _Request:
    name: str
    arch: str
    weights: Path | None
    labels: str
    training: tuple[str, ...]
    key: str | None = None


def _timm_defaults(name: str) -> dict[str, Any]:
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name)
    if found is None:
        return {}
    size = int(found.input_size[-1])
    known = found.interpolation in get_args(Interpolation)
    return {
        "size": size,
        "resize": math.floor(size / found.crop_pct),
        "interpolation": found.interpolation if known else "bicubic",
        "mean": tuple(found.mean),
        "std": tuple(found.std),
        "fixed_size": bool(found.fixed_input_size),
    }


def _torchvision_defaults(name: str) -> dict[str, Any]:
    from torchvision import models

    try:
        transform = models.get_model_weights(name)["DEFAULT"].transforms()
    except (ValueError, KeyError):
        return {}
    return {
        "size": transform.crop_size[0],
        "resize": transform.resize_size[0],
        "interpolation": transform.interpolation.value,
        "mean": tuple(transform.mean),
        "std": tuple(transform.std),
        "fixed_size": name.startswith(("vit_", "maxvit")),
    }


def default_preprocess(arch: str) -> dict[str, Any]:
    """Preprocessing fields that the architecture's own configuration states; {} where it states
    none.
    """
    if arch == "export":
        return {"fixed_size": True}
    kind, name = split_arch(arch)
    require_known(arch)
    if kind == "timm":
        return _timm_defaults(name)
    return _torchvision_defaults(name) if kind == "torchvision" else {}


def _given(overrides: Overrides) -> dict[str, Any]:
    given: dict[str, Any] = {key: value for key, value in overrides.items() if value is not None}
    if "size" in given and "resize" not in given:
        given["resize"] = round(int(str(given["size"])) * 256 / 224)
    return given


def _preprocess(arch: str, fields: dict[str, Any]) -> Preprocess:
    lacking = [field for field in _NEEDED if field not in fields]
    if lacking:
        raise CardError(
            f"arch '{arch}' does not say how its input is made. Give "
            f"{', '.join(f'--{field}' for field in lacking)} as it was trained with; a guess "
            "would change "
            "every score silently."
        )
    try:
        return Preprocess.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"])) or "preprocess"
        message = problem["msg"].removeprefix("Value error, ")
        raise CardError(f"preprocessing field '{field}': expected: {message}.") from error


def _from_checkpoint(
    request: _Request, fields: dict[str, Any], weights_folder: Path
) -> tuple[Chosen, Normalisation | None] | None:
    """The weights that are taken from the checkpoint, and the normalisation that it holds beside the network; None
    where there is no checkpoint.
    """
    if _source(request.arch, request.weights) != "file" or "size" not in fields:
        return None
    blank = {**fields, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return stated_weights(_draft(request, _preprocess(request.arch, blank)), weights_folder)


def _settled(
    request: _Request, overrides: Overrides, found: tuple[Chosen, Normalisation | None] | None
) -> tuple[Preprocess, list[Check]]:
    """How the input is made, and which weights and normalisation that takes: what was given, else what the
    checkpoint holds, else what the architecture's own configuration says.
    """
    given, known = _given(overrides), default_preprocess(request.arch)
    chosen, stated = found or (None, None)
    fields, source = {**known, **given}, "as the architecture's own configuration says"
    if {"mean", "std", "scale"} & set(given):
        source = "as given"
    elif stated is not None and not (
        "mean" in known and agrees(stated, _preprocess(request.arch, fields))
    ):
        fields |= {"mean": stated.mean, "std": stated.std, "scale": stated.scale}
        source = "as the checkpoint holds it"
    how = _preprocess(request.arch, fields)
    if stated is not None and agrees(stated, how):
        source += f"; the checkpoint's {stated.where} agree"
    rows = [] if chosen is None else [Check("weights", True, str(chosen))]
    return how, [*rows, Check("normalisation", True, f"{as_text(how)}, {source}")]


def _source(arch: str, weights: Path | None) -> Source:
    if arch == "export":
        return "export"
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
            options={} if request.key is None else {"key": request.key},
        )
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        raise CardError(
            f"field '{field}': expected: {problem['msg'].removeprefix('Value error, ')}, "
            f"found {str(problem['input'])!r:.60}."
        ) from error


def _refuse_failures(name: str, checks: list[Check]) -> None:
    failed = [f"{result.name}: {result.detail}" for result in checks if not result.ok]
    if failed:
        raise WeightsError(
            f"model '{name}' was not registered, because {len(failed)} of {len(checks)} checks "
            "failed. "
            f"{'; '.join(failed)}."
        )


def _must_be_tried(arch: str, overrides: Overrides) -> bool:
    """Whether nothing says if the network takes images of other sizes than its own."""
    return "fixed_size" not in {**default_preprocess(arch), **_given(overrides)}


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
    mirror: str | None = None,
    caches: Caches = NO_CACHES,
    **overrides: Unpack[Overrides],
) -> tuple[ModelCard, list[Check]]:
    """Register a network and return its card, as written to `cards_folder`, and the checks that it
    passed.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION" or "export" (weights: a .pt2
    program); weights: a checkpoint, or "random:SEED" for the architecture before training; labels: a
    label space or mapping file ("imagenet1k"); key: the weights to take where a file holds several;
    overrides: fields of `Preprocess`; None leaves the architecture's own.

    Raises CardError (name taken, preprocessing unknown), WeightsError
    (unreadable, misfit, failing checks), LabelError, UnknownName. Nothing is written unless every
    check holds.
    """
    if name in read_cards(cards_folder):
        raise CardError(f"a model called '{name}' is there already. Choose another name.")
    if random_seed(str(weights)) is not None:
        training = tuple(dict.fromkeys([UNTRAINED, *training]))
    request = _Request(name, arch, weights, str(labels or "imagenet1k"), tuple(training), key)
    fields = {**default_preprocess(arch), **_given(overrides)}
    found = _from_checkpoint(request, fields, weights_folder)
    if found and found[0].others and found[0].name:
        request = replace(request, key=found[0].name)  # the choice is frozen with the card
    how, rows = _settled(request, overrides, found)
    draft = _draft(request, how)
    model = load_model(draft, weights_folder=weights_folder, mirror=mirror, caches=caches)
    if _must_be_tried(arch, overrides) and takes_only_its_size(model):
        how = how.model_copy(update={"fixed_size": True})
        draft = draft.model_copy(update={"preprocess": how})
        model = replace(model, card=draft)
    checks = [*rows, *check(model)]
    _refuse_failures(name, checks)
    card = draft.model_copy(update={"sha256": model.digest})
    write_card(card, cards_folder)
    return card, checks
