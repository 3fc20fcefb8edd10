"""SHA-256 of files, remembered by name and state (size, both times, inode), and of whole sets."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.compact import DIGEST, Digests
from benchmark.stimuli.plain_files import NO_ARRAY, State, open_plain, state_of
from registry.whole_files import replacing

#: A file changed this recently (ns) may change again within one tick of its clock: it is not
#: remembered.
SETTLED = 2_000_000_000
#: So many new digests are kept at once: what a killed process has read is not read again.
KEPT_TOGETHER = 50_000
_STATE = State._fields
_BLOCK = 4096  # values of a column that are spelled out at once
Rows = NDArray[Any]  # the memory of one folder: name, state, digest; sorted by name


def set_digest(ids: Sequence[str], items: Sequence[str], labels: Mapping[str, Array]) -> str:
    """SHA-256 over order, names, contents and labels: any change of any of them gives another
    digest.

    Of the JSON text {"ids":[...],"items":[...],"labels":{NAME:[...]}} without blanks, label columns
    in the order of their names; a block at a time, for a text may have a hundred million letters.
    """
    state = hashlib.sha256()
    for text in _spelled(ids, items, labels):
        state.update(text.encode())
    return state.hexdigest()


def _spelled(
    ids: Sequence[str], items: Sequence[str], labels: Mapping[str, Array]
) -> Iterator[str]:
    yield '{"ids":['
    yield from _values(ids)
    yield '],"items":['
    yield from _values(items)
    yield '],"labels":{'
    for position, name in enumerate(sorted(labels)):
        yield f"{',' if position else ''}{json.dumps(name)}:["
        yield from _values(labels[name])
        yield "]"
    yield "}}"


def _values(column: Sequence[str] | Array) -> Iterator[str]:
    for start in range(0, len(column), _BLOCK):
        block = [str(value) for value in column[start : start + _BLOCK]]
        yield ("," if start else "") + json.dumps(block, separators=(",", ":"))[1:-1]


def text_digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes. Raises StimuliError where it cannot be read."""
    try:
        with open_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error


def file_digests(files: Sequence[str | Path], folder: Path, settings: Settings) -> Digests:
    """SHA-256 of every file of a set; files unchanged since last time are not read again.

    files: names below `folder`, or paths. The memory is one table per folder, in the home folder;
    where it cannot be written, nothing is lost but time.
    """
    place = _memory(folder, settings)
    wanted = _states(files, folder)
    known = _read(place)
    there = _recalled(known, wanted)
    fresh: list[int] = []
    try:
        for i in np.flatnonzero(~there).tolist():
            digest = file_digest(os.path.join(folder, files[i]))  # noqa: PTH118 - as above
            wanted["digest"][i] = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
            if time.time_ns() - max(int(wanted[name][i]) for name in ("mtime", "ctime")) > SETTLED:
                fresh.append(i)
            if len(fresh) == KEPT_TOGETHER:
                known, fresh = _keep(place, known, wanted[fresh]), []
    finally:
        if fresh:
            _keep(place, known, wanted[fresh])
    return Digests(np.ascontiguousarray(wanted["digest"]))


def reread(
    folder: Path, settings: Settings, files: Sequence[str | Path] | None = None
) -> list[str]:
    """Read files of a folder again (None: all that are remembered and still there); the memory is put right.

    Returns those whose content is not what was remembered although their state is. Raises StimuliError.
    """
    place = _memory(folder, settings)
    known = _read(place)
    if files is None:
        names = (os.fsdecode(name) for name in known["name"].tolist())
        files = [name for name in names if os.path.isfile(os.path.join(folder, name))]  # noqa: PTH113, PTH118
    wanted = _states(files, folder)
    there = _recalled(known, wanted)
    remembered = wanted["digest"].copy()
    for i, file in enumerate(files):
        digest = file_digest(os.path.join(folder, file))  # noqa: PTH118 - as above
        wanted["digest"][i] = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
    changed = there & (wanted["digest"] != remembered).any(axis=1)
    _keep(place, known, wanted[there])
    return [os.fspath(files[i]) for i in np.flatnonzero(changed).tolist()]


def _memory(folder: Path, settings: Settings) -> Path:
    return settings.home / "digests" / f"{text_digest(str(folder.resolve()))[:32]}.npy"


def _states(files: Sequence[str | Path], folder: Path) -> Rows:
    """The rows of these files as they are now, digests still to come. Raises StimuliError."""
    start = os.fsencode(f"{folder}{os.sep}")
    names = [os.fsencode(file).removeprefix(start) for file in files]
    rows = np.zeros(len(names), dtype=_form(max(map(len, names), default=1)))
    for i, name in enumerate(names):
        path = os.path.join(folder, os.fsdecode(name))  # noqa: PTH118 - as above
        try:
            rows[i] = (name, *state_of(path), 0)
        except OSError as error:
            raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return rows


def _form(width: int) -> np.dtype[Any]:
    return np.dtype(
        [("name", f"S{width}"), *((name, "<i8") for name in _STATE), ("digest", "u1", (DIGEST,))]
    )


def _recalled(known: Rows, wanted: Rows) -> NDArray[np.bool_]:
    """Which of the wanted rows the memory has in the same state; their digests are filled in."""
    if not len(known) or not len(wanted):
        return np.zeros(len(wanted), dtype=bool)
    at = np.searchsorted(np.ascontiguousarray(known["name"]), wanted["name"])
    at[at == len(known)] = 0
    same = np.ones(len(wanted), dtype=bool)
    for column in ("name", *_STATE):
        same &= known[column][at] == wanted[column]
    wanted["digest"][same] = known["digest"][at[same]]
    return same


def _keep(place: Path, known: Rows, fresh: Rows) -> Rows:
    """The memory with these rows in it, written where that is possible."""
    old = known[~np.isin(known["name"], fresh["name"])]
    rows = np.concatenate([old, fresh])
    rows = rows[np.argsort(rows["name"])]
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as file:
            np.save(file, rows, allow_pickle=False)
    return rows


def _read(place: Path) -> Rows:
    """The remembered rows; a file that is damaged or of another form counts as empty."""
    empty = np.zeros(0, dtype=_form(1))
    try:
        rows: Rows = np.asarray(np.load(place, allow_pickle=False))
    except NO_ARRAY:
        return empty
    width = rows.dtype["name"].itemsize if "name" in (rows.dtype.names or ()) else 0
    return rows if width and rows.ndim == 1 and rows.dtype == _form(width) else empty
