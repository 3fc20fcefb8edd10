"""SHA-256 of files, remembered by path, size and time of change, and of whole sets."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmark.contracts import Array
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import write_atomically

#: A file changed this recently (ns) may change again within one tick of its clock: it is not
#: remembered.
SETTLED = 2_000_000_000
Known = dict[str, list[int | str]]


def set_digest(ids: Sequence[str], items: Sequence[str], labels: Mapping[str, Array]) -> str:
    """SHA-256 over order, names, contents and labels: any change of any of them gives another
    digest."""
    table = {
        "ids": list(ids),
        "items": list(items),
        "labels": {name: [str(value) for value in labels[name]] for name in sorted(labels)},
    }
    return hashlib.sha256(json.dumps(table, separators=(",", ":")).encode()).hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises StimuliError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error


def file_digests(paths: Sequence[Path], folder: Path, settings: Settings) -> tuple[str, ...]:
    """SHA-256 of every file of a set; files unchanged since last time are not read again.

    The memory is one small file per folder, in the home folder; where it cannot be written, nothing
    is lost but time.
    """
    place = settings.home / "digests" / f"{text_digest(str(folder.resolve()))[:32]}.json"
    known = _read(place)
    fresh: Known = {}
    digests = [_digest(path, known, fresh) for path in paths]
    if fresh:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, json.dumps({**known, **fresh}))
    return tuple(digests)


def _digest(path: Path, known: Known, fresh: Known) -> str:
    try:
        state = path.stat()
    except OSError as error:
        raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error
    stamp = [state.st_size, state.st_mtime_ns]
    row = known.get(str(path))
    if row is not None and row[:2] == stamp:
        return str(row[2])
    digest = file_digest(path)
    if time.time_ns() - state.st_mtime_ns > SETTLED:
        fresh[str(path)] = [*stamp, digest]
    return digest


def _read(place: Path) -> Known:
    """The remembered rows; a file that is damaged or of another form counts as empty."""
    try:
        rows = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(rows, dict):
        return {}
    return {k: v for k, v in rows.items() if isinstance(v, list) and len(v) == 3}
