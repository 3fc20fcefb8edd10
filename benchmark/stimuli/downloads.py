"""One file from the first source that has it whole: the mirror, then its own address."""

import errno
import json
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import file_digest, open_plain, text_digest
from registry.download import download
from registry.files import expanded, part_of, write_whole

Report = Callable[[str], None]


@dataclass(frozen=True)
class File:
    """A file to get: its name in a mirror, its own address, the digest of its content where that is known."""

    name: str
    url: str | None
    sha256: str | None


@dataclass(frozen=True)
class Source:
    """A place to get a file from: a URL, or a path on this machine."""

    where: str
    local: bool = False


def archive_of(entry: Entry, settings: Settings, report: Report) -> Path:
    """The entry's archive in the home folder, with its pinned or recorded digest; downloaded where it is not there
    yet. `remember` it once what is in it is known to be whole.

    Sources are tried in order; a file with a wrong digest or cut short counts as not got. Raises
    StimuliError naming every source and what went wrong.
    """
    target = archives(settings) / str(entry.archive)
    expected = entry.sha256 or _recorded(settings).get(target.name)
    if target.is_file() and (expected is None or file_digest(target) == expected):
        report(f"{entry.name}: using {target}")
        return target
    _get_whole(entry, File(target.name, entry.url, expected), target, settings, report)
    return target


def files_of(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    """The entry's single files, into `place`, each checked. Raises StimuliError as `archive_of`."""
    for name, expected in entry.files.items():
        file = File(f"{entry.name}/{name}", f"{entry.url}/{name}", expected)
        _get_whole(entry, file, place / name, settings, report)


def _get_whole(entry: Entry, file: File, target: Path, settings: Settings, report: Report) -> None:
    """Put the file at `target` from the first source that has it whole."""
    failures = []
    for source in _sources(file, settings):
        report(f"{entry.name}: getting {source.where}")
        problem = _get(source, target, file.sha256)
        if problem is None:
            return
        report(f"{entry.name}: {problem}")
        failures.append(f"{source.where}: {problem}")
    raise _not_got(entry, file.name, settings, failures)


def archives(settings: Settings) -> Path:
    """Folder of downloaded archives."""
    return settings.home / "archives"


def forget(archive: Path, settings: Settings) -> None:
    """Delete an archive that turned out to be useless, with its recorded digest."""
    archive.unlink(missing_ok=True)
    rows = _recorded(settings)
    if rows.pop(archive.name, None):
        write_whole(_record_file(settings), json.dumps(rows, indent=1))


def _sources(file: File, settings: Settings) -> Iterator[Source]:
    mirror = settings.mirror
    if mirror and "://" in mirror:
        yield Source(f"{mirror.rstrip('/')}/{file.name}")
    elif mirror:
        path = expanded(mirror) / file.name
        if path.is_file():
            yield Source(str(path), local=True)
    if file.url:
        yield Source(file.url)


def _get(source: Source, target: Path, expected: str | None) -> str | None:
    """Put the file at `target`; None, or what went wrong in a few words."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part_of(target) as part:
            _copy(source, part)
            problem = _problem(part, expected)
            if problem is None:
                part.replace(target)
            return problem
    except (OSError, ValueError) as error:
        return _reason(error)


def _problem(part: Path, expected: str | None) -> str | None:
    """What is wrong with what came."""
    if _is_page(part):
        return (
            "a web page instead of the file: does it ask for a login, or for terms to be accepted?"
        )
    digest = file_digest(part)
    if expected and digest != expected:
        return (
            f"wrong content: expected SHA-256 {expected}, got {digest}, so it was not used; "
            "the file was changed there or damaged on the way"
        )
    return None


def _copy(source: Source, part: Path) -> None:
    if source.local:
        shutil.copyfile(source.where, part)
        return
    download(source.where, part)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def _reason(error: Exception) -> str:
    """What went wrong on the way, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code} ({error.response.reason})"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "Incomplete" in str(error):
        return "cut short on the way"
    if isinstance(error, requests.ConnectionError):
        return "no connection to that host"
    return str(error) or type(error).__name__


def _not_got(entry: Entry, file: str, settings: Settings, failures: Sequence[str]) -> StimuliError:
    tried = "; ".join(failures) or "no source is known"
    mirror = "not set" if settings.mirror is None else f"'{settings.mirror}'"
    return StimuliError(
        f"the stimulus set '{entry.name}' could not be downloaded. Tried {tried}. "
        f"Without a connection: set BENCH_MIRROR ({mirror} now) to a folder or URL that holds "
        f"{file}, or to a folder that holds {entry.name}/; or give a copy that you have "
        f"with `bench data add {entry.name} FOLDER`."
    )


def remember(entry: Entry, archive: Path, settings: Settings, report: Report) -> None:
    """Record the digest of the first download of an archive that the catalogue does not pin, and that was whole."""
    expected = entry.sha256 or _recorded(settings).get(archive.name)
    if expected is not None:
        report(f"{archive.name}: SHA-256 {expected[:16]}... as expected")
        return
    digest = file_digest(archive)
    write_whole(
        _record_file(settings), json.dumps({**_recorded(settings), archive.name: digest}, indent=1)
    )
    report(f"{archive.name}: SHA-256 {digest}, not pinned: recorded, later downloads must equal it")


def _recorded(settings: Settings) -> dict[str, Any]:
    try:
        rows = json.loads(_record_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return rows if isinstance(rows, dict) else {}


def _record_file(settings: Settings) -> Path:
    return archives(settings) / "digests.json"


# Unpacking a downloaded archive, which may be damaged or hostile.
#
# It is read to the end of its stream: `tarfile` by itself stops in silence at a header that it does not understand, and
# a compressor's check sum stands after the last byte.


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


# Folders that appear in one move once they are whole, and are gone on with after an interruption.


class Note(NamedTuple):
    """The file of a finished folder that says what was to be made; written last."""

    name: str
    text: str


def is_made(target: Path, note: Note) -> bool:
    """Whether the folder is there, made from the very same note."""
    place = target / note.name
    return place.is_file() and place.read_text(encoding="utf-8") == note.text


def make_folder(
    target: Path, note: Note, fill: Callable[[Path], None], *, replace: bool = False
) -> None:
    """Make `target` unless it is there: `fill` puts everything into a hidden folder beside it, named by the note.

    fill: is called again on what it left when it was interrupted, and leaves what is there. replace: a folder that
    was made from another note gives way. Raises StimuliError where something else lies at `target`.
    """
    if is_made(target, note):
        return
    _check_free(target, note, replace)
    unfinished = _hidden(target, note.text)
    unfinished.mkdir(parents=True, exist_ok=True)
    fill(unfinished)
    if is_made(target, note):  # another process was first
        shutil.rmtree(unfinished, ignore_errors=True)
        return
    for rest in [path for path in unfinished.rglob(".*") if path.is_file()]:
        rest.unlink(missing_ok=True)  # files that a killed run was writing
    (unfinished / note.name).write_text(note.text, encoding="utf-8")
    _move(unfinished, target, note)


def _move(unfinished: Path, target: Path, note: Note) -> None:
    old = _hidden(target, f"old:{note.text}")
    with suppress(FileNotFoundError):
        target.replace(old)
    try:
        unfinished.replace(target)
    except OSError:
        if not is_made(target, note):
            raise
    ours = re.compile(rf"\.{re.escape(target.name)}-[0-9a-f]{{16}}")
    for rest in target.parent.iterdir():
        if ours.fullmatch(rest.name):
            shutil.rmtree(rest, ignore_errors=True)


def _check_free(target: Path, note: Note, replace: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / note.name).is_file():
        raise StimuliError(
            f"{target}: is there and was not made by this command. Choose another name or folder."
        )
    if not replace:
        raise StimuliError(
            f"{target}: is there, made with other settings or from other images. "
            "Choose another name, or delete that folder."
        )


def _hidden(target: Path, text: str) -> Path:
    return target.with_name(f".{target.name}-{text_digest(text)[:16]}")
