"""What a board asks of model cards, remembered by the content of their files: to read 1,000 cards takes a second, and
YAML and pydantic take longer to import than a ranked table to make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from registry.whole_files import write_whole

#: Files that are remembered; of more, those that were asked for last.
MOST_FILES = 20_000
#: The modules that decide what a card file says: nothing counts that others of them have read.
_READERS = ("card_files", "card_notes", "cards", "documents", "options", "validation")


class CardNote(NamedTuple):
    """What tells whether stored scores are of a card as it is now: fields of `cards.ModelCard`, as plain data."""

    name: str
    retired: bool
    formerly: Sequence[str]
    sha256: str | None
    arch: str
    preprocess: Mapping[str, Any] | None


Notes = list[CardNote]


def card_notes(files: Mapping[Path, bytes], memory: Path) -> dict[str, CardNote]:
    """Notes on the cards that `card_files.read_card_files` reads from these files, by name.

    files: with their content; memory: the file of what was read before, a cache. It is written where that is possible.
    """
    reader, known = _reader(), _remembered(memory)
    notes: dict[str, CardNote] = {}
    taken, asked = set(), {}
    for path, content in files.items():
        key = hashlib.sha256(reader + content).hexdigest()
        asked[key] = known[key] if key in known else _read(path, content)
        for note in asked[key]:
            if note.name in taken:  # of two cards of one name neither can be chosen
                notes.pop(note.name, None)
            else:
                taken.add(note.name)
                notes[note.name] = note
    if not asked.keys() <= known.keys():
        both = known | asked
        _remember(memory, both if len(both) <= MOST_FILES else asked)
    return notes


def _read(path: Path, content: bytes) -> Notes:
    from registry.card_files import cards_of

    return [
        CardNote(*(plain[name] for name in CardNote._fields))
        for plain in (card.model_dump(mode="json") for card in cards_of(path, content))
    ]


def _reader() -> bytes:
    """The code that reads cards, as a digest."""
    state = hashlib.sha256()
    for name in _READERS:
        state.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return state.digest()


def _remembered(memory: Path) -> dict[str, Notes]:
    """Key -> notes; a file that is damaged or of another form counts as empty."""
    try:
        held = json.loads(memory.read_bytes())
        return {key: [_note(*one) for one in notes] for key, notes in held.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _note(*fields: Any) -> CardNote:
    """TypeError where these are no fields of a note."""
    note = CardNote(*fields)
    texts = (note.name, note.arch, note.sha256 or "", *note.formerly)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("no note on a card")
    return note


def _remember(memory: Path, held: Mapping[str, Notes]) -> None:
    with suppress(OSError):
        write_whole(memory, json.dumps(held))
