"""Archives and files of a set: downloaded, unpacked without trust, put in place whole."""

import re
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import open_plain, text_digest
from registry.download import fetch_whole, mismatch, places_of, record, recorded
from registry.files import public
from registry.foreign import foreign

Report = Callable[[str], None]


def archive_of(entry: Entry, settings: Settings, report: Report) -> Path:
    """The entry's archive in the home folder, with its pinned or recorded digest; downloaded where it is not there
    yet. `remember` it once what is in it is known to be whole. Raises StimuliError as `get`."""
    target = archives(settings) / str(entry.archive)
    expected = entry.sha256 or recorded(target)
    if target.is_file() and not mismatch(target, expected):
        report(f"{entry.name}: using {target}")
    else:
        get(entry, target.name, entry.url, target, expected, settings, report)
    return target


def get(
    entry: Entry, file: str, url: str | None, target: Path, sha256: str, settings: Settings, report: Report
) -> None:  # fmt: skip
    """Put a file of an entry at `target`, from the first source that has it whole: a file with a wrong digest or cut
    short counts as not got. Raises StimuliError naming every source and what went wrong."""
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


class _Header(tarfile.TarInfo):
    """A header that states what somebody would pack: words of an entry (long names, extended headers) are read into
    memory, and a negative size would be read for ever."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """A header from its 512 bytes. Raises ReadError."""
        header = super().frombuf(buf, encoding, errors)
        plain = header.type in (*tarfile.REGULAR_TYPES, tarfile.GNUTYPE_SPARSE)
        if header.size < 0 or (not plain and header.size > _BLOCK):
            raise tarfile.ReadError(f"an entry of {header.size} bytes")
        return header


_BLOCK = 2**20


def unpack(
    archive: Path, member: str | None, target: Path, most_bytes: int = 16 * 2**30, most_files: int = 500_000
) -> int:
    """Unpack the folder `member` below the archive's top folder into `target`, or with None all that the archive holds,
    under its own names; returns the number of files. Only plain files and folders are made, inside `target` alone;
    where anything is wrong, nothing of it stays. Raises StimuliError on paths that lead out, links or devices in that
    folder, an absent folder, more than the most that it may unpack to (wanted or not), or an archive that is damaged or
    cut short; OSError where the disk is full."""
    there, size, files = target.exists(), 0, 0
    wanted = None if member is None else PurePosixPath(member)
    try:
        with (
            foreign("archive", archive, StimuliError, "It cannot be unpacked: damaged or cut short."),
            open_plain(archive) as file,
            tarfile.open(fileobj=file, tarinfo=_Header) as tar,
        ):
            for count, info in enumerate(tar, 1):
                size += info.size
                if size > most_bytes or count > most_files:
                    raise StimuliError(f"{archive}: more than {most_bytes} bytes or {most_files} files; refused.")
                if path := _wanted_path(archive, info, wanted):
                    tar.extract(info.replace(name=path, deep=False), target, filter="data")
                    files += 1
            # `tarfile` stops in silence at a header that it does not understand: what follows the end must be zeros.
            # Reading it makes the compressor compare its check sum.
            rest: IO[bytes] = tar.fileobj  # type: ignore[assignment]
            while block := rest.read(_BLOCK):
                size += len(block)
                if block.strip(b"\0") or size > most_bytes:
                    raise tarfile.ReadError("something follows its end")
        if not files:
            raise StimuliError(f"{archive}: there is no folder '{member or '.'}' with files in it.")
        return files
    except BaseException:
        if not there:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _wanted_path(archive: Path, info: tarfile.TarInfo, wanted: PurePosixPath | None) -> str:
    """Where an entry lies inside the wanted folder; "" if it does not, or is a folder."""
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts or "\\" in info.name:
        raise StimuliError(f"{archive}: the entry {info.name!r} leads out of the archive; refused.")
    inside = path if wanted is None else PurePosixPath(*path.parts[1:])
    if info.isdir() or not inside.parts or not inside.is_relative_to(wanted or ""):
        return ""
    if not info.isreg():
        raise StimuliError(f"{archive}: the entry {info.name!r} is no plain file; refused.")
    return str(inside.relative_to(wanted or ""))


def make_folder(
    target: Path, note: str, text: str, fill: Callable[[Path], None], *, replace: bool = False
) -> bool:  # fmt: skip
    """Make `target` unless it is there: `fill` puts everything into a hidden folder beside it, named by the text. note:
    the file of a finished folder that says what was to be made; written last. fill: is called again on what it left
    when it was interrupted, and leaves what is there. replace: a folder that was made from another text gives way.
    Returns whether it was made now. Raises StimuliError if something else lies at `target`."""

    def is_made() -> bool:
        return (target / note).is_file() and (target / note).read_text(encoding="utf-8") == text

    if is_made():
        return False
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        if not (target / note).is_file():
            raise StimuliError(f"{target}: is there and was not made by this command. Choose another name or folder.")
        if not replace:
            raise StimuliError(f"{target}: made with other settings or images. Choose another name, or delete it.")
    hidden = f".{target.name}-"
    unfinished = target.with_name(f"{hidden}{text_digest(text)[:16]}")
    unfinished.mkdir(parents=True, exist_ok=True)
    fill(unfinished)
    if not is_made():  # no other process was first
        for rest in [path for path in unfinished.rglob(".*") if path.is_file()]:
            rest.unlink(missing_ok=True)  # files that a killed run was writing
        (unfinished / note).write_text(text, encoding="utf-8")
        with suppress(FileNotFoundError):
            target.replace(target.with_name(f"{hidden}{text_digest('old:' + text)[:16]}"))
        try:
            unfinished.replace(target)
        except OSError:
            if not is_made():
                raise
    for rest in target.parent.iterdir():
        if re.fullmatch(rf"{re.escape(hidden)}[0-9a-f]{{16}}", rest.name):
            shutil.rmtree(rest, ignore_errors=True)
    return True
