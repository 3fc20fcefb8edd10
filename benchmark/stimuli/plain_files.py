"""Reading files of a user's folder: plain ones only. A named pipe or a device would be waited for without end."""

import errno
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

#: What NumPy raises on .npy and .npz files that are damaged or hold something else.
NO_ARRAY = (
    *(OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, IndexError, AttributeError),
    *(MemoryError, OverflowError, RecursionError, NotImplementedError, RuntimeError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)
LARGEST = 512 * 2**20  # bytes of a file that is read at once


class State(NamedTuple):
    """What tells a changed file from an unchanged one without reading it; a tool may set size and mtime back, but
    neither ctime nor, where it put another file there, the inode.
    """

    size: int
    mtime: int
    ctime: int
    inode: int


def open_plain(path: str | os.PathLike[str]) -> BufferedReader:
    """The file, opened for reading. Raises OSError, too where it is no plain file."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(number, "rb")


def read_plain(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """All bytes of a plain file. Raises OSError, too where it has more than `largest`."""
    with open_plain(path) as file:
        data = bytearray()
        size = os.fstat(file.fileno()).st_size  # what is asked for is allocated at once
        while len(data) <= largest and (block := file.read(min(size, largest) + 1)):
            data += block
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"more than {largest} bytes")
    return bytes(data)


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """A plain file's text. Raises OSError and UnicodeDecodeError."""
    return read_plain(path).decode(encoding)


def state_of(path: str | os.PathLike[str]) -> State:
    """A plain file's state. Raises OSError."""
    found = os.stat(path)  # noqa: PTH116 - a million paths as text, not objects
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a plain file")
    return State(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
