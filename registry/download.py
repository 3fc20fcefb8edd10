"""Files from a mirror, or else from their own address: bounded in time and size, checked, put in place whole.

Logins and queries of addresses are used only for the transfer and never stored or shown."""

import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from registry.errors import WeightsError
from registry.files import digest_file, expanded, file_name, folder_in, is_file, is_url, public, redacted, write_whole

_MARK = re.compile(r"-([0-9a-f]{8,64})\.")


class NotFetched(OSError):
    """A file that no place has whole. The message names each place with its reason."""


def download(place: str, target: Path | str, **limits: float) -> None:
    """Write the content of a URL, or of a file on this machine, to `target`. limits: other than usual, as
    `TransferLimits` has them. Raises OSError; the caller removes a partial file."""
    if not is_url(place):
        shutil.copyfile(expanded(place.removeprefix("file://")), target)
        return
    from registry.transport import TransferError, TransferLimits, status_text, transfer

    headers = {"Accept-Encoding": "identity"}  # the bytes that were published, and their true count
    with Path(target).open("wb") as file:
        status = transfer("GET", place, file, TransferLimits(**limits), headers=headers)  # type: ignore[arg-type]
    if status >= HTTPStatus.BAD_REQUEST:
        raise TransferError(status_text(status))


def fetch_whole(
    places: Iterator[str], target: Path, sha256: str = "", report: Callable[[str], None] = lambda _line: None
) -> None:
    """Put a file at `target` from the first source that has all of it. sha256: its digest or the beginning of it, if
    known; report: receives each source and its fault. Raises NotFetched."""
    failures = []
    target.parent.mkdir(parents=True, exist_ok=True)
    for place in places:
        shown = redacted(public(place))
        report(f"getting {shown}")
        try:
            with folder_in(target.parent, f".{target.name}.") as room:
                download(place, new := room / target.name)
                _require_file(new, sha256)
                new.replace(target)
                return
        except (OSError, ValueError) as error:
            report(reason := getattr(error, "strerror", None) or str(error) or type(error).__name__)
            failures.append(f"{shown}: {reason}")
    raise NotFetched("; ".join(failures) or "no source is known")


def _require_file(path: Path, sha256: str) -> None:
    """Raise ValueError if what came is something else."""
    with path.open("rb") as file:
        start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise ValueError("a web page instead of the file: does it ask for a login, or for terms to be accepted?")
    if problem := mismatch(path, sha256):
        raise ValueError(f"wrong content: {problem}")


def mismatch(path: Path, sha256: str) -> str:
    """Return the fault of a file whose digest does not begin with `sha256`, or ""."""
    got = digest_file(path) if sha256 else ""
    if got.startswith(sha256):
        return ""
    return f"expected SHA-256 {sha256}, got {got}, so it was not used; it was changed there or damaged on the way"


def places_of(name: str, url: str | None, mirror: str | None) -> Iterator[str]:
    """Yield where to look for a file, in order: MIRROR/NAME, then its own address."""
    if mirror and (is_url(mirror) or is_file(expanded(mirror.removeprefix("file://")) / name)):
        yield f"{mirror.rstrip('/')}/{name}"
    if url:
        yield url


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def recorded(path: Path) -> str:
    """Return the digest that was recorded for a file; "" if none was."""
    try:
        return str(json.loads(_note(path).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def record(path: Path, url: str | None) -> str:
    """Note the digest of a file beside it, and return it."""
    digest = digest_file(path)
    write_whole(_note(path), json.dumps({"url": public(url or ""), "sha256": digest}, indent=1))
    return digest


def forget(path: Path) -> None:
    """Delete a file that turned out to be useless, with its note."""
    path.unlink(missing_ok=True)
    _note(path).unlink(missing_ok=True)


def local_path(url: str, folder: Path) -> Path:
    """Return the path in `folder` of the file of `url`. Names without a digest carry one of their address:
    "model.safetensors" is what half of all networks are called."""
    name = Path(file_name(url))
    if _MARK.search(name.name):
        return folder / name
    address = hashlib.sha256(public(url).encode()).hexdigest()
    return folder / f"{name.stem}.{address[:8]}{name.suffix}"


def fetch(url: str, folder: Path, sha256: str | None = None, mirror: str | None = None) -> Path:
    """Return the file of `url` in `folder`, downloaded unless it exists.

    sha256: the expected digest; without it, the one that the file's name carries (NAME-0676ba61.pth), otherwise the one
    that was recorded at first use (`first_use`), if any. Raises WeightsError: nothing reachable (each place with its
    reason), a page instead of the file, or another digest."""
    target, name = local_path(url, folder), file_name(url)
    mark = _MARK.search(name)
    digest = sha256 or (mark.group(1) if mark else "") or recorded(target)
    if target.is_file():
        if problem := mismatch(target, digest):
            raise WeightsError(
                f"weights {target}: {problem}. Delete it to get it again, or check the card's file_sha256."
            )
        return target
    try:
        fetch_whole(places_of(name, url, mirror), target, digest)
    except OSError as error:
        raise WeightsError(
            f"weights {name} could not be fetched. {error}. "
            f"Put the file at {target} yourself, or name a mirror (BENCH_MIRROR: a folder or URL)."
        ) from error
    return target


@contextmanager
def first_use(url: str, folder: Path, sha256: str | None) -> Iterator[None]:
    """Keep a file downloaded within the block only if the block succeeds, and record its digest for later uses. A file
    whose digest is known beforehand (`sha256`), or that lay there already, stays whatever happens."""
    path = local_path(url, folder)
    there = path.is_file()
    try:
        yield
    except BaseException:
        if not there and sha256 is None:
            path.unlink(missing_ok=True)
        raise
    if sha256 is None and path.is_file() and not recorded(path):
        record(path, url)


def package_file(reference: str, install: str) -> Path:
    """Return the file of "package:PACKAGE/PATH" (PATH may be a glob), found without importing the package.

    Raises WeightsError if the package or the file is absent; install: how to get it."""
    package, _, inside = reference.removeprefix("package:").partition("/")
    try:
        # Only top-level names: the parents of others would be imported.
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"weights of package '{package}' are not installed. Get them: {install}.")
    for location in spec.submodule_search_locations:
        # None for a pattern that is none, or that leads out of the package.
        with suppress(ValueError, NotImplementedError, OSError, RuntimeError):
            root = Path(location).resolve()
            for path in sorted(Path(location).glob(inside)):
                if path.resolve().is_relative_to(root):
                    return path
    raise WeightsError(f"package '{package}' holds no {inside}. Reinstall it: {install}.")
