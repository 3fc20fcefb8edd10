"""Card files that may be about some models, found without reading them as cards: a leaderboard of 1,000 models asks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from fnmatch import filter as matching
from os import listdir
from pathlib import Path

BUILTIN_FOLDER = Path(__file__).parent / "cards_builtin"
_WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+-]*")
#: A card with one of these is about what is on a board whatever its name; an escape may be a letter of either.
_OF_ALL = re.compile(rb"retired|formerly|\\")


def card_files(user_folder: Path | None) -> Iterator[Path]:
    """The built-in card files and those of `user_folder` (a missing folder holds none), each in order."""
    yield from _named(BUILTIN_FOLDER, "*.yaml")
    if user_folder and user_folder.is_dir():
        yield from _named(user_folder, "*.y*ml")


def _named(folder: Path, pattern: str) -> Iterator[Path]:
    """In the order of their names: paths are slow to match and to compare."""
    return (folder / name for name in sorted(matching(listdir(folder), pattern)))  # noqa: PTH208


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
