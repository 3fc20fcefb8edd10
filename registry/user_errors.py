"""Errors of a user's mistakes and the guard of foreign files. A message has fault, place, expected form, next step."""

import errno
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from registry.files import redacted

SHOWN = 20
#: Characters of a message: a name in a hostile file may have a million.
LONGEST = 3_000


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What helps against a refusal: a command before the refused one, words that it lacks, or that were meant."""

    before: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    wrong: str = ""
    instead: tuple[str, ...] = ()
    write: Callable[[], Path] | None = None  # on consent (`--convert`), makes a readable file and returns its path

    @property
    def lacking(self) -> tuple[str, ...]:
        """Return the words of the command that would be accepted."""
        return (*self.words, "--convert") if self.write else self.words


def completed(words: Sequence[str], lacking: Sequence[str]) -> list[str]:
    """Return a command with the options that it lacks; a value that it has is replaced."""
    whole, left = [*words], [*lacking]
    while left:
        option = left.pop(0)
        value = [left.pop(0)] if left and not left[0].startswith("--") else []
        if value and option in whole[:-1] and option not in ("--arch-option", "--ignore"):  # which are repeated
            whole[whole.index(option) + 1] = value[0]
        elif value or option not in whole:
            whole += [option, *value]
    return whole


class BenchError(Exception):
    """A user's mistake or an environment's limit. `exit_code` is the exit status of the command line."""

    exit_code = 1

    def __init__(self, message: str = "", remedy: Remedy = Remedy()) -> None:
        self.remedy = remedy
        if len(message) > LONGEST:  # no middle where it is too long to read
            message = f"{message[: LONGEST * 2 // 3]} [...] {message[-LONGEST // 3 :]}"
        # Fit for a terminal: no secret, and no character that moves its cursor.
        plain = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in redacted(message))
        super().__init__("".join(plain))


class CardError(BenchError):
    """A model card that cannot be used as written."""

    exit_code = 2


class WeightsError(BenchError):
    """A checkpoint that cannot be read, does not fit its architecture, or has another digest."""


class LabelError(BenchError):
    """Class lists and label spaces that do not fit each other."""

    exit_code = 2


class AnswerError(BenchError):
    """A function or an endpoint that does not answer, or otherwise than it was asked."""


class UnknownName(BenchError):
    """A name that nothing carries."""

    exit_code = 2


def some_of(names: Collection[str], shown: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(islice(names, shown)) + more


def unknown_name(
    kind: str, name: str, known: Iterable[str], hint: str = "", instead: tuple[str, ...] = ()
) -> UnknownName:
    """Return the error for an unknown `kind` ("model"), with close matches. instead: words that were meant."""
    names = sorted(set(known))
    close = [] if instead else get_close_matches(name, names, n=5, cutoff=0.5)
    text = f"no {kind} is called '{name}'."
    if close:
        text += f" Did you mean: {', '.join(close)}?"
    if names and not instead:
        more = f" ... ({len(names)} in all)" if len(names) > SHOWN else ""
        text += f" Known: {', '.join(names[:SHOWN])}{more}."
    return UnknownName(f"{text} {hint}".rstrip(), Remedy(wrong=name, instead=instead or tuple(close[:1])))


def library(module: str, extra: str, what: str, error: type[BenchError] = CardError) -> Any:
    """Return a module that only `what` needs. Raises `error`, which names the extra that installs it."""
    try:
        return import_module(module)
    except ImportError as problem:
        package = module.partition(".")[0]
        raise error(f"{what} needs the package '{package}': pip install 'gestaltbench[{extra}]'.") from problem


_CONTROLS = ("Cc", "Cs", "Zl", "Zp")
_TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@contextmanager
def foreign(
    what: str, path: object, error: type[BenchError], expected: str = "", failed: str = "cannot be read"
) -> Iterator[None]:
    """Guard what comes from elsewhere, a file or code: any failure in it becomes an `error` with its name, what failed,
    the reason, the expected form or the next step. Errors for a person, a full disk and a full GPU pass."""
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as problem:
        is_full = isinstance(problem, OSError) and problem.errno == errno.ENOSPC
        if is_full or (isinstance(problem, RuntimeError) and "out of memory" in str(problem).lower()):
            raise
        place = f"{what} {shown(path)}".strip()
        raise error(f"{place} {failed} ({reason(problem)}). {expected}".rstrip()) from problem


def reason(problem: BaseException) -> str:
    """Return the first line of an error, fit for a terminal, with its type if the text is too short."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    if isinstance(problem, SystemExit):
        return f"its code called sys.exit({problem.code!r})"
    lines = str(problem).strip()
    lines = lines if isinstance(problem, yaml.YAMLError) else lines.split("\n", 1)[0]
    text = shown(" ".join(re.sub(r" <_io\.[^>]*>", "", lines).split()))
    plain = isinstance(problem, (ValueError, OSError, RuntimeError)) and text
    text = text if plain else f"{type(problem).__name__}: {text}".rstrip(": ")
    return text if len(text) <= 300 else f"{text[:297]}..."


def unprintable(text: str) -> str:
    """Return the first character that must not reach a terminal, or "": controls, line and paragraph separators, lone
    surrogates, and changes of the writing direction (which can hide text)."""
    return next((c for c in text if c in _TURNS or unicodedata.category(c) in _CONTROLS), "")


def shown(text: object) -> str:
    """Return text for a message: what must not reach a terminal is written as an escape."""
    return "".join(c.encode("unicode_escape").decode() if unprintable(c) else c for c in str(text))
