"""What a user's path names. A name that no file system takes is an answer like any other, never an exception."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~user` replaced by their folders; as it stands where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises RuntimeError there


def is_file(path: Path) -> bool:
    """Whether a regular file is there; a name that no file system takes is just not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; a name that no file system takes is just not there."""
    try:
        return path.is_dir()
    except OSError:
        return False


def absence(path: Path) -> str:
    """What is wrong with a path that is no regular file: a pipe, a device or a folder, or nothing is there."""
    return "is no regular file" if os.path.exists(path) else "is not there"  # noqa: PTH110 - never raises OSError
