"""Translate a driver's error into the problem, its place and the remedy; wait for an unavailable server."""

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from benchmark.failures import StoreError
from benchmark.store.location import Location
from benchmark.store.sql import NOT_WRITTEN

T = TypeVar("T")
LOCK_TIMEOUT = 30.0  # seconds that a writer waits for another one
LONGEST_WAIT = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Of PostgreSQL (appendix A of its manual): an administrator's shutdown, a crash, starting up, no connection left.
#: "08" is the class of connection errors.
_GONE = ("08", "57P01", "57P02", "57P03", "53300")
_ROOM = 2**16  # bytes: what SQLite's side files take at least

log = logging.getLogger(__name__)


class Unavailable(StoreError):
    """A data base that cannot be used at present."""


def retry(work: Callable[[], T], shown: str, reached: Callable[[], bool] = lambda: True) -> T:
    """Return the result of `work`; repeat it while the database is unavailable, once it was reached."""
    start, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        try:
            result = work()
        except Unavailable as error:
            if pause == _FIRST_PAUSE:
                if not reached():
                    raise
                log.warning("%s: waiting for it, at most %.0f s", error, LONGEST_WAIT)
            if time.monotonic() - start >= LONGEST_WAIT:
                kept = "What is stored is kept: run again later"
                raise StoreError(f"{error}; waited {LONGEST_WAIT:.0f} s for it. {kept}") from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if pause != _FIRST_PAUSE:
                log.warning("the leaderboard %s can be used again", shown)
            return result


@contextmanager
def as_store_errors(location: Location, *, reading: bool = False) -> Iterator[None]:
    """Turn SQLAlchemy's errors into StoreError: problem, place, remedy. reading: another form of data is damage."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        why = _in_words(location, error.orig or error)
        raise StoreError(f"{location.shown} refused a row that refers to nothing stored: {why}") from error
    except sa.exc.DBAPIError as error:
        raise _explained(location, error.orig or error, broken=error.connection_invalidated) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise damaged(location.shown, "text in no known encoding") from error
    except sa.exc.TimeoutError as error:
        raise StoreError(f"the leaderboard {location.shown} has no free connection: {error}") from error
    except (sa.exc.InvalidRequestError, *NOT_WRITTEN) as error:
        if not reading:
            raise
        raise damaged(location.shown, f"{type(error).__name__}: {error}") from error


def damaged(what: str, why: str) -> StoreError:
    """Return the error for what no program of ours wrote like this: a leaderboard, or a part of one."""
    return StoreError(f"{what} is damaged: {why}. Restore the leaderboard from a backup, or start one with `--db`.")


def not_sqlite(shown: str, why: str) -> StoreError:
    """Return the error for a file that SQLite cannot read."""
    return StoreError(f"{shown} is not a leaderboard or is damaged ({why}): restore it, or start one with `--db`")


def no_leaderboard(shown: str) -> StoreError:
    """Return the error for reading a leaderboard that does not exist yet."""
    return StoreError(f"no leaderboard at {shown}: `bench run` makes one")


def read_only(shown: str) -> StoreError:
    """Return the error for writing where this user cannot."""
    return StoreError(f"the leaderboard {shown} is read-only: change its permissions, or write to a copy with `--db`.")


def _explained(location: Location, error: BaseException, *, broken: bool) -> StoreError:
    text, shown, state = _in_words(location, error), location.shown, getattr(error, "sqlstate", None)
    # Only of a connection that was not made, or broke, the driver has no code of the server's.
    gone = type(error).__name__ == "OperationalError" if state is None else str(state).startswith(_GONE)
    if location.server is not None and (broken or gone):
        return Unavailable(f"the leaderboard {shown} cannot be used: no connection to its server ({text})")
    if "readonly database" in text:
        return read_only(shown)
    if "is locked" in text:
        return Unavailable(f"the leaderboard {shown} was held by another process for more than {LOCK_TIMEOUT:.0f} s")
    if any(words in text for words in ("malformed", "not a database", "Could not decode")):
        return not_sqlite(shown, text)
    full = location.path is not None and shutil.disk_usage(location.path.parent).free < _ROOM
    if "disk is full" in text or "No space left" in text or (full and "disk I/O" in text):
        return StoreError(f"the disk of the leaderboard {shown} is full: make room and run again")
    return StoreError(f"the leaderboard {shown} cannot be used: {text}")


def _in_words(location: Location, error: BaseException) -> str:
    """A driver's words in one line; a driver may quote the URL that it was given."""
    text, password = " ".join(str(error).split()), location.server and location.server.password
    return re.sub(rf"(?<!\w){re.escape(str(password))}(?!\w)", "***", text) if password else text
