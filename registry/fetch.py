"""Weights from a URL: a mirror first, checked before they are put in place, never half a file."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from registry.digests import digest_file
from registry.errors import WeightsError

_MARK = re.compile(r"-([0-9a-f]{8,64})\.")


def is_url(text: str | None) -> bool:
    """Whether a card's `weights` is to be downloaded."""
    return bool(text) and str(text).startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """The file's name on disk: the last part of the URL's path."""
    return unquote(Path(urlsplit(url).path).name)


def _mismatch(path: Path, expected: str, source: str) -> WeightsError | None:
    """An error where the file's digest does not begin with `expected` (empty: any will do)."""
    got = digest_file(path) if expected else ""
    if got.startswith(expected):
        return None
    return WeightsError(
        f"SHA-256 of {file_name(source)} from {source}: expected {expected}, got {got}. The file "
        "was not used. "
        "The download may be damaged or replaced: try again, another mirror, or check the card's "
        "file_sha256."
    )


def _places(url: str, mirror: str | None) -> Iterator[str]:
    """Where to look, in order: MIRROR/NAME, then the URL itself."""
    if mirror:
        yield f"{mirror.rstrip('/')}/{file_name(url)}"
    yield url


def _retrieve(place: str, target: Path) -> None:
    """Bring one file to `target`. Raises OSError (requests' exceptions are among them)."""
    if not is_url(place):
        shutil.copyfile(place.removeprefix("file://"), target)
        return
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=False, timeout=60)
    downloader(place, str(target), None)


def _attempt(place: str, target: Path, expected: str) -> str:
    """Try one place; the file is put at `target` whole and checked, or not at all. Returns what
    failed.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        _retrieve(place, part)
        problem = _mismatch(part, expected, place)
        if problem is None:
            part.replace(target)
        return str(problem or "")
    except OSError as error:
        return f"{place}: {type(error).__name__}: {error}"
    finally:
        part.unlink(missing_ok=True)


def fetch(url: str, folder: Path, sha256: str | None = None, mirror: str | None = None) -> Path:
    """The file of `url` in `folder`, downloaded unless it is there.

    sha256: the expected digest; without it, the one that the file's name carries
    (NAME-0676ba61.pth), if any. Raises WeightsError: nothing reachable (each place with its
    reason), or another digest.
    """
    target = folder / file_name(url)
    if target.is_file():
        problem = _mismatch(target, sha256 or "", str(target))
        if problem is None:
            return target
        raise problem
    mark = _MARK.search(target.name)
    expected = sha256 or (mark.group(1) if mark else "")
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for place in _places(url, mirror):
        failure = _attempt(place, target, expected)
        if not failure:
            return target
        failures.append(failure)
    raise WeightsError(
        f"weights {target.name} could not be fetched. {' | '.join(failures)} "
        f"Put the file at {target} yourself, or name a mirror (BENCH_MIRROR: a folder or URL)."
    )
