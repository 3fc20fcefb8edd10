"""A data base server that goes away in the middle of a run and comes back: updates, restarts, a network that drops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from benchmark.errors import StoreError
from benchmark.store.place import Place

T = TypeVar("T")
PATIENCE = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Of PostgreSQL (appendix A of its manual): an administrator's shutdown, a crash, starting up, no connection left.
_GONE = frozenset(("57P01", "57P02", "57P03", "53300"))
_CONNECTION = "08"  # the class of connection errors
_log = logging.getLogger(__name__)


class ServerGone(StoreError):
    """The server of a data base does not answer, or ends connections."""


def server_gone(error: BaseException) -> bool:
    """Whether a driver's error says that the server cannot be reached at present, rather than that it refuses."""
    state = getattr(error, "sqlstate", None)
    if (
        state is None
    ):  # the connection was not made, or broke: only then the driver has no code of the server's
        return type(error).__name__ == "OperationalError"
    return state in _GONE or str(state).startswith(_CONNECTION)


def patiently(work: Callable[[], T], place: Place) -> T:
    """What `work` returns; it is tried again while a server is gone, at most `PATIENCE` seconds. A line says so."""
    try:
        return work()
    except ServerGone as error:
        _log.warning("%s: waiting for it, at most %.0f s", error, PATIENCE)
    start, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        time.sleep(pause)
        try:
            result = work()
        except ServerGone as error:
            if time.monotonic() - start >= PATIENCE:
                raise StoreError(
                    f"{error}; waited {PATIENCE:.0f} s for it. What is stored is kept: run again when it is back"
                ) from error
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            _log.warning("the leaderboard %s answers again", place.shown)
            return result
