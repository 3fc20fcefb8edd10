"""A registered card's life: removed, renamed, retired. What was stored of its answers stays.

A head that was fitted or computed for a card lies beside the cards and goes with the last card that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from registry.card_files import builtin_cards, read_cards, write_card
from registry.cards import ModelCard, fitting
from registry.documents import read_document
from registry.errors import CardError, unknown_name


def card_file(name: str, folder: Path, known: Mapping[str, ModelCard] | None = None) -> Path:
    """The file that holds a registered card alone. known: the folder's cards, where they were read already. Raises
    UnknownName, and CardError for a built-in card or one of a file with several.
    """
    if name in builtin_cards():
        raise CardError(
            f"'{name}' is a built-in card: it cannot be changed. `rank --hide {name}` leaves it out."
        )
    shelf = read_cards(folder) if known is None else known
    if name not in shelf:
        own = [known for known in shelf if known not in builtin_cards()]
        raise unknown_name("registered model", name, own, "`bench models` lists all.")
    path = folder / f"{name}.yaml"
    if not path.is_file() or "cards" in read_document(path, "card file", CardError):
        raise CardError(
            f"the card '{name}' shares its file in {folder} with others: edit that file instead."
        )
    return path


def head_file(name: str, digest: str, folder: Path) -> Path:
    """Where the head of a card lies. Another head of that name does not take its place: a registration may fail."""
    return folder / "heads" / f"{name}-{digest[:12]}.safetensors"


def heads_of(card: ModelCard) -> tuple[Path, ...]:
    """The files of a card's heads, wherever they are."""
    named = (card.options.get(option) for option in ("head", "text_head"))
    return tuple(Path(str(file)) for file in named if file)


def remove_unnamed(files: Iterable[Path], folder: Path) -> tuple[Path, ...]:
    """Delete those files below `folder` that no card names, and return them."""
    files = tuple(files)
    cards = read_cards(folder).values() if files else ()
    named = {file for card in cards for file in (*heads_of(card), Path(card.labels))}
    gone = tuple(
        file
        for file in files
        if file not in named and file.is_relative_to(folder) and file.is_file()
    )
    for file in gone:
        file.unlink()
    return gone


def remove_card(name: str, folder: Path) -> tuple[Path, ...]:
    """Delete a registered card and return the files of its heads, which go with it where no other card names them;
    weights and stored answers stay. Raises as `card_file`.
    """
    file = card_file(name, folder)
    card = read_cards(folder)[name]
    file.unlink()
    return remove_unnamed(heads_of(card), folder)


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
    with fitting():
        return ModelCard.model_validate({**card.model_dump(), **fields})
