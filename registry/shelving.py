"""A registered card's life: removed, renamed, retired. What was stored of its answers stays."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from registry.card_files import builtin_cards, read_cards, write_card
from registry.cards import ModelCard
from registry.documents import read_document
from registry.errors import CardError, unknown_name


def card_file(name: str, folder: Path) -> Path:
    """The file that holds a registered card alone. Raises UnknownName, and CardError for a built-in card or one of a
    file with several.
    """
    if name in builtin_cards():
        raise CardError(
            f"'{name}' is a built-in card: it cannot be changed. `rank --hide {name}` leaves it out."
        )
    shelf = read_cards(folder)
    if name not in shelf:
        own = [known for known in shelf if known not in builtin_cards()]
        raise unknown_name("registered model", name, own, "`bench models` lists all.")
    path = folder / f"{name}.yaml"
    if not path.is_file() or "cards" in read_document(path, "card file", CardError):
        raise CardError(
            f"the card '{name}' shares its file in {folder} with others: edit that file instead."
        )
    return path


def remove_card(name: str, folder: Path) -> None:
    """Delete a registered card; weights and stored answers stay. Raises as `card_file`."""
    card_file(name, folder).unlink()


def rename_card(name: str, new: str, folder: Path) -> ModelCard:
    """Give a registered card another name and return it; it remembers the old one. Raises as `card_file`, and
    CardError where the new name is taken or is none.
    """
    old, shelf = card_file(name, folder), read_cards(folder)
    if new in shelf:
        raise CardError(f"a model called '{new}' is there already. Choose another name.")
    card = _changed(shelf[name], name=new, formerly=(*shelf[name].formerly, name))
    write_card(card, folder)
    old.unlink()
    return card


def retire_card(name: str, folder: Path, *, retired: bool = True) -> ModelCard:
    """Take a registered card from boards and patterns, or back. Raises as `card_file`."""
    card_file(name, folder)
    card = _changed(read_cards(folder)[name], retired=retired)
    write_card(card, folder, replace=True)
    return card


def _changed(card: ModelCard, **fields: object) -> ModelCard:
    try:
        return ModelCard.model_validate({**card.model_dump(), **fields})
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].removeprefix("Value error, ")
        raise CardError(
            f"field '{problem['loc'][0]}': expected: {message}, found {str(problem['input'])!r:.60}."
        ) from error
