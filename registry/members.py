"""Registering members of families: image-text models, classifiers of transformers, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.admission import UNTRAINED, Shelf, admit
from registry.architectures import random_seed
from registry.cards import ModelCard, fitting, remove_unnamed
from registry.families.family import Asked, Described, Family
from registry.files import expanded
from registry.soundness import Check
from registry.stated_input import Overrides, given_fields, settled


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
    return Asked(
        name, arch.partition(":")[2], given, labels, shelf.cards, shelf.place, options, bare
    )


def described(
    family: Family, said: Asked, training: tuple[str, ...], overrides: Overrides
) -> tuple[ModelCard, list[Check], Described]:
    """The card of a model of a family, written nowhere, and what a user should know of it. Raises CardError,
    WeightsError, LabelError.
    """
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
