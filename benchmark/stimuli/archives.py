"""Unpacking a downloaded archive, which may be damaged or hostile."""

import errno
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.errors import StimuliError


@dataclass(frozen=True)
class Bounds:
    """The most that an archive may unpack to: bytes and files."""

    size: int = 16 * 2**30
    files: int = 500_000


def unpack(archive: Path, member: str | None, target: Path, bounds: Bounds | None = None) -> int:
    """Unpack the folder `member` below the archive's top folder into `target`, or with None all that
    the archive holds, under its own names; returns the number of files.

    Only plain files and folders are made, inside `target` alone. Raises StimuliError on paths that
    lead out, links or devices in that folder, an absent folder, more than `bounds`, or a damaged
    archive; OSError where the disk is full.
    """
    wanted = None if member is None else PurePosixPath(member)
    try:
        with tarfile.open(archive) as tar:
            count = _unpack(tar, wanted, target, bounds or Bounds(), archive)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise StimuliError(
            f"{archive}: cannot be unpacked ({error}). It is damaged or cut short."
        ) from error
    if not count:
        raise StimuliError(f"{archive}: there is no folder '{member or '.'}' with files in it.")
    return count


def _unpack(
    tar: tarfile.TarFile, member: PurePosixPath | None, target: Path, bounds: Bounds, archive: Path
) -> int:
    size = count = 0
    for info, path in _wanted(tar, member, archive):
        size, count = size + info.size, count + 1
        if size > bounds.size or count > bounds.files:
            raise StimuliError(
                f"{archive}: unpacks to more than {bounds.size} bytes or {bounds.files} "
                "files; refused."
            )
        tar.extract(info.replace(name=str(path), deep=False), target, filter="data")
    return count


def _wanted(
    tar: tarfile.TarFile, member: PurePosixPath | None, archive: Path
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Files below the wanted folder, with their paths inside it."""
    for info in tar:
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts or "\\" in info.name:
            raise StimuliError(
                f"{archive}: the entry '{info.name}' leads out of the archive; refused."
            )
        inside = path if member is None else PurePosixPath(*path.parts[1:])
        if info.isdir() or not inside.parts or not inside.is_relative_to(member or ""):
            continue
        if not info.isreg():
            raise StimuliError(f"{archive}: the entry '{info.name}' is no plain file; refused.")
        yield info, inside.relative_to(member or "")
