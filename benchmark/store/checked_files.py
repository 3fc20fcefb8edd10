"""Notes on leaderboards whose digests were compared: a file that has not changed since is not compared again.

As in a build, a file's state is its size, number and times: nobody can set the time of the last change of its entry."""

import time
from contextlib import suppress
from pathlib import Path

from benchmark.store.sql import digest_of
from registry.files import write_whole

SETTLED = 2.0  # seconds: a change within the clock's step of a file system would leave the same times
KEPT = 200  # notes


def file_note(path: Path | None, question: object) -> str:
    """Return what identifies a question to a file in its present state; "" for a server and a file just changed."""
    states: list[int] = []
    try:
        for part in () if path is None else (path, path.with_name(path.name + "-wal")):
            state = part.stat() if part is path or part.exists() else None
            if state and state.st_size:  # each reader makes an empty log
                if time.time() - max(state.st_mtime, state.st_ctime) < SETTLED:
                    return ""
                states += (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    except OSError:
        return ""
    return digest_of([str(path), str(question), *states]) if states else ""


def checked_notes(file: Path) -> list[str]:
    """Return all notes, the newest last."""
    with suppress(OSError, ValueError):
        return file.read_text("ascii").split()
    return []


def add_note(file: Path, note: str) -> None:
    """Add a note. Where nothing can be written, digests are compared each time."""
    with suppress(OSError):
        write_whole(file, "\n".join([*checked_notes(file), note][-KEPT:]))
