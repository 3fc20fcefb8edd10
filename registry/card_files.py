"""Card files as plain data: what the cards of today state, before pydantic, slow to import, checks it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from registry.documents import read_document
from registry.user_errors import CardError, shown

BUILTIN_FOLDER = Path(__file__).parent / "cards_builtin"


def card_paths(folder: Path | None) -> list[Path]:
    """Return the card files of a folder, which may be missing, by name."""
    return sorted(folder.glob("*.y*ml")) if folder and folder.is_dir() else []


def card_entries(path: Path) -> list[dict[str, Any]]:
    """Return the fields of each card of a file, with its defaults; relative paths are relative to the card file."""
    data, where = read_document(path, "card file", CardError), f"card file {shown(path)}"
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


def stated_cards(user_folder: Path | None) -> dict[str, dict[str, Any]]:
    """Return name -> the fields of each built-in and registered card, unchecked; a file that is no YAML is left out."""
    entries: list[dict[str, Any]] = []
    for path in (*card_paths(BUILTIN_FOLDER), *card_paths(user_folder)):
        with suppress(CardError):
            entries += card_entries(path)
    return {str(fields.get("name")): fields for fields in entries}
