"""Image files: their pixels, and their digests (remembered between runs)."""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from registry.files import digest_data, digest_file, replacing, write_whole
from registry.user_errors import foreign

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


# Only plain files of a user's folder are read: a named pipe or a device would block forever.
LARGEST = 512 * 2**20  # bytes of a file that is read at once


def open_plain(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file for reading. Raises OSError, also if it is not a plain file."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(number, "rb")


def read_plain(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """Read a plain file. Raises OSError, also if it has more than `largest` bytes."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size  # `read` allocates the requested size
        data = file.read(min(size, largest) + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"more than {largest} bytes")
    return data


def state_of(path: str | os.PathLike[str]) -> list[int]:
    """Return size, mtime, ctime and inode: tools may restore the first two, but not the others. Raises OSError."""
    state = os.stat(path)  # noqa: PTH116 - a million paths as text, not objects
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "not a plain file")
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


#: A file changed this recently (ns) is not remembered, as it may change again within one tick of its clock.
SETTLED = 2_000_000_000


def set_digest(ids: Sequence[str], items: Sequence[str], labels: Mapping[str, Array]) -> str:
    """SHA-256 over order, names, contents and labels, as the JSON text
    {"ids":[...],"items":[...],"labels":{NAME:[...]}} without blanks, with label columns in the order of their names."""
    columns = {name: list(map(str, column)) for name, column in labels.items()}
    return digest_data({"ids": ids, "items": items, "labels": columns})


def stimuli_of(ids: tuple[str, ...], items: tuple[str, ...], labels: Mapping[str, Array], **fields: Any) -> Stimuli:
    """Return a set with its digest. fields: the other fields of `Stimuli`."""
    return Stimuli(ids=ids, items=items, labels=labels, digest=set_digest(ids, items, labels), **fields)


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def seed_of(text: str) -> int:
    """Return a number in [0, 2^64) that follows from a text."""
    return int(text_digest(text)[:16], 16)


def file_digests(files: Sequence[str | Path], folder: Path, settings: Settings) -> tuple[str, ...]:
    """Return the SHA-256 of files (names below `folder`, or paths), remembered while unchanged. Raises StimuliError."""
    with _remembered(folder, settings) as known:
        return tuple([_digest(known, str(folder), str(file)) for file in files])


def reread(folder: Path, settings: Settings, files: Sequence[str | Path]) -> list[str]:
    """Read files again, correct their remembered digests, and return those that changed behind an unchanged state."""
    again = dict[str, str]()
    for file in files:
        _digest(again, str(folder), str(file))
    with _remembered(folder, settings) as known:
        changed = [key.rpartition(" [")[0] for key, digest in again.items() if known.get(key, digest) != digest]
        known |= again
    return changed


def _digest(known: dict[str, str], folder: str, file: str) -> str:
    """Return a file's digest, remembered in `known`."""
    path = os.path.join(folder, file)  # noqa: PTH118 - a million paths as text, not objects
    try:
        state = state_of(path)
        key = f"{path.removeprefix(f'{folder}{os.sep}')} {state}"
        if key in known:
            return known[key]
        digest = digest_file(Path(path))
    except OSError:
        with foreign("file", path, StimuliError):  # entered for a million files, it would take seconds
            raise
    if time.time_ns() - max(state[1:3]) > SETTLED:
        known[key] = digest
    return digest


@contextmanager
def _remembered(folder: Path, settings: Settings) -> Iterator[dict[str, str]]:
    """Open the remembered digests (name and state -> digest); write them back if they changed."""
    place = settings.home / "digests" / f"{text_digest(str(folder.resolve()))[:32]}.json"
    before: Any = {}
    with suppress(OSError, ValueError, RecursionError, MemoryError):
        before = json.loads(read_plain(place))
    known = dict(before) if isinstance(before, dict) else {}
    try:
        yield known
    finally:
        if known != before:
            with suppress(OSError):
                write_whole(place, json.dumps(known))


MOST_PIXELS = 2**26  # 8192 x 8192: a header may state any size
#: Silhouettes are black objects on white; darker pixels than this are object.
DARK = 128


@dataclass(frozen=True, kw_only=True)
class FileImages:
    """decode(i): the i-th file as HWC uint8 RGB. Raises StimuliError with the file and the remedy."""

    files: Sequence[str | Path]  # paths, or names below `folder`
    remedy: str
    digests: Sequence[str] | None = None  # SHA-256 of each file when the run was planned; other bytes are refused
    folder: Path = Path()
    border: int = 0  # width in px cut off each side

    def path(self, index: int) -> Path:
        """Return the path of the i-th image."""
        return self.folder / self.files[index]

    def size(self, index: int) -> tuple[int, int]:
        """Return the width and height in pixels of the i-th image."""
        return size_of(self.path(index), self.remedy)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return HWC uint8 RGB."""
        path = self.path(index)
        with whole_image(path, self.remedy):
            data = read_plain(path)
            if self.digests is not None and hashlib.sha256(data).hexdigest() != self.digests[index]:
                raise StimuliError(
                    f"{path}: its content has not the SHA-256 {self.digests[index]}: it is not the published file, or "
                    "it changed in the run. `bench data verify` reads all files again; get the set again with "
                    f"{self.remedy}."
                )
            pixels = decoded_rgb(data)
            if self.border and min(pixels.shape[:2]) <= 2 * self.border:
                raise ValueError(f"its frame of {self.border} px is all of it")
            return pixels[self.border : len(pixels) - self.border, self.border : pixels.shape[1] - self.border]


def silhouette_mask(images: FileImages, silhouettes: Sequence[Path], index: int) -> NDArray[np.bool_]:
    """Return HW bool, true on the object, from the silhouette of the i-th image, which matches it pixel by pixel."""
    silhouette = read_rgb(silhouettes[index], images.remedy)
    width, height = images.size(index)
    if silhouette.shape[:2] != (height, width):
        raise StimuliError(f"{silhouettes[index]}: not {width} x {height} px as {images.path(index)} is.")
    return np.asarray(silhouette.mean(axis=2) < DARK)


def read_rgb(path: Path, remedy: str) -> NDArray[np.uint8]:
    """Read an image file as HWC uint8 RGB. Raises StimuliError if it is missing, truncated or not an image."""
    with whole_image(path, remedy):
        return decoded_rgb(read_plain(path))


def size_of(path: Path, remedy: str) -> tuple[int, int]:
    """Read width and height in pixels from the file's header. Raises StimuliError as `read_rgb`."""
    with whole_image(path, remedy), open_plain(path) as file, opened(file) as image:
        return image.size


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write HWC uint8 RGB as PNG (whatever the suffix) in one move; create its folder."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        Image.fromarray(pixels).save(file, "PNG")


def whole_image(path: object, remedy: str) -> AbstractContextManager[None]:
    """Guard the reading of an image file. remedy: how to get it again, if that is known."""
    again = f" Delete it and get the set again: {remedy}." if remedy else ""
    return foreign("image", path, StimuliError, f"It is not a complete image, a whole PNG or JPEG file.{again}")


@contextmanager
def opened(file: BinaryIO) -> Iterator["PILImage"]:
    """Open an image file of limited size with Pillow; for use within `foreign`, as it raises any of Pillow's errors."""
    from PIL import Image

    with Image.open(file) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels; at most {MOST_PIXELS} are read")
        yield image


def decoded_rgb(data: bytes) -> NDArray[np.uint8]:
    """Decode a file to HWC uint8 RGB; 16-bit channels are reduced to their upper eight bits. Raises ValueError if the
    value of white is unknown; otherwise as `opened`."""
    with opened(BytesIO(data)) as image:
        if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
            raise ValueError(f"pixels of mode {image.mode}; expected 8 or 16 bits")
        if not image.mode.startswith("I"):
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
