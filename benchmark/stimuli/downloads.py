"""Archives and files of a set: downloaded, unpacked without trust, put in place whole."""

import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import open_plain, text_digest
from registry.download import fetch_whole, mismatch, places_of, record, recorded
from registry.files import public
from registry.foreign import foreign

Report = Callable[[str], None]


def archive_of(entry: Entry, settings: Settings, report: Report) -> Path:
    """The entry's archive in the home folder, with its pinned or recorded digest; downloaded where it is not there yet.
    `remember` it once what is in it is known to be whole.

    Sources are tried in order; a file with a wrong digest or cut short counts as not got. Raises StimuliError naming
    every source and what went wrong."""
    target = archives(settings) / str(entry.archive)
    expected = entry.sha256 or recorded(target)
    if target.is_file() and not mismatch(target, expected):
        report(f"{entry.name}: using {target}")
    else:
        _get(entry, target.name, entry.url, target, expected, settings, report)
    return target


def files_of(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    """The entry's single files, into `place`, each checked. Raises StimuliError as `archive_of`."""
    for name, expected in entry.files.items():
        file, url = f"{entry.name}/{name}", f"{entry.url}/{name}"
        _get(entry, file, url, place / name, expected, settings, report)


def _get(
    entry: Entry, file: str, url: str | None, target: Path, sha256: str, settings: Settings,
    report: Report,
) -> None:  # fmt: skip
    """Put a file at `target` from the first source that has it whole."""
    places = places_of(file, url, settings.mirror)
    try:
        fetch_whole(places, target, sha256, lambda line: report(f"{entry.name}: {line}"))
    except OSError as error:
        mirror = "not set" if settings.mirror is None else f"'{public(settings.mirror)}'"
        raise StimuliError(
            f"the stimulus set '{entry.name}' could not be downloaded. Tried {error}. "
            f"Without a connection: set BENCH_MIRROR ({mirror} now) to a folder or URL that holds "
            f"{file}, or to a folder that holds {entry.name}/; or give a copy that you have "
            f"with `bench data add {entry.name} FOLDER`."
        ) from error


def archives(settings: Settings) -> Path:
    """Folder of downloaded archives."""
    return settings.home / "archives"


def remember(entry: Entry, archive: Path, report: Report) -> None:
    """Record the digest of the first download of an archive that the catalogue does not pin, and that was whole."""
    if expected := entry.sha256 or recorded(archive):
        report(f"{archive.name}: SHA-256 {expected[:16]}... as expected")
        return
    digest = record(archive, entry.url)
    report(f"{archive.name}: SHA-256 {digest}, not pinned: recorded, later downloads must equal it")


# Unpacking a downloaded archive, which may be damaged or hostile.
#
# It is read to the end of its stream: `tarfile` by itself stops in silence at a header that it does not understand, and
# a compressor's check sum stands after the last byte.
_BLOCK = 2**20
_LONGEST = 2**20  # bytes of a name, or of other words about an entry
_WORDS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
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
            if type(error).__name__ == "EOFHeaderError":  # the end mark; the class has no public name
                raise
            raise _ReadError(f"a damaged header at byte {tarfile.offset}") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """A header from its 512 bytes. Raises ReadError where it states what nobody would pack."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _WORDS and header.size > _LONGEST):
            raise _ReadError(f"an entry of {header.size} bytes")
        return header


_ReadError, _HeaderError = (tarfile.ReadError, tarfile.HeaderError)  # the method's argument hides the module


def unpack(archive: Path, member: str | None, target: Path, bounds: Bounds | None = None) -> int:
    """Unpack the folder `member` below the archive's top folder into `target`, or with None all that the archive holds,
    under its own names; returns the number of files.

    Only plain files and folders are made, inside `target` alone; where anything is wrong, nothing of it stays. Raises
    StimuliError on paths that lead out, links or devices in that folder, an absent folder, more than `bounds`, or an
    archive that is damaged anywhere or cut short; OSError where the disk is full."""
    there, bounds, count = target.exists(), bounds or Bounds(), 0
    damaged = "It cannot be unpacked: damaged or cut short."
    try:
        with (
            foreign("archive", archive, StimuliError, damaged),
            open_plain(archive) as file,
            tarfile.open(fileobj=file, tarinfo=_Header) as tar,
        ):
            for info, path in _wanted(tar, member, archive, bounds):
                tar.extract(info.replace(name=str(path), deep=False), target, filter="data")
                count += 1
            # What follows the end mark must be zeros; reading it makes the compressor compare its check sum.
            stream: IO[bytes] = tar.fileobj  # type: ignore[assignment]
            size = 0
            while block := stream.read(_BLOCK):
                size += len(block)
                if block.strip(b"\0") or size > bounds.size:
                    raise tarfile.ReadError("something follows its end")
        if not count:
            raise StimuliError(f"{archive}: there is no folder '{member or '.'}' with files in it.")
        return count
    except BaseException:
        if not there:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _wanted(
    tar: tarfile.TarFile, name: str | None, archive: Path, bounds: Bounds
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Files below the wanted folder, with their paths inside it."""
    member = None if name is None else PurePosixPath(name)
    size = 0
    for count, info in enumerate(tar, 1):
        size += info.size
        if size > bounds.size or count > bounds.files:
            raise StimuliError(f"{archive}: unpacks to more than {bounds.size} bytes or {bounds.files} files; refused.")
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts or "\\" in info.name:
            raise StimuliError(f"{archive}: the entry {info.name!r} leads out of the archive; refused.")
        inside = path if member is None else PurePosixPath(*path.parts[1:])
        if info.isdir() or not inside.parts or not inside.is_relative_to(member or ""):
            continue
        if not info.isreg():
            raise StimuliError(f"{archive}: the entry {info.name!r} is no plain file; refused.")
        yield info, inside.relative_to(member or "")


class Note(NamedTuple):
    """The file of a finished folder that says what was to be made; written last."""

    name: str
    text: str


def is_made(target: Path, note: Note) -> bool:
    """Whether the folder is there, made from the very same note."""
    place = target / note.name
    return place.is_file() and place.read_text(encoding="utf-8") == note.text


def make_folder(target: Path, note: Note, fill: Callable[[Path], None], *, replace: bool = False) -> None:
    """Make `target` unless it is there: `fill` puts everything into a hidden folder beside it, named by the note.

    fill: is called again on what it left when it was interrupted, and leaves what is there. replace: a folder that was
    made from another note gives way. Raises StimuliError where something else lies at `target`."""
    if is_made(target, note):
        return
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        if not (target / note.name).is_file():
            raise StimuliError(f"{target}: is there and was not made by this command. Choose another name or folder.")
        if not replace:
            raise StimuliError(
                f"{target}: is there, made with other settings or from other images. "
                "Choose another name, or delete that folder."
            )
    hidden = f".{target.name}-"
    unfinished = target.with_name(f"{hidden}{text_digest(note.text)[:16]}")
    unfinished.mkdir(parents=True, exist_ok=True)
    fill(unfinished)
    if not is_made(target, note):  # no other process was first
        for rest in [path for path in unfinished.rglob(".*") if path.is_file()]:
            rest.unlink(missing_ok=True)  # files that a killed run was writing
        (unfinished / note.name).write_text(note.text, encoding="utf-8")
        with suppress(FileNotFoundError):
            target.replace(target.with_name(f"{hidden}{text_digest('old:' + note.text)[:16]}"))
        try:
            unfinished.replace(target)
        except OSError:
            if not is_made(target, note):
                raise
    for rest in target.parent.iterdir():
        if re.fullmatch(rf"{re.escape(hidden)}[0-9a-f]{{16}}", rest.name):
            shutil.rmtree(rest, ignore_errors=True)
