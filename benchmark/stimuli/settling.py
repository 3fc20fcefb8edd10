"""Folders that appear in one move once they are whole, and are gone on with after an interruption."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import StimuliError
from benchmark.stimuli.digests import text_digest


class Note(NamedTuple):
    """The file of a finished folder that says what was to be made; written last."""

    name: str
    text: str


def is_made(target: Path, note: Note) -> bool:
    """Whether the folder is there, made from the very same note."""
    place = target / note.name
    return place.is_file() and place.read_text(encoding="utf-8") == note.text


def make_folder(
    target: Path, note: Note, fill: Callable[[Path], None], *, replace: bool = False
) -> None:
    """Make `target` unless it is there: `fill` puts everything into a hidden folder beside it, named by the note.

    fill: is called again on what it left when it was interrupted, and leaves what is there. replace: a folder that
    was made from another note gives way. Raises StimuliError where something else lies at `target`.
    """
    if is_made(target, note):
        return
    _check_free(target, note, replace)
    unfinished = _hidden(target, note.text)
    unfinished.mkdir(parents=True, exist_ok=True)
    fill(unfinished)
    if is_made(target, note):  # another process was first
        shutil.rmtree(unfinished, ignore_errors=True)
        return
    for rest in [path for path in unfinished.rglob(".*") if path.is_file()]:
        rest.unlink(missing_ok=True)  # files that a killed run was writing
    (unfinished / note.name).write_text(note.text, encoding="utf-8")
    _move(unfinished, target, note)


def _move(unfinished: Path, target: Path, note: Note) -> None:
    old = _hidden(target, f"old:{note.text}")
    with suppress(FileNotFoundError):
        target.replace(old)
    try:
        unfinished.replace(target)
    except OSError:
        if not is_made(target, note):
            raise
    ours = re.compile(rf"\.{re.escape(target.name)}-[0-9a-f]{{16}}")
    for rest in target.parent.iterdir():
        if ours.fullmatch(rest.name):
            shutil.rmtree(rest, ignore_errors=True)


def _check_free(target: Path, note: Note, replace: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / note.name).is_file():
        raise StimuliError(
            f"{target}: is there and was not made by this command. Choose another name or folder."
        )
    if not replace:
        raise StimuliError(
            f"{target}: is there, made with other settings or from other images. "
            "Choose another name, or delete that folder."
        )


def _hidden(target: Path, text: str) -> Path:
    return target.with_name(f".{target.name}-{text_digest(text)[:16]}")
