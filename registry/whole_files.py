"""Files that appear whole or not at all, and are changed by one process at a time."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file beside `target` to write to; it takes the target's place when all went well. Raises OSError."""
    new = _beside(target)
    try:
        with new.open("xb") as file:
            yield file
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def write_whole(target: Path, content: str | bytes) -> None:
    """Put text (UTF-8) or bytes at `target` in one move; its folder is made. Raises OSError."""
    if not target.parent.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """A file beside `target` to write to, gone afterwards; so are those that dead processes left of this target."""
    for part in target.parent.glob(f".{_literal(target.name)}.*.part"):
        _remove_dead(part)
    with _part(target) as part:
        yield part


def _beside(target: Path) -> Path:
    """A new name for what is written for `target`."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """It is locked while it is in use: a part without a lock is a dead process's."""
    new = _beside(target)
    part = new.with_suffix(".part")
    number = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        lock(number)
        new.replace(part)  # nobody takes it for dead before it is locked
        yield part
    finally:
        os.close(number)
        for path in (new, part):
            path.unlink(missing_ok=True)


def _remove_dead(part: Path) -> None:
    with suppress(OSError), part.open("rb+") as handle:
        if lock(handle.fileno()):
            part.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


@contextmanager
def folder_in(place: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder in `place`, gone afterwards; so are those of this prefix that dead processes left there."""
    with locked(place):
        for old in place.glob(f"{_literal(prefix)}*"):
            if old.is_dir() and not _in_use(old):
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        number = os.open(folder, os.O_RDONLY)
        lock(number)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _in_use(folder: Path) -> bool:
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not lock(number)
    finally:
        os.close(number)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Only one process at a time is in the block for this folder; others wait. Where the system or the disk has no
    locks, nobody waits.
    """
    place.mkdir(parents=True, exist_ok=True)
    number = os.open(place, os.O_RDONLY)
    try:
        lock(number, wait=True)
        yield
    finally:
        os.close(number)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Whether the open file is now ours alone, until it is closed. Where there are no locks: no."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True
