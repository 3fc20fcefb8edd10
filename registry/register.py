"""Registering a model of one's own: load once, check, freeze digest and preprocessing into a card, write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from registry.architectures import random_seed, require_known, split_arch, whole_arch
from registry.cards import (
    ModelCard,
    Preprocess,
    Source,
    card_file,
    fitting,
    heads_of,
    read_cards,
    remove_unnamed,
    write_card,
)
from registry.checkpoints import Chosen, Normalisation, refuse_onnx
from registry.determinism_checks import Check, check, takes_only_its_size
from registry.errors import CardError, WeightsError
from registry.families.detectors import COCO, PREFIX, boxes_of, is_detector, stated_by_detector
from registry.families.family import Asked, Described, Family, family_of, of_folder, require_fitting
from registry.files import Caches, Place, absence, expanded, is_folder
from registry.labels import is_class_list, read_class_list, write_mapping
from registry.loading import load_model, stated_weights
from registry.preprocessing import (
    Overrides,
    Stated,
    given_fields,
    hub_input,
    preprocess_of,
    read_folder,
    settled,
    stated_input,
)

# The last step of every registration: load what a card describes, check it, write the card with its digest.


#: Recipe tag of random weights: boards hold such a network against the trained ones and do not rank it.
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Shelf:
    """Where cards go and weights come from. replaces: whether a registered card of the same name gives way; known: the
    cards of the folder, where they were read already."""

    cards: Path
    place: Place
    replaces: bool = False
    known: Mapping[str, ModelCard] | None = None

    @property
    def there(self) -> Mapping[str, ModelCard]:
        """The cards of the folder."""
        return read_cards(self.cards) if self.known is None else self.known


def require_free(name: str, shelf: Shelf) -> None:
    """Raise CardError where a card of that name is there and may not give way."""
    there = shelf.there
    if name not in there:
        return
    if not shelf.replaces:
        raise CardError(f"a model called '{name}' is there already. Choose another name, or --replace it.")
    card_file(name, shelf.cards, there)


def admit(
    draft: ModelCard, rows: Iterable[Check], shelf: Shelf, *, size_is_stated: bool
) -> tuple[ModelCard, list[Check]]:
    """The card as it was written, and `rows` with the checks that the network passed.

    size_is_stated: whether something says if the network takes other sizes than its own; else it is tried. Raises
    WeightsError where a check fails, and as `load_model`; nothing is written then."""
    model = load_model(draft, shelf.place)
    if not size_is_stated and takes_only_its_size(model):
        how = model.preprocess.model_copy(update={"fixed_size": True})
        draft = draft.model_copy(update={"preprocess": how})
        model = replace(model, card=draft)
    checks = [*rows, *check(model)]
    failed = [f"{result.name}: {result.detail}" for result in checks if not result.ok]
    if failed:
        raise WeightsError(
            f"model '{draft.name}' was not registered, because {len(failed)} of {len(checks)} checks failed. "
            f"{'; '.join(failed)}."
        )
    card = draft.model_copy(update={"sha256": model.digest})
    former = shelf.there.get(card.name) if shelf.replaces else None
    write_card(card, shelf.cards, replace=shelf.replaces)
    if former is not None:
        remove_unnamed(heads_of(former), shelf.cards)
    return card, checks


# Where a network lies that is to be registered: folders of timm, names of its hub, detectors, files.


@dataclass(frozen=True)
class Located:
    """Architecture, weights file and arguments of the architecture."""

    arch: str
    weights: Path | None
    kwargs: Mapping[str, Any]


def locate(arch: str, weights: Path | None, caches: Caches) -> tuple[Located, Stated]:
    """Where a network lies, and what is stated of its input: folders of timm and names of its hub are opened."""
    for path in (weights, Path(arch)):
        if path is not None:
            refuse_onnx(Path(path))
    if is_detector(arch):
        plain = whole_arch(arch.removeprefix(PREFIX))
        require_known(plain)
        return Located(plain, weights, {}), stated_by_detector(plain)
    arch = whole_arch(arch)
    kind, _, name = arch.partition(":")
    if kind == "timm" and name.startswith("local-dir:"):
        arch, weights = "", Path(name.removeprefix("local-dir:"))
    if kind == "timm" and name.startswith(("hf_hub:", "hf-hub:")) and weights is None:
        repository = name[len("hf_hub:") :]
        return Located(f"hf_hub:{repository}", None, {}), hub_input(repository, caches.hub)
    if weights is None or not is_folder(expanded(weights)):
        if not arch:
            raise CardError(
                "--arch is needed: timm:NAME, torchvision:NAME, python:MODULE:FUNCTION or export. Only a folder with "
                "timm's config.json says it by itself."
            )
        return Located(arch, weights, {}), stated_input(arch)
    folder = read_folder(expanded(weights))
    if arch not in ("", folder.arch):
        raise CardError(f"{weights} holds a {folder.arch}, not a {arch}. Leave --arch out.")
    require_known(folder.arch)
    where = f"{weights / 'config.json'}"
    return Located(folder.arch, folder.weights, folder.kwargs), Stated(folder.fields, where)


# Registering members of families: image-text models, classifiers of transformers, detectors.


def asked(
    name: str,
    arch: str,
    weights: Path | None,
    labels: str | None,
    options: Mapping[str, Any],
    shelf: Shelf,
    *,
    bare: bool = False,
) -> Asked:
    """What a user says of a model of a family. bare: a head follows."""
    given = None if weights is None else str(weights)
    return Asked(name, arch.partition(":")[2], given, labels, shelf.cards, shelf.place, options, bare)


def described(
    family: Family, said: Asked, training: tuple[str, ...], overrides: Overrides
) -> tuple[ModelCard, list[Check], Described]:
    """The card of a model of a family, written nowhere, and what a user should know of it. Raises CardError,
    WeightsError, LabelError."""
    known = family.describe(said)
    how, rows = settled(known.arch, overrides, known.stated, None)
    tags = (UNTRAINED,) if random_seed(known.weights) is not None else ()
    with fitting():
        card = ModelCard(
            name=said.name,
            source=known.source,
            arch=known.arch,
            weights=known.weights,
            preprocess=how,
            labels=_whole(known.labels),
            training=tuple(dict.fromkeys([*tags, *known.tags, *training])),
            options=dict(known.options),
        )
    return card, [*known.rows, *rows], known


def register_member(
    family: Family, said: Asked, training: tuple[str, ...], overrides: Overrides, shelf: Shelf
) -> tuple[ModelCard, list[Check]]:
    """Register a model of a family; what was written for it is gone again where a check fails."""
    card, rows, known = described(family, said, training, overrides)
    stated = {**known.stated.fields, **given_fields(overrides)}
    try:
        return admit(card, rows, shelf, size_is_stated="fixed_size" in stated)
    except BaseException:
        remove_unnamed(known.files, shelf.cards)
        raise


def _whole(labels: str) -> str:
    """A mapping file by its whole path."""
    plain = Path(labels).suffix not in (".yaml", ".yml")
    return labels if plain else str(expanded(labels).resolve())


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
    where there is no checkpoint."""
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
            raise WeightsError(f"checkpoint {request.weights} {absence(expanded(request.weights))}. Check the path.")
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
    name: str, arch: str, weights: Path | None, *, shelf: Shelf, key: str | None = None, **overrides: Unpack[Overrides]
) -> tuple[ModelCard, list[Check]]:
    """The card of a network that is to get a head of its own, not written anywhere, and what it is fed. Its labels
    decide nothing: its own classifier is taken off. Raises as `register`."""
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
    """Register a network and return its card, as written to `cards_folder`, and the checks that it passed.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION", "export" (weights: a .pt2
    program) or a member of a family (see `registry.families`); weights: a checkpoint, or "random:SEED" for the
    architecture before training; labels: a label space or mapping file ("imagenet1k"); key: the weights to take where a
    file holds several; replaces: take the place of a registered card of that name; there: the folder's cards, from who
    registers many; options: of a family alone; overrides: fields of `Preprocess`; None leaves the architecture's own.

    Raises CardError (name taken, preprocessing unknown), WeightsError (unreadable, misfit, failing checks), LabelError,
    UnknownName. Nothing is written unless every check holds."""
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


def _answers(arch: str, space: str | None, options: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What the outputs stand for where nothing says it, and how a detector's boxes become an answer."""
    if not is_detector(arch):
        return space or "imagenet1k", None
    space = space or COCO
    return space, boxes_of(arch, space, options.get("threshold")).option()


def _label_space(labels: str | Path | None, model: str, cards_folder: Path) -> tuple[str | None, list[Check]]:
    """The label space or mapping file that was given, and what was made of a list of classes."""
    if labels is None or not is_class_list(str(labels)):
        return None if labels is None else str(labels), []
    listed = read_class_list(str(labels), model)
    return str(write_mapping(listed, cards_folder / "labels")), [Check("labels", True, str(listed))]
