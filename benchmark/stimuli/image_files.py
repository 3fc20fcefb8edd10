"""Image files: their pixels, their digests (remembered from run to run), and what was planned of them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from registry.files import replacing, write_whole
from registry.foreign import foreign

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


DIGEST = 32  # bytes of a SHA-256


@dataclass(frozen=True, eq=False)
class Digests(Sequence[str]):
    """SHA-256 digests as hex text, in the memory of their bytes: a set may have millions. rows: uint8 [n, 32]."""

    rows: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return Digests(self.rows[index]) if isinstance(index, slice) else bytes(self.rows[index]).hex()


# Reading files of a user's folder: plain ones only. A named pipe or a device would be waited for without end.
LARGEST = 512 * 2**20  # bytes of a file that is read at once


def open_plain(path: str | os.PathLike[str]) -> BufferedReader:
    """The file, opened for reading. Raises OSError, too where it is no plain file."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(number, "rb")


def read_plain(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """All bytes of a plain file. Raises OSError, too if it has more than `largest`."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size  # what is asked for is allocated at once
        data = file.read(min(size, largest) + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"more than {largest} bytes")
    return data


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """A plain file's text. Raises OSError and UnicodeDecodeError."""
    return read_plain(path).decode(encoding)


def state_of(path: str | os.PathLike[str]) -> list[int]:
    """What tells a changed plain file from an unchanged one without reading it: size, mtime, ctime, inode. A tool may
    set size and mtime back, but neither ctime nor, where it put another file there, the inode. Raises OSError."""
    state = os.stat(path)  # noqa: PTH116 - a million paths as text, not objects
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "not a plain file")
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


#: A file changed this recently (ns) may change again within one tick of its clock: it is not remembered.
SETTLED = 2_000_000_000


def set_digest(ids: Sequence[str], items: Sequence[str], labels: Mapping[str, Array]) -> str:
    """SHA-256 over order, names, contents and labels: any change of any of them gives another digest.

    Of the JSON text {"ids":[...],"items":[...],"labels":{NAME:[...]}} without blanks, label columns in the order of
    their names."""
    columns = {name: list(map(str, labels[name])) for name in sorted(labels)}
    table = {"ids": list(ids), "items": list(items), "labels": columns}
    return text_digest(json.dumps(table, separators=(",", ":")))


def text_digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes. Raises StimuliError where it cannot be read."""
    with foreign("file", path, StimuliError), open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(files: Sequence[str | Path], folder: Path, settings: Settings) -> Digests:
    """SHA-256 of every file of a set; files unchanged since last time are not read again.

    files: names below `folder`, or paths. The memory is one table per folder, in the home folder; where it cannot be
    written, nothing is lost but time."""
    known, digests, count = _remembered(folder, settings), [], 0
    try:
        for file in files:
            digest = _recall(known, file, folder)
            if digest is None:
                path = os.path.join(folder, file)  # noqa: PTH118 - a million paths as text, not objects
                with foreign("file", path, StimuliError):
                    state = state_of(path)
                digest = file_digest(path)
                if time.time_ns() - max(state[1:3]) > SETTLED:
                    known[_name(file, folder)] = [*state, digest]
                    count += 1
            digests.append(digest)
    finally:
        if count:
            _remember(known, folder, settings)
    return Digests(np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, DIGEST))


def reread(folder: Path, settings: Settings, files: Sequence[str | Path] | None = None) -> list[str]:
    """Read remembered files of a folder again (None: all that are still there); the memory is put right.

    Returns those whose content is not what was remembered although their state is. Raises StimuliError."""
    known, changed = _remembered(folder, settings), []
    for file in list(known) if files is None else files:
        path = os.path.join(folder, file)  # noqa: PTH118 - as above
        if files is None and not os.path.isfile(path):  # noqa: PTH113 - as above
            continue
        digest = _recall(known, file, folder)
        if digest is not None and (now := file_digest(path)) != digest:
            name = _name(file, folder)
            known[name][-1] = now
            changed.append(name)
    if changed:
        _remember(known, folder, settings)
    return changed


def _name(file: str | Path, folder: Path) -> str:
    return os.fspath(file).removeprefix(f"{folder}{os.sep}")


def _recall(known: dict[str, Any], file: str | Path, folder: Path) -> str | None:
    """The remembered digest of a file in the same state. Raises StimuliError if there is no such file."""
    path = os.path.join(folder, file)  # noqa: PTH118 - as above
    with foreign("file", path, StimuliError):
        state = state_of(path)
    row = known.get(_name(file, folder))
    same = isinstance(row, list) and row[:-1] == state and re.fullmatch("[0-9a-f]{64}", str(row[-1]))
    return str(row[-1]) if isinstance(row, list) and same else None


def _memory(folder: Path, settings: Settings) -> Path:
    return settings.home / "digests" / f"{text_digest(str(folder.resolve()))[:32]}.json"


def _remember(known: dict[str, Any], folder: Path, settings: Settings) -> None:
    place = _memory(folder, settings)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(known))


def _remembered(folder: Path, settings: Settings) -> dict[str, Any]:
    """Name below a folder -> state, then digest; a file that is damaged or of another form counts as empty."""
    try:
        known = json.loads(read_plain(_memory(folder, settings)))
    except (OSError, ValueError, RecursionError, MemoryError):
        return {}
    return known if isinstance(known, dict) else {}


T = TypeVar("T")
MOST_PIXELS = 2**26  # 8192 x 8192: a header may state any size
#: Silhouettes are black objects on white: darker than this is object.
DARK = 128


@dataclass(frozen=True)
class FileImages:
    """decode(i): the i-th file as HWC uint8 RGB. Raises StimuliError naming the file and the remedy.

    files: paths, or names below `folder`; digests: SHA-256 of each file as the set was planned: the bytes that are
    decoded are those bytes, or none."""

    files: Sequence[str | Path]
    remedy: str
    digests: Sequence[str] | None = None
    folder: Path = Path()

    def path(self, index: int) -> Path:
        """Where the i-th image lies."""
        return self.folder / self.files[index]

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8 RGB."""
        path = self.path(index)
        with whole_image(path, f"Delete it and get the set again: {self.remedy}."):
            data = read_plain(path)
            if self.digests is not None and hashlib.sha256(data).hexdigest() != self.digests[index]:
                raise StimuliError(
                    f"{path}: its content is not the one that was planned: it changed during the run, or its size and "
                    "times were set back. Nothing of this set was answered from it. Run again; `bench data verify` "
                    "reads every file anew."
                )
            return decoded_rgb(data)


@dataclass(frozen=True)
class FileMasks:
    """mask(i): HW bool, true on the object, from the silhouette that fits the i-th image (pixel by pixel: the published
    images were made from the same photographs at the same size)."""

    images: FileImages
    silhouettes: tuple[Path, ...]

    def __call__(self, index: int) -> NDArray[np.bool_]:
        """HW bool."""
        silhouette = read_rgb(self.silhouettes[index], self.images.remedy)
        width, height = size_of(self.images.path(index), self.images.remedy)
        if silhouette.shape[:2] != (height, width):
            raise StimuliError(
                f"{self.silhouettes[index]}: {silhouette.shape[1]} x {silhouette.shape[0]} pixels, "
                f"but the image that it masks, {self.images.path(index)}, has {width} x {height}. "
                "Use silhouettes of the same set."
            )
        return np.asarray(silhouette.mean(axis=2) < DARK)


@dataclass(frozen=True)
class Picked(Generic[T]):
    """A function of an index, seen through a choice of indices."""

    source: Callable[[int], T]
    index: tuple[int, ...]

    def __call__(self, index: int) -> T:
        """The source's value for the index-th chosen one."""
        return self.source(self.index[index])


def read_rgb(path: Path, remedy: str) -> NDArray[np.uint8]:
    """HWC uint8 RGB of an image file. Raises StimuliError where it is missing, cut short or no image."""
    with whole_image(path, f"Delete it and get the set again: {remedy}."):
        return decoded_rgb(read_plain(path))


def size_of(path: Path, remedy: str) -> tuple[int, int]:
    """Width and height in pixels, from the file's header. Raises StimuliError as `read_rgb`."""
    with (
        whole_image(path, f"Delete it and get the set again: {remedy}."),
        open_plain(path) as file,
        opened(file) as image,
    ):
        return image.size


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """HWC uint8 RGB as a PNG file (whatever its name says), in one move; its folder is made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        Image.fromarray(pixels).save(file, "PNG")


def whole_image(path: object, remedy: str) -> AbstractContextManager[None]:
    """The guard around reading an image file."""
    expected = f"It is not a complete image: expected a whole PNG or JPEG file. {remedy}"
    return foreign("image", path, StimuliError, expected)


@contextmanager
def opened(file: BinaryIO) -> Iterator[PILImage]:
    """An image file of a bounded size, as Pillow sees it; within `foreign`, for it raises whatever Pillow does."""
    from PIL import Image

    with Image.open(file) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels; at most {MOST_PIXELS} are read")
        yield image


def decoded_rgb(data: bytes) -> NDArray[np.uint8]:
    """HWC uint8 RGB of a file's bytes; of 16 bits a channel the upper eight, as of colour files. Raises ValueError if
    its values have no known white; else as `opened`."""
    with opened(BytesIO(data)) as image:
        if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
            raise ValueError(f"pixels of mode {image.mode}; expected 8 or 16 bits")
        if not image.mode.startswith("I"):
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
