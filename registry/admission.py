"""The last step of every registration: load what a card describes, check it, write the card with its digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from registry.cards import ModelCard, card_file, heads_of, read_cards, remove_unnamed, write_card
from registry.errors import CardError, WeightsError
from registry.files import Place
from registry.loading import load_model
from registry.soundness import Check, check, takes_only_its_size

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
        raise CardError(
            f"a model called '{name}' is there already. Choose another name, or --replace it."
        )
    card_file(name, shelf.cards, there)


def admit(
    draft: ModelCard, rows: Iterable[Check], shelf: Shelf, *, size_is_stated: bool
) -> tuple[ModelCard, list[Check]]:
    """The card as it was written, and `rows` with the checks that the network passed.

    size_is_stated: whether something says if the network takes other sizes than its own; else it is tried. Raises
    WeightsError where a check fails, and as `load_model`; nothing is written then.
    """
    model = load_model(draft, shelf.place)
    if not size_is_stated and takes_only_its_size(model):
        how = model.preprocess.model_copy(update={"fixed_size": True})
        draft = draft.model_copy(update={"preprocess": how})
        model = replace(model, card=draft)
    checks = [*rows, *check(model)]
    _refuse_failures(draft.name, checks)
    card = draft.model_copy(update={"sha256": model.digest})
    former = shelf.there.get(card.name) if shelf.replaces else None
    write_card(card, shelf.cards, replace=shelf.replaces)
    if former is not None:
        remove_unnamed(heads_of(former), shelf.cards)
    return card, checks


def _refuse_failures(name: str, checks: list[Check]) -> None:
    failed = [f"{result.name}: {result.detail}" for result in checks if not result.ok]
    if failed:
        raise WeightsError(
            f"model '{name}' was not registered, because {len(failed)} of {len(checks)} checks "
            "failed. "
            f"{'; '.join(failed)}."
        )
