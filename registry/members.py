"""Registering members of families: image-text models, classifiers of transformers, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.admission import UNTRAINED, Shelf, admit
from registry.architectures import random_seed
from registry.caches import Place
from registry.cards import ModelCard, fitting
from registry.checks import Check
from registry.families.family import Asked, Described, Family
from registry.places import expanded
from registry.shelving import remove_unnamed
from registry.stated_input import Overrides, given_fields, settled


@dataclass(frozen=True)
class Member:
    """What a user says of a model of a family. weights: a file, a folder, a tag of the family's library, "random:SEED";
    labels: a label space or a mapping file; options: of the family alone; bare: a head follows.
    """

    name: str
    arch: str
    weights: str | None
    labels: str | None
    training: tuple[str, ...]
    options: Mapping[str, Any]
    overrides: Overrides
    bare: bool = False


def described(
    family: Family, member: Member, shelf: Shelf
) -> tuple[ModelCard, list[Check], Described]:
    """The card of a model of a family, written nowhere, and what a user should know of it. Raises CardError,
    WeightsError, LabelError.
    """
    name = member.arch.partition(":")[2]
    asked = Asked(
        member.name,
        name,
        member.weights,
        member.labels,
        shelf.cards,
        Place(shelf.weights, shelf.mirror, shelf.caches),
        member.options,
        member.bare,
    )
    known = family.describe(asked)
    how, rows = settled(known.arch, member.overrides, known.stated, None)
    tags = (UNTRAINED,) if random_seed(known.weights) is not None else ()
    with fitting():
        card = ModelCard(
            name=member.name,
            source=known.source,
            arch=known.arch,
            weights=known.weights,
            preprocess=how,
            labels=_whole(known.labels),
            training=tuple(dict.fromkeys([*tags, *known.tags, *member.training])),
            options=dict(known.options),
        )
    return card, [*known.rows, *rows], known


def register_member(family: Family, member: Member, shelf: Shelf) -> tuple[ModelCard, list[Check]]:
    """Register a model of a family; what was written for it is gone again where a check fails."""
    card, rows, known = described(family, member, shelf)
    stated = {**known.stated.fields, **given_fields(member.overrides)}
    try:
        return admit(card, rows, shelf, size_is_stated="fixed_size" in stated)
    except BaseException:
        remove_unnamed(known.files, shelf.cards)
        raise


def _whole(labels: str) -> str:
    """A mapping file by its whole path."""
    plain = Path(labels).suffix not in (".yaml", ".yml")
    return labels if plain else str(expanded(labels).resolve())
