"""What may be shown to a person: text that moves no cursor and tells no password."""

import re
from collections.abc import Mapping
from typing import Any

from registry.files import public, redacted

#: Characters of a line in a file or a pipe: no table is as wide, so nothing wraps and no name is split.
UNBOUNDED = 10_000


def printable(text: str, kept: str = "") -> str:
    """Text without control, format and other invisible characters, each replaced by one that is seen, but for those
    that are `kept`.

    A name cannot move a terminal's cursor, turn the reading direction, or break a table."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else " " if c.isspace() else "?" for c in text)


def printable_lines(text: str) -> str:
    """As `printable`, for text of several lines: line ends and tabs stay."""
    return printable(text, "\n\t")


def counted(n: int, noun: str) -> str:
    """ "1 headline", "3 headlines", "2 summaries", "2 matrices"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun[:-1]}ces" if noun.endswith("x") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"


_FILE_URL = re.compile(r"\b(sqlite|file):/{2,}(?:[^\s/'\"]+/)*")
_SERVER = re.compile(r"\b(postgresql|mysql|mariadb)(\+\w+)?://[^\s/'\"]*(/\w*)?(\?[^\s'\"]*)?")
#: A path from the root, from a home or from a drive, in which something stands before the last name.
_NAME = r"[^\s/\\'\"<>]+"
_PATH = re.compile(rf"(?<![\w/.~-])(?:~\w*/(?:{_NAME}/)*|(?:/(?!/)|[A-Za-z]:\\)(?:{_NAME}[/\\])+)(?={_NAME})")
_WEB_LOGIN = re.compile(r"\b(https?://)[^\s/'\"]*@")


def published(value: Any) -> Any:
    """Text and plain data as others may have them: paths without the folders of this machine, data bases without their
    hosts, addresses of the web without logins."""
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
    """About how long, for a person: "40 s", "12 min", "3 h 20 min", "2 days 4 h"."""
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
