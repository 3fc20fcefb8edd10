"""Card files that may be about some models, found without reading them as cards: a leaderboard of 1,000 models asks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

BUILTIN_FOLDER = Path(__file__).parent / "cards_builtin"
_WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+-]*")
#: A card with one of these is about what is on a board whatever its name; an escape may be a letter of either.
_OF_ALL = re.compile(rb"retired|formerly|\\")


def card_files(user_folder: Path | None) -> Iterator[Path]:
    """The built-in card files and those of `user_folder` (a missing folder holds none), each in order."""
    yield from sorted(BUILTIN_FOLDER.glob("*.yaml"))
    if user_folder and user_folder.is_dir():
        yield from sorted(user_folder.glob("*.y*ml"))


def files_about(names: Collection[str], user_folder: Path | None) -> dict[Path, bytes]:
    """The card files that name one of the models, with their content; all files where a card says that a model was
    retired or renamed. A file that cannot be read has no cards.
    """
    wanted = {name.encode() for name in names}
    texts: dict[Path, bytes] = {}
    for path in card_files(user_folder):
        with suppress(OSError):
            texts[path] = path.read_bytes()
    if any(map(_OF_ALL.search, texts.values())):
        return texts
    return {
        path: text for path, text in texts.items() if not wanted.isdisjoint(_WORD.findall(text))
    }
