"""The location of a leaderboard: an SQLite file, or a PostgreSQL database."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmark.failures import StoreError
from registry.files import expanded, redacted


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a leaderboard is."""

    path: Path | None  # the SQLite file (None: PostgreSQL)
    shown: str  # for messages
    server: sa.URL | None = None  # the URL of a PostgreSQL


def parse_location(url_or_path: str) -> Location:
    """Return a path, "sqlite:///file" or "postgresql://user@host/name" -> where it is. Raises StoreError on others."""
    if "://" not in url_or_path:
        if redacted(url_or_path) != url_or_path:  # no file is named after a password
            raise StoreError(f"'{url_or_path}' is not a database URL: expected postgresql://USER:PASSWORD@HOST/NAME")
        path = expanded(url_or_path)
        return Location(path=path, shown=str(path))
    try:
        url = sa.make_url(url_or_path)
        shown = redacted(url.render_as_string(hide_password=True))
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"'{url_or_path}' is not a database URL") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        if "@" in (url.host or ""):  # a driver would name the end of the password as the host
            raise StoreError(f"{shown}: an '@' in a user's name or a password is written %40")
        return Location(path=None, shown=shown, server=url.set(drivername="postgresql+psycopg"))
    if backend != "sqlite" or url.database in (None, "", ":memory:"):
        other = backend if backend != "sqlite" else "memory"
        raise StoreError(f"a leaderboard lives in SQLite (a path) or PostgreSQL (postgresql://...), not in '{other}'")
    return Location(path=Path(url.database), shown=url.database)


def same_place(a: Location, b: Location) -> bool:
    """Return whether both are one leaderboard, also by another path, a link, or a second name of the file."""
    if a.path is None or b.path is None:
        return (a.path, a.server) == (b.path, b.server)
    with contextlib.suppress(OSError):
        return a.path.samefile(b.path)
    return os.path.realpath(a.path) == os.path.realpath(b.path)  # of links in a ring, too
