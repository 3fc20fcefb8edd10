"""Text that is safe to show: without control characters, private paths and passwords."""

import re
from collections.abc import Mapping
from typing import Any

from registry.files import public, redacted

UNBOUNDED = 10_000  # width of a file or a pipe in characters: wider than every table, so that nothing wraps


def printable(text: str, kept: str = "") -> str:
    """Replace invisible characters except `kept`: a name must not move the cursor, turn text or break a table."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else " " if c.isspace() else "?" for c in text)


def printable_lines(text: str) -> str:
    """Make text `printable`, and keep line ends and tabs."""
    return printable(text, "\n\t")


def counted(n: int, noun: str) -> str:
    """Return "1 headline", "3 headlines", "2 summaries" or "2 matrices"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun[:-1]}ces" if noun.endswith("x") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"


_FILE_URL = re.compile(r"\b(sqlite|file):/{2,}(?:[^\s/'\"]+/)*")
_SERVER = re.compile(r"\b(postgresql|mysql|mariadb)(\+\w+)?://[^\s/'\"]*(/\w*)?(\?[^\s'\"]*)?")
#: A path from the root, a home or a drive, with a folder before the last name.
_NAME = r"[^\s/\\'\"<>]+"
_PATH = re.compile(rf"(?<![\w/.~-])(?:~\w*/(?:{_NAME}/)*|(?:/(?!/)|[A-Za-z]:\\)(?:{_NAME}[/\\])+)(?={_NAME})")
_WEB_LOGIN = re.compile(r"\b(https?://)[^\s/'\"]*@")


def published(value: Any) -> Any:
    """Return text and plain data for others, without this machine's folders, hosts of databases and web logins."""
    if isinstance(value, str):
        text = _SERVER.sub(r"\1://...\3", _FILE_URL.sub(r"\1:///", value))
        return _PATH.sub("", _WEB_LOGIN.sub(r"\1", redacted(text))) if "/" in text or "\\" in text else text
    if isinstance(value, Mapping):
        plain = {name: published(held) for name, held in value.items()}
        if isinstance(plain.get("weights"), str):
            plain["weights"] = public(plain["weights"])
        return plain
    if isinstance(value, list | tuple):
        return type(value)(published(held) for held in value)
    return value


def duration(seconds: float) -> str:
    """Return a rounded duration: "40 s", "12 min", "3 h 20 min", "2 days 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} day{'s' if days > 1 else ''} {hours} h"
