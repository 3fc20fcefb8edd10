"""What a driver's error means: what happened, where, what to do; and waiting for what is unavailable at present."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from benchmark.display import masked
from benchmark.errors import StoreError
from benchmark.store.place import Place
from benchmark.store.sql import NOT_WRITTEN

T = TypeVar("T")
LOCK_TIMEOUT = 30.0  # seconds that a writer waits for another one
LONGEST_WAIT = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Of PostgreSQL (appendix A of its manual): an administrator's shutdown, a crash, starting up, no connection left.
_GONE = frozenset(("57P01", "57P02", "57P03", "53300"))
_ROOM = 2**16  # bytes: what SQLite's side files take at least
_CONNECTION = "08"  # the class of connection errors

log = logging.getLogger(__name__)


class Unavailable(StoreError):
    """A data base that cannot be used at present. what: why, without what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}: {remedy}" if remedy else what)
        self.what = what


def retry(work: Callable[[], T], shown: str) -> T:
    """What `work` returns; it is tried again while the data base `shown` is unavailable, at most `LONGEST_WAIT`
    seconds. A line says so.
    """
    start, pause = time.monotonic(), _FIRST_PAUSE
    try:
        return work()
    except Unavailable as error:
        log.warning("%s: waiting for it, at most %.0f s", error.what, LONGEST_WAIT)
    while True:
        time.sleep(pause)
        try:
            result = work()
        except Unavailable as error:
            if time.monotonic() - start >= LONGEST_WAIT:
                raise StoreError(
                    f"{error.what}; waited {LONGEST_WAIT:.0f} s for it. What is stored is kept: run again later"
                ) from error
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            log.warning("the leaderboard %s can be used again", shown)
            return result


def server_gone(error: BaseException) -> bool:
    """Whether a driver's error says that the server cannot be reached at present, rather than that it refuses."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        # The connection was not made, or broke: only then the driver has no code of the server's.
        return type(error).__name__ == "OperationalError"
    return state in _GONE or str(state).startswith(_CONNECTION)


@contextmanager
def as_store_errors(place: Place) -> Iterator[None]:
    """Turns SQLAlchemy's errors into StoreError: what happened, where, what to do."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise StoreError(
            f"the leaderboard {place.shown} refused a row that refers to nothing stored: "
            f"{_in_words(place, error.orig or error)}"
        ) from error
    except sa.exc.DBAPIError as error:
        raise _explained(place, error.orig or error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise damaged(place, "text that is no text") from error
    except sa.exc.TimeoutError as error:
        raise StoreError(f"the leaderboard {place.shown} has no free connection: {error}") from error


@contextmanager
def as_written(place: Place) -> Iterator[None]:
    """Reads what this program wrote. What has another form is damage, not a mistake of the reader."""
    try:
        yield
    except sa.exc.InvalidRequestError as error:
        raise damaged(place, "rows refer to others that are not there") from error
    except NOT_WRITTEN as error:
        raise damaged(place, f"{type(error).__name__}: {error}") from error


def damaged(place: Place, why: str) -> StoreError:
    """The error for a leaderboard that no program of ours wrote like this."""
    return StoreError(
        f"{place.shown} is damaged: it holds what gestaltbench does not write ({why}). Restore it from a backup, "
        "or start a new one with `--db`."
    )


def no_leaderboard(shown: str) -> StoreError:
    """The error for reading what nobody has made yet."""
    return StoreError(f"no leaderboard at {shown}: `bench run` makes one")


def read_only(shown: str, why: str) -> StoreError:
    """The error for writing where this user cannot."""
    return StoreError(
        f"the leaderboard {shown} cannot be written: {why}. Change its permissions, "
        "or write to a copy elsewhere with `--db`."
    )


def _explained(place: Place, error: BaseException) -> StoreError:
    text, shown = _in_words(place, error), place.shown
    if not place.sqlite and server_gone(error):
        return Unavailable(f"the leaderboard {shown} cannot be used: no connection to its server ({text})")
    if "readonly database" in text:
        return read_only(shown, "the file or its folder is read-only")
    if "is locked" in text:
        return Unavailable(
            f"the leaderboard {shown} was held by another process for more than {LOCK_TIMEOUT:.0f} s",
            "wait for it to end and run again; what is stored is kept",
        )
    if "Could not decode" in text:
        return damaged(place, "bytes that are no text")
    if "malformed" in text or "not a database" in text:
        return StoreError(
            f"{shown} is not a leaderboard or is damaged ({text}): restore it from a backup, "
            "or start a new one with `--db`"
        )
    full = place.path is not None and shutil.disk_usage(place.path.parent).free < _ROOM
    if "disk is full" in text or "No space left" in text or (full and "disk I/O" in text):
        return StoreError(f"the disk of the leaderboard {shown} is full: make room and run again")
    return StoreError(f"the leaderboard {shown} cannot be used: {text}")


def _in_words(place: Place, error: BaseException) -> str:
    """A driver's words in one line; a driver may quote the URL that it was given."""
    text, password = " ".join(str(error).split()), place.server and place.server.password
    return masked(text.replace(str(password), "***") if password else text)
