"""What a driver's error means: what happened, where, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.display import masked
from benchmark.errors import StoreError
from benchmark.store import files
from benchmark.store.patience import Unavailable, server_gone
from benchmark.store.place import Place, read_only


@contextmanager
def as_written(place: Place) -> Iterator[None]:
    """Reads what this program wrote. What has another form is damage, not a mistake of the reader."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise damaged(place, f"{type(error).__name__}: {error}") from error


def damaged(place: Place, why: str) -> StoreError:
    """The error for a leaderboard that no program of ours wrote like this."""
    return StoreError(
        f"{place.shown} is damaged: it holds what gestaltbench does not write ({why}). Restore it from a backup, "
        "or start a new one with `--db`."
    )


def explain(place: Place, error: BaseException) -> StoreError:
    """The StoreError for a driver's error."""
    text, shown = in_words(place, error), place.shown
    if not place.sqlite and server_gone(error):
        return Unavailable(
            f"the leaderboard {shown} cannot be used: no connection to its server ({text})"
        )
    if "readonly database" in text:
        return read_only(shown, "the file or its folder is read-only")
    if "is locked" in text:
        return Unavailable(
            f"the leaderboard {shown} was held by another process for more than {files.TIMEOUT:.0f} s",
            "wait for it to end and run again; what is stored is kept",
        )
    if "malformed" in text or "not a database" in text:
        return StoreError(
            f"{shown} is not a leaderboard or is damaged ({text}): restore it from a backup, "
            "or start a new one with `--db`"
        )
    if "disk is full" in text:
        return StoreError(f"the disk of the leaderboard {shown} is full: make room and run again")
    return StoreError(f"the leaderboard {shown} cannot be used: {text}")


def in_words(place: Place, error: BaseException) -> str:
    """A driver's words in one line; a driver may quote the URL that it was given."""
    text, password = " ".join(str(error).split()), place.server and place.server.password
    return masked(text.replace(str(password), "***") if password else text)
