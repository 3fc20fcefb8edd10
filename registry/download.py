"""One file over HTTP: bounded in time and size, and whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
