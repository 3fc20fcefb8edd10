"""Waiting for a data base that others keep: a server that restarts in the middle of a run, a file in many hands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from benchmark.errors import StoreError

T = TypeVar("T")
PATIENCE = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Of PostgreSQL (appendix A of its manual): an administrator's shutdown, a crash, starting up, no connection left.
_GONE = frozenset(("57P01", "57P02", "57P03", "53300"))
_CONNECTION = "08"  # the class of connection errors


class Unavailable(StoreError):
    """A data base that cannot be used at present. what: why, without what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}: {remedy}" if remedy else what)
        self.what = what


def server_gone(error: BaseException) -> bool:
    """Whether a driver's error says that the server cannot be reached at present, rather than that it refuses."""
    state = getattr(error, "sqlstate", None)
    if (
        state is None
    ):  # the connection was not made, or broke: only then the driver has no code of the server's
        return type(error).__name__ == "OperationalError"
    return state in _GONE or str(state).startswith(_CONNECTION)


def patiently(work: Callable[[], T], shown: str) -> T:
    """What `work` returns; it is tried again while the data base `shown` is unavailable, at most `PATIENCE` seconds.
    A line says so.
    """
    start, pause = time.monotonic(), _FIRST_PAUSE
    try:
        return work()
    except Unavailable as error:
        import logging  # it takes longer to import than to read a small leaderboard

        log = logging.getLogger(__name__)
        log.warning("%s: waiting for it, at most %.0f s", error.what, PATIENCE)
    while True:
        time.sleep(pause)
        try:
            result = work()
        except Unavailable as error:
            if time.monotonic() - start >= PATIENCE:
                raise StoreError(
                    f"{error.what}; waited {PATIENCE:.0f} s for it. What is stored is kept: run again later"
                ) from error
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            log.warning("the leaderboard %s can be used again", shown)
            return result
