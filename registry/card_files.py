"""Model cards as YAML files: the built-in ones and a user's.

A card file holds one card (a mapping with `name`) or several (`cards:` with optional `defaults:`,
which every card of the file inherits). Importing this module imports neither torch nor timm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from registry import card_mentions
from registry.card_mentions import card_files
from registry.cards import NAME, ModelCard
from registry.documents import parse_document, read_document, shown
from registry.errors import CardError, unknown_name
from registry.validation import problems
from registry.whole_files import write_whole


class CardShelf(dict[str, ModelCard]):
    """Cards by name. `broken`: name of a card that could not be read -> its error."""

    def __init__(
        self, cards: Mapping[str, ModelCard], broken: Mapping[str, CardError] | None = None
    ) -> None:
        super().__init__(cards)
        self.broken: dict[str, CardError] = dict(broken or {})


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a user's relative paths (weights, labels) relative to the card file."""
    changed = dict(data)
    weights, labels = data.get("weights"), data.get("labels")
    if isinstance(weights, str) and Path(weights).suffix and ":" not in weights:
        changed["weights"] = _resolved(folder, weights)
    if isinstance(labels, str) and labels.endswith((".yaml", ".yml")):
        changed["labels"] = _resolved(folder, labels)
    return changed


def _resolved(folder: Path, place: str) -> str:
    try:
        return str((folder / place).resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL, a ring of links: the card's check says so
        return place


def _entries(path: Path, content: bytes | None = None) -> list[dict[str, Any]]:
    """The fields of each card of a file, with the file's defaults. content: where it was read already. Raises
    CardError."""
    if content is None:
        data = read_document(path, "card file", CardError)
    else:
        data = parse_document(content, f"card file {shown(path)}", CardError)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise CardError(
            f"card file {shown(path)}: expected a mapping of fields (name, source, arch, ...), "
            f"found {type(data).__name__}."
        )
    entries, defaults = data.get("cards", [data]), data.get("defaults", {})
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CardError(f"card file {shown(path)}: field 'cards': expected a list of cards.")
    if not isinstance(defaults, dict):
        raise CardError(
            f"card file {shown(path)}: field 'defaults': expected a mapping of fields that every "
            f"card of the file inherits, found {type(defaults).__name__}."
        )
    return [_anchored({**defaults, **entry}, path.parent) for entry in entries]


def _called(path: Path, fields: Mapping[str, Any]) -> str:
    """What to call a card that may be unusable: its name where that is one, else its file's."""
    name = fields.get("name")
    return name if isinstance(name, str) and NAME.fullmatch(name) else shown(path.stem)


def _card(path: Path, fields: Mapping[str, Any]) -> ModelCard:
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        name, found = (
            _called(path, fields),
            "; ".join(problems(error, ModelCard.model_fields, "card")[:10]),
        )
        raise CardError(f"card '{name}' in {shown(path)} cannot be used. {found}.") from error


def read_card(path: Path) -> ModelCard:
    """Read a file that holds one card. Raises CardError: file, field, what was expected."""
    entries = _entries(Path(path))
    if len(entries) != 1:
        raise CardError(f"card file {shown(path)}: expected one card, found {len(entries)}.")
    return _card(Path(path), entries[0])


def cards_of(path: Path, content: bytes) -> list[ModelCard]:
    """The cards of a file with this content, but for those that cannot be read."""
    cards = []
    with suppress(CardError):
        for fields in _entries(path, content):
            with suppress(CardError):
                cards.append(_card(path, fields))
    return cards


def builtin_cards() -> dict[str, ModelCard]:
    """The cards that come with the package, by name, in the order of their files."""
    return dict(_builtin(tuple(card_files(None))))


@cache
def _builtin(paths: tuple[Path, ...]) -> Mapping[str, ModelCard]:
    """Every card of some of the package's own files, which are read once: a registration looks at them three times."""
    cards: dict[str, ModelCard] = {}
    for path in paths:
        for fields in _entries(path):
            card = _card(path, fields)
            if card.name in cards:
                raise CardError(f"card file {path}: two built-in cards are called '{card.name}'.")
            cards[card.name] = card
    return cards


def read_cards(user_folder: Path | None) -> CardShelf:
    """Built-in cards and those of `user_folder` (a missing folder holds none).

    A card or file that cannot be read stands in `broken` under its name and hides no other. Where two
    cards have one name, neither can be chosen: whichever were taken, results of the other would seem
    to be its own.
    """
    return read_card_files(card_files(user_folder))


def read_card_files(paths: Iterable[Path]) -> CardShelf:
    """As `read_cards`, of some of the files that `card_files` gives."""
    ours: list[Path] = []
    theirs: list[Path] = []
    for path in paths:
        (ours if path.parent == card_mentions.BUILTIN_FOLDER else theirs).append(path)
    shelf = CardShelf(_builtin(tuple(ours)))
    places = dict.fromkeys(shelf, "the built-in cards")
    for path in theirs:
        try:
            entries = _entries(path)
        except CardError as error:
            _leave_out(shelf, shown(path.stem), error)
            continue
        for fields in entries:
            _shelve(shelf, places, path, fields)
    return shelf


def _shelve(
    shelf: CardShelf, places: dict[str, str], path: Path, fields: Mapping[str, Any]
) -> None:
    """Put one card of a file on the shelf, or its error among the broken ones."""
    try:
        card = _card(path, fields)
    except CardError as error:
        name = _called(path, fields)
        _leave_out(shelf, shown(path.stem) if name in shelf else name, error)
        return
    if card.name in places:
        shelf.pop(card.name, None)
        _leave_out(
            shelf,
            card.name,
            CardError(
                f"the model name '{card.name}' is taken twice: by {shown(path)} and by "
                f"{places[card.name]}. Rename or remove one of them."
            ),
        )
    else:
        places[card.name], shelf[card.name] = shown(path), card


def _leave_out(shelf: CardShelf, name: str, error: CardError) -> None:
    key, count = name, 1
    while key in shelf.broken:
        count += 1
        key = f"{name} ({count})"
    shelf.broken[key] = error


def select_cards(pattern: str | Sequence[str], cards: Mapping[str, ModelCard]) -> list[ModelCard]:
    """Cards whose name matches: names, globs ("world-*") or comma lists of them; each once, in
    order given.

    Raises UnknownName for a pattern that matches nothing, and the card's own CardError where it is
    a broken one.
    """
    texts = [pattern] if isinstance(pattern, str) else pattern
    wanted = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    broken = cards.broken if isinstance(cards, CardShelf) else {}
    chosen: dict[str, ModelCard] = {}
    for part in wanted:
        names = (
            [part]
            if part in cards
            else [
                name for name, card in cards.items() if fnmatchcase(name, part) and not card.retired
            ]
        )
        if not names and part in broken:
            raise broken[part]
        if not names:
            raise unknown_name("model", part, cards, "'bench models' lists all of them.")
        chosen.update((name, cards[name]) for name in names)
    return list(chosen.values())


def write_card(card: ModelCard, folder: Path, *, replace: bool = False) -> Path:
    """Write a card as NAME.yaml (atomically) and return its path. Raises CardError if the file is
    there, unless it is to be replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.yaml"
    if path.exists() and not replace:
        raise CardError(f"{path} is already there. Choose another name or remove that card first.")
    data = card.model_dump(mode="json", exclude_defaults=True)
    write_whole(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path
