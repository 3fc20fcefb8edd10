"""Unpacking a downloaded archive, which may be damaged or hostile.

It is read to the end of its stream: `tarfile` by itself stops in silence at a header that it does not understand, and
a compressor's check sum stands after the last byte.
"""

import errno
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from benchmark.errors import StimuliError
from benchmark.stimuli.plain_files import open_plain

_BLOCK = 2**20
_LONGEST = 2**20  # bytes of a name, or of other words about an entry
_WORDS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


@dataclass(frozen=True)
class Bounds:
    """The most that an archive may unpack to: bytes and entries, whether wanted or not."""

    size: int = 16 * 2**30
    files: int = 500_000


class _Header(tarfile.TarInfo):
    """A header that is whole: where `tarfile` takes a damaged one for the end, it raises ReadError."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> "_Header":
        """The next header. Raises EOFHeaderError at the end mark."""
        try:
            return super().fromtarfile(tarfile)
        except _HeaderError as error:
            if (
                type(error).__name__ == "EOFHeaderError"
            ):  # the end mark; the class has no public name
                raise
            raise _ReadError(f"a damaged header at byte {tarfile.offset}") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """A header from its 512 bytes. Raises ReadError where it states what nobody would pack."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _WORDS and header.size > _LONGEST):
            raise _ReadError(f"an entry of {header.size} bytes")
        return header


_ReadError, _HeaderError = (
    tarfile.ReadError,
    tarfile.HeaderError,
)  # the method's argument hides the module


def unpack(archive: Path, member: str | None, target: Path, bounds: Bounds | None = None) -> int:
    """Unpack the folder `member` below the archive's top folder into `target`, or with None all that
    the archive holds, under its own names; returns the number of files.

    Only plain files and folders are made, inside `target` alone; where anything is wrong, nothing of it stays. Raises
    StimuliError on paths that lead out, links or devices in that folder, an absent folder, more than `bounds`, or an
    archive that is damaged anywhere or cut short; OSError where the disk is full.
    """
    there = target.exists()
    try:
        return _unpack(archive, member, target, bounds or Bounds())
    except BaseException:
        if not there:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _unpack(archive: Path, member: str | None, target: Path, bounds: Bounds) -> int:
    count = 0
    try:
        with open_plain(archive) as file, tarfile.open(fileobj=file, tarinfo=_Header) as tar:
            for info, path in _wanted(tar, member, archive, bounds):
                tar.extract(info.replace(name=str(path), deep=False), target, filter="data")
                count += 1
            _read_to_end(tar, bounds)
    except _FAILURES as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise StimuliError(
            f"{archive}: cannot be unpacked ({error}). It is damaged or cut short."
        ) from error
    if not count:
        raise StimuliError(f"{archive}: there is no folder '{member or '.'}' with files in it.")
    return count


_FAILURES = (
    *(tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError),
    *(ValueError, OverflowError, MemoryError, RecursionError),
)


def _read_to_end(tar: tarfile.TarFile, bounds: Bounds) -> None:
    """What follows the end mark must be nothing but zeros; reading it makes the compressor compare its check sum."""
    stream: IO[bytes] | None = tar.fileobj  # type: ignore[assignment]
    assert stream is not None
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if block.strip(b"\0") or size > bounds.size:
            raise tarfile.ReadError("something follows its end")


def _wanted(
    tar: tarfile.TarFile, name: str | None, archive: Path, bounds: Bounds
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Files below the wanted folder, with their paths inside it."""
    member = None if name is None else PurePosixPath(name)
    size = 0
    for count, info in enumerate(tar, 1):
        size += info.size
        if size > bounds.size or count > bounds.files:
            raise StimuliError(
                f"{archive}: unpacks to more than {bounds.size} bytes or {bounds.files} "
                "files; refused."
            )
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts or "\\" in info.name:
            raise StimuliError(
                f"{archive}: the entry {info.name!r} leads out of the archive; refused."
            )
        inside = path if member is None else PurePosixPath(*path.parts[1:])
        if info.isdir() or not inside.parts or not inside.is_relative_to(member or ""):
            continue
        if not info.isreg():
            raise StimuliError(f"{archive}: the entry {info.name!r} is no plain file; refused.")
        yield info, inside.relative_to(member or "")
