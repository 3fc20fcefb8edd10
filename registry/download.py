"""Files from a mirror or their own address, and requests to endpoints: bounded, checked, put in place whole.

Logins and queries of addresses are used only for the transfer and never stored or shown."""

import hashlib
import importlib.util
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from registry import files
from registry.cards import ModelCard
from registry.files import WeightSources, digest_file, expanded, file_name, is_file, is_url
from registry.user_errors import WeightsError, unknown_name


class TransferError(OSError):
    """A request without a whole answer, or beyond its limits, or a file that no place has whole, and why."""


def send_request(
    method: str,
    url: str,
    write: Callable[[bytes], object],
    answered: Callable[[Any], None] = lambda _answer: None,
    *,
    seconds: float = 6 * 3600,
    most: int = 64 * 2**30,
    silence: float = 60,
    **request: Any,
) -> int:
    """Send a request, write the body of its answer block by block, and return its status. `answered` gets the answer
    before its body. The limits are seconds of all, `most` bytes, and seconds of silence; `request` is as requests has
    it (json, headers, ...). Raises TransferError; errors of `write` pass."""
    import requests  # costs more to import than a leaderboard to read

    end, outcome = time.monotonic() + seconds, Future[int]()

    def transfer() -> None:
        left, asked = most, {"timeout": min(silence, seconds), "stream": True, **request}
        try:
            with requests.Session() as session, session.request(method, url, **asked) as answer:
                answered(answer)
                for block in answer.iter_content(1 << 14):
                    left -= len(block)
                    if left < 0:
                        raise TransferError(f"more than {most} bytes: given up")
                    if time.monotonic() > end:  # nobody waits for the rest
                        return
                    write(block)
                outcome.set_result(answer.status_code)
        except Exception as error:  # noqa: BLE001 - of `write`, too: its caller's
            outcome.set_exception(_in_plain_words(error))

    # In a thread of its own: nothing else ends a read from a server that sends a byte now and then.
    threading.Thread(target=transfer, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        raise TransferError(f"timed out, not done after {seconds:g} s: given up") from error


def _in_plain_words(error: Exception) -> Exception:
    """Return an error of the transfer in words of gestaltbench: messages of libraries contain addresses."""
    import requests
    from urllib3.exceptions import HTTPError

    if not isinstance(error, (requests.RequestException, HTTPError)):
        return error
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "Incomplete" in str(error):
        return TransferError("cut short on the way")
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return TransferError("no answer in time: timed out")
    is_apart = isinstance(error, requests.ConnectionError)
    return TransferError("no connection to that host" if is_apart else type(error).__name__)


_MARK = re.compile(r"-([0-9a-f]{8,64})\.")


#: Bytes that are there, and bytes of the whole file if the server states them.
Tick = Callable[[int, int | None], None]


def download(place: str, target: Path | str, tick: Tick = lambda _done, _whole: None, **limits: Any) -> None:
    """Write the content of a URL, or of a file on this machine, to `target`, which a former attempt may have begun.
    limits: as `send_request` has them. Raises OSError; the bytes so far stay, unless the server refuses the request."""
    if not is_url(place):
        shutil.copyfile(expanded(place.removeprefix("file://")), target)
        return
    headers = {"Accept-Encoding": "identity"}  # the bytes that were published, and their true count
    with Path(target).open("ab") as file:
        done, whole = file.tell(), None
        headers |= {"Range": f"bytes={done}-"} if done else {}

        def begin(answer: Any) -> None:
            nonlocal done, whole
            if answer.status_code != HTTPStatus.PARTIAL_CONTENT:  # a server that cannot go on starts again
                file.truncate(0)
                done = 0
            length = answer.headers.get("Content-Length", "")
            whole = done + int(length) if length.isdecimal() else None

        def write(block: bytes) -> None:
            nonlocal done
            file.write(block)
            done += len(block)
            tick(done, whole)

        status = send_request("GET", place, write, begin, headers=headers, **limits)
        if status >= HTTPStatus.BAD_REQUEST:
            file.truncate(0)
            raise TransferError(f"HTTP status {status}")


def fetch_whole(
    places: Iterator[str],
    target: Path,
    sha256: str = "",
    report: Callable[[str], None] = lambda _line: None,
    tick: Tick = lambda _done, _whole: None,
) -> None:
    """Put a file at `target` from the first source that has all of it; an interrupted download is continued. `sha256`
    begins its digest, if known. `report` receives each source and its fault, which TransferError lists, too."""
    failures = []
    room = target.with_name(f".{target.name}.part")
    with files.locked(room):
        new = room / target.name
        for place in places:
            shown = files.redacted(files.public(place))
            report(f"getting {shown}")
            try:
                download(place, new, tick)
                with new.open("rb") as file:
                    start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
                if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
                    wrong = "a web page instead of the file: does it ask for a login, or for terms to be accepted?"
                elif wrong := mismatch(new, sha256):
                    wrong = f"wrong content: {wrong}"
                if wrong:
                    new.unlink()
                    raise ValueError(wrong)
                new.replace(target)
                shutil.rmtree(room, ignore_errors=True)
                return
            except (OSError, ValueError) as error:
                report(reason := getattr(error, "strerror", None) or str(error) or type(error).__name__)
                failures.append(f"{shown}: {reason}")
        if not new.is_file() or not new.stat().st_size:
            shutil.rmtree(room, ignore_errors=True)
    raise TransferError("; ".join(failures) or "no source is known")


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


def recorded_digest(path: Path) -> str:
    """Return the digest that was recorded for a file; "" if none was."""
    note = path.with_name(f"{path.name}.sha256")
    return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


def local_path(url: str, folder: Path) -> Path:
    """Return the path in `folder` of the file of `url`: many are called "model.safetensors" and get a digest."""
    name = Path(file_name(url))
    if _MARK.search(name.name):
        return folder / name
    address = hashlib.sha256(files.public(url).encode()).hexdigest()
    return folder / f"{name.stem}.{address[:8]}{name.suffix}"


def fetch_weights(url: str, folder: Path, sha256: str | None = None, mirror: str | None = None) -> Path:
    """Return the file of `url` in `folder`, downloaded unless it exists. Its digest is `sha256`, or in its name
    (NAME-0676ba61.pth), or was recorded at first use (`first_use`). Raises WeightsError if nothing is reachable (each
    place with its reason), or if a page or another digest arrives."""
    target, name = local_path(url, folder), file_name(url)
    mark = _MARK.search(name)
    digest = sha256 or (mark.group(1) if mark else "") or recorded_digest(target)
    if target.is_file():
        if problem := mismatch(target, digest):
            raise WeightsError(f"weights {target}: {problem}. Delete it to get it again or see the card's file_sha256.")
        return target
    try:
        fetch_whole(places_of(name, url, mirror), target, digest)
    except OSError as error:
        hint = f"Put the file at {target} yourself, or name a mirror (BENCH_MIRROR: a folder or URL)."
        raise WeightsError(f"weights {name} could not be fetched. {error}. {hint}") from error
    return target


@contextmanager
def first_use(path: Path, sha256: str | None) -> Iterator[None]:
    """Keep a file downloaded within the block only if the block succeeds, and record its digest for later uses. A file
    whose digest is known beforehand (`sha256`), or that lay there already, stays whatever happens."""
    there = path.is_file()
    try:
        yield
    except BaseException:
        if not there and sha256 is None:
            path.unlink(missing_ok=True)
        raise
    if sha256 is None and path.is_file() and not recorded_digest(path):
        files.write_whole(path.with_name(f"{path.name}.sha256"), digest_file(path))


def package_file(reference: str, install: str) -> Path:
    """Return the file of "package:PACKAGE/PATH" (PATH may be a glob), found without importing the package. Raises
    WeightsError if the package or the file is absent; install: how to get it."""
    package, _, inside = reference.removeprefix("package:").partition("/")
    # Raised for no package, and for a pattern that is none or leads out of the package.
    with suppress(ImportError, ValueError, NotImplementedError, OSError, RuntimeError):
        # Only top-level names: the parents of others would be imported.
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        for location in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(location).glob(inside)):
                if path.resolve().is_relative_to(Path(location).resolve()):
                    return path
    raise WeightsError(f"not installed: no {inside} in a package '{package}': {install}.")


def local_file(card: ModelCard, weights_folder: Path) -> Path:
    """Return the path of the card's weights file, which a download may still have to create."""
    weights = card.weights or ""
    if weights.startswith("builtin:"):
        return Path(__file__).parent / weights.removeprefix("builtin:")
    if weights.startswith("package:"):
        return package_file(weights, str(card.options.get("install", "install the package that the card names")))
    return local_path(weights, weights_folder) if is_url(weights) else expanded(weights)


def is_file_reference(weights: str) -> bool:
    """Return whether weights are named by a file or an address, and not by a library's word for them."""
    return is_url(weights) or bool(Path(weights).suffix) or weights.startswith("builtin:")


def weights_path(card: ModelCard, place: WeightSources) -> Path:
    """Return the card's weights file, downloaded if missing. Raises WeightsError for another file."""
    if card.source == "torchvision" and not is_file_reference(card.weights or ""):
        from torchvision import models

        kinds = models.get_model_weights(card.arch.partition(":")[2])
        names, wanted = ["DEFAULT", *(entry.name for entry in kinds)], card.weights or "DEFAULT"
        if wanted not in names:
            raise unknown_name("torchvision weights", wanted, names)
        url = kinds[wanted].url
        return place.caches.torch_file(file_name(url)) or fetch_weights(url, place.weights_folder, None, place.mirror)
    if is_url(card.weights):
        return fetch_weights(str(card.address), place.weights_folder, card.file_sha256, place.mirror)
    path = local_file(card, place.weights_folder)
    if card.file_sha256 and is_file(path) and digest_file(path) != card.file_sha256:
        raise WeightsError(f"digest of {path}: expected {card.file_sha256} ('{card.name}'), got {digest_file(path)}.")
    return path


def missing_weights(card: ModelCard, place: WeightSources) -> str:
    """Return what keeps a card's weights off this machine, "" if nothing does; neither timm nor torchvision loads."""
    weights, caches = card.weights or "", place.caches
    if (head := card.options.get("head")) and not is_file(Path(head)):
        return f"missing: {head}"
    if card.source in ("ideal", "api") or weights.startswith("random:"):
        return ""
    library = card.source in ("timm", "torchvision", "hub") and not weights.startswith("package:")
    if library and not is_file_reference(weights):
        repository = str(card.options.get("repository") or card.arch.removeprefix("hf_hub:"))
        cached = any(map(caches.hub_has, (repository, f"timm/{card.arch.removeprefix('timm:')}")))
        if card.source == "torchvision":
            cached = caches.torch_file(str(card.options.get("file", ""))) is not None
        return "" if cached else "downloads on use"
    try:
        path = local_file(card, place.weights_folder)
    except WeightsError as error:
        return str(error)
    if not weights or is_file(path) or files.is_folder(path):
        return ""
    return "downloads on use" if is_url(weights) else f"missing: {path}"
