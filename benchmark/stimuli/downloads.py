"""One file from the first source that has it whole: the mirror, then its own address."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.digests import file_digest
from registry.download import download
from registry.places import expanded
from registry.whole_files import part_of, write_whole

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
