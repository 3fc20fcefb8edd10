"""Card files are read here as plain data, before pydantic, which is slow to import, checks them.

A file holds one card (a mapping with `name`), or several under `cards:`, which inherit the fields of `defaults:`."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from registry.documents import own_table, read_document
from registry.user_errors import CardError, shown

_BUILTIN = Path(__file__).parent / "cards_builtin"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
#: Name of a card -> its file and fields.
Entries = dict[str, tuple[Path, dict[str, Any]]]


def named_cards(user_folder: Path | None) -> tuple[Entries, dict[str, CardError]]:
    """Return the built-in cards and those in `user_folder`, which may be missing, by name and unchecked; and the errors
    of those that cannot be taken. A card without a valid name has its file's; two cards of one name are left out."""
    entries, broken, twice = dict(builtin_entries()), dict[str, CardError](), set[str]()
    for path in sorted(user_folder.glob("*.y*ml")) if user_folder and user_folder.is_dir() else ():
        try:
            cards = _cards_in(path, read_document(path, "card file", CardError))
        except CardError as error:
            broken.setdefault(shown(path.stem), error)
            continue
        for fields in cards:
            name = fields.get("name")
            name = name if isinstance(name, str) and NAME.fullmatch(name) else shown(path.stem)
            if name in entries:
                twice.add(name)
                other = entries[name][0]
                places = f"by {shown(path)} and by {'the built-in cards' if other.parent == _BUILTIN else shown(other)}"
                text = f"the model name '{name}' is taken twice: {places}. Rename or remove one of them."
                broken.setdefault(name, CardError(text))
            else:
                entries[name] = path, fields
    return {name: entry for name, entry in entries.items() if name not in twice}, broken


def stated_cards(user_folder: Path | None) -> dict[str, dict[str, Any]]:
    """Return name -> the fields of each built-in and registered card, unchecked."""
    return {name: fields for name, (_, fields) in named_cards(user_folder)[0].items()}


@cache
def builtin_entries() -> Entries:
    """Return the built-in cards by name, unchecked."""
    files = {path: own_table(f"{_BUILTIN.name}/{path.stem}") for path in sorted(_BUILTIN.glob("*.yaml"))}
    return {card["name"]: (path, card) for path, data in files.items() for card in _cards_in(path, data)}


def _cards_in(path: Path, data: Any) -> list[dict[str, Any]]:
    """Return the fields of each card of a file, with its defaults; relative paths are relative to the card file."""
    where = f"card file {shown(path)}"
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise CardError(f"{where}: expected fields (name, source, arch, ...), found {type(data).__name__}.")
    entries, defaults = data.get("cards", [data]), data.get("defaults", {})
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in (*entries, defaults)):
        raise CardError(f"{where}: expected 'cards': a list of cards, and 'defaults': a mapping of fields.")
    every = [{**defaults, **entry} for entry in entries]
    for fields in every:
        weights, labels = fields.get("weights"), fields.get("labels")
        with suppress(OSError, ValueError, RuntimeError):  # a NUL, a ring of links: the card's check says so
            if isinstance(weights, str) and Path(weights).suffix and ":" not in weights:
                fields["weights"] = str((path.parent / weights).resolve())
            if isinstance(labels, str) and labels.endswith((".yaml", ".yml")):
                fields["labels"] = str((path.parent / labels).resolve())
    return every
