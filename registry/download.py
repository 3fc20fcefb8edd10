"""One file over HTTP: bounded in time and size, and whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from registry.errors import WeightsError
from registry.files import digest_file, file_name, is_url, part_of, write_whole

if TYPE_CHECKING:
    from requests import Response


Clock = Callable[[], float]
_STEP = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """What one download may take. seconds: in all; bytes: on disk; rate: bytes per second that it must
    keep, on average, once `patience` seconds have passed; silence: seconds without a byte.
    """

    seconds: float = 6 * 3600
    bytes: int = 64 * 2**30
    rate: float = 10_000
    patience: float = 120
    silence: float = 60


BOUNDS = Bounds()


class TooMuch(OSError):
    """A download that went beyond its bounds."""


def download(
    url: str, target: Path, bounds: Bounds = BOUNDS, clock: Clock = time.monotonic
) -> None:
    """Write the content of `url` to `target`. Raises OSError (requests' exceptions are among them);
    what was written by then is the caller's to remove.
    """
    import requests

    start, written = clock(), 0
    headers = {"Accept-Encoding": "identity"}  # the bytes that were published, and their true count
    silence = (bounds.silence, bounds.silence)
    with (
        requests.get(url, stream=True, timeout=silence, headers=headers) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        for block in _blocks(answer):
            written += len(block)
            _require_within(bounds, written, clock() - start)
            file.write(block)


def _blocks(answer: Response) -> Iterator[bytes]:
    """Bytes as they come: a server that drips would hold back a block of fixed size for hours."""
    from urllib3.exceptions import HTTPError

    read = getattr(answer.raw, "read1", answer.raw.read)
    try:
        while block := read(_STEP):
            yield block
    except HTTPError as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _require_within(bounds: Bounds, written: int, seconds: float) -> None:
    if written > bounds.bytes:
        raise TooMuch(f"more than {bounds.bytes} bytes: given up")
    if seconds > bounds.seconds:
        raise TooMuch(f"not done after {bounds.seconds:.0f} s: given up")
    if seconds > bounds.patience and written < bounds.rate * seconds:
        raise TooMuch(
            f"{written} bytes in {seconds:.0f} s, less than {bounds.rate:.0f} a second: given up"
        )


# Weights from a URL: a mirror first, checked before they are put in place, never half a file.


__all__ = ["fetch", "file_name", "first_use", "is_url", "local_path"]

_MARK = re.compile(r"-([0-9a-f]{8,64})\.")
#: How a file of weights begins: a zip archive (torch, .pt2), a pickle, HDF5. Safetensors begin with the
#: length of their header, which is JSON.
_BEGINNINGS = (
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
    b"\x89HDF\r\n\x1a\n",
)


def local_path(url: str, folder: Path) -> Path:
    """Where the file of `url` lies in `folder`. Names without a digest carry one of their address:
    "model.safetensors" is what half of all networks are called.
    """
    name = Path(file_name(url))
    if _MARK.search(name.name):
        return folder / name
    address = urlsplit(url)._replace(query="", fragment="").geturl()
    return folder / f"{name.stem}.{hashlib.sha256(address.encode()).hexdigest()[:8]}{name.suffix}"


def _expected(url: str, path: Path, sha256: str | None) -> str:
    """The digest, or its beginning, that the file must have: the card's, its name's, or the one that was
    recorded at first use; "" where none is known.
    """
    mark = _MARK.search(file_name(url))
    return sha256 or (mark.group(1) if mark else "") or _recorded(path)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _recorded(path: Path) -> str:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _mismatch(path: Path, expected: str, source: str) -> WeightsError | None:
    """An error where the file's digest does not begin with `expected` (empty: any will do)."""
    got = digest_file(path) if expected else ""
    if got.startswith(expected):
        return None
    return WeightsError(
        f"SHA-256 of {Path(source).name} from {source}: expected {expected}, got {got}. The file "
        "was not used. The download may be damaged or replaced: try again, another mirror, or check "
        "the card's file_sha256."
    )


def _no_weights(path: Path, source: str) -> WeightsError | None:
    """An error where what came is no file of weights at all: an HTML page, most often."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_BEGINNINGS) or start[8:9] == b"{":
        return None
    kind = "an HTML page" if start.lstrip()[:1] == b"<" else "something else"
    return WeightsError(
        f"{source} answered with {kind}, not with a file of weights: it was not kept. Open the "
        "address in a browser: does it ask for a login or for terms to be accepted?"
    )


def _places(url: str, mirror: str | None) -> Iterator[str]:
    """Where to look, in order: MIRROR/NAME, then the URL itself."""
    if mirror:
        yield f"{mirror.rstrip('/')}/{file_name(url)}"
    yield url


def _retrieve(place: str, target: Path) -> None:
    """Bring one file to `target`. Raises OSError."""
    if is_url(place):
        download(place, target)
    else:
        shutil.copyfile(place.removeprefix("file://"), target)


def _attempt(place: str, target: Path, expected: str) -> str:
    """Try one place; the file is put at `target` whole and checked, or not at all. Returns what
    failed.
    """
    with part_of(target) as part:
        try:
            _retrieve(place, part)
            problem = _mismatch(part, expected, place) if expected else _no_weights(part, place)
            if problem is None:
                part.replace(target)
            return str(problem or "")
        except (OSError, ValueError) as error:
            return f"{place}: {type(error).__name__}: {error}"


def fetch(url: str, folder: Path, sha256: str | None = None, mirror: str | None = None) -> Path:
    """The file of `url` in `folder`, downloaded unless it is there.

    sha256: the expected digest; without it, the one that the file's name carries
    (NAME-0676ba61.pth), else the one that was recorded at first use (`first_use`), if any. Raises
    WeightsError: nothing reachable (each place with its reason), no file of weights, or another digest.
    """
    target = local_path(url, folder)
    expected = _expected(url, target, sha256)
    if target.is_file():
        problem = _mismatch(target, expected, str(target))
        if problem is None:
            return target
        raise problem
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for place in _places(url, mirror):
        failure = _attempt(place, target, expected)
        if not failure:
            return target
        failures.append(failure)
    raise WeightsError(
        f"weights {file_name(url)} could not be fetched. {' | '.join(failures)} "
        f"Put the file at {target} yourself, or name a mirror (BENCH_MIRROR: a folder or URL)."
    )


@contextmanager
def first_use(url: str, folder: Path, sha256: str | None) -> Iterator[None]:
    """Keep what is downloaded within the block only if the block succeeds, and record its digest: later
    uses must find the same content. A file whose digest is known beforehand (`sha256`), or that lay
    there already, stays whatever happens.
    """
    path = local_path(url, folder)
    there = path.is_file()
    try:
        yield
    except BaseException:
        if not there and sha256 is None:
            path.unlink(missing_ok=True)
        raise
    if sha256 is None and path.is_file() and not _recorded(path):
        _record(path, url)


def _record(path: Path, url: str) -> None:
    write_whole(_note(path), json.dumps({"url": url, "sha256": digest_file(path)}, indent=1))


# Weights files inside installed packages, found without importing those packages (or torch).


def package_file(reference: str, install: str) -> Path:
    """The file of "package:PACKAGE/PATH" (PATH may be a glob), found without importing the package.

    Raises WeightsError where the package or the file is absent; `install` says how to get it.
    """
    package, _, inside = reference.removeprefix("package:").partition("/")
    try:
        # Only top-level names: the parents of others would be imported.
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"weights of package '{package}' are not installed. Get them: {install}."
        )
    for location in spec.submodule_search_locations:
        found = _matching(Path(location), inside)
        if found:
            return found[0]
    raise WeightsError(f"package '{package}' holds no {inside}. Reinstall it: {install}.")


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Files of the folder that fit a pattern, sorted; none for a pattern that is none, or that leads out of it."""
    try:
        found = sorted(folder.glob(pattern))
        root = folder.resolve()
        return [path for path in found if path.resolve().is_relative_to(root)]
    except (ValueError, NotImplementedError, OSError, RuntimeError):
        return []
