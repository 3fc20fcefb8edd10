"""SQLite files: how one is opened, and which it is."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmark.store.place import Place, frozen

TIMEOUT = 30.0  # seconds that a writer waits for another one


def open_file(path: Path | None, *, write: bool) -> sqlite3.Connection:
    """A connection to the file (None: to a data base in memory). sqlite3.Error where there is none."""
    target = "file::memory:"
    if path is not None:
        # mode=rw never creates. A reader too opens for writing where it may, so that the side files
        # of the log are tidied up; where nobody can write, "immutable" needs no side files at all.
        mode = "mode=rwc" if write else "immutable=1" if frozen(path) else "mode=rw"
        target = f"file:{quote(os.fsencode(path))}?{mode}"
    return sqlite3.connect(
        target,
        uri=True,
        timeout=TIMEOUT,
        isolation_level=None,  # the driver opens no transactions of its own: "BEGIN" does
        check_same_thread=False,  # a pool hands a connection to one thread at a time
    )


class _File(NamedTuple):
    """Which file a connection has open. device, inode: 0 where there is none."""

    path: str
    device: int
    inode: int


def file_at(path: str) -> _File:
    """The file that is at a path now."""
    try:
        state = os.stat(path)  # noqa: PTH116 - each transaction asks
    except OSError:
        return _File(path, 0, 0)
    return _File(path, state.st_dev, state.st_ino)


def slow(place: Place, why: str) -> str:
    """The warning about a file without a write-ahead log."""
    return (
        f"the leaderboard {place.shown} is used without a write-ahead log: {why}. Processes "
        "will wait for one another; put it on a local disk, or use PostgreSQL for several machines."
    )
