"""What can go wrong for a user, as one tree.

    BenchError                  one clear message for a person; never shown with a traceback
    |-- CardError               a model card is malformed
    |-- WeightsError            a checkpoint cannot be read, does not fit, or has another digest
    |-- LabelError              class lists and label spaces do not fit each other
    |-- AnswerError             a function or an endpoint does not answer as asked
    |-- UnknownName             an unknown name; the message has close matches
    `-- (those of the rooms above)

A message names the fault, its place, the expected form and the next step.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from itertools import islice

from registry.files import redacted

SHOWN = 20
#: Characters of a message: a name in a hostile file may have a million.
LONGEST = 3_000


class BenchError(Exception):
    """A user's mistake or an environment's limit. `exit_code` is the exit status of the command line."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
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
    """The first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(islice(names, shown)) + more


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownName:
    """The error for an unknown `kind` ("model", ...): close matches first, then what there is."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=5, cutoff=0.5)
    parts = [f"no {kind} is called '{name}'."]
    if close:
        parts.append(f"Did you mean: {', '.join(close)}?")
    if names:
        more = f" ... ({len(names)} in all)" if len(names) > SHOWN else ""
        parts.append(f"Known: {', '.join(names[:SHOWN])}{more}.")
    if hint:
        parts.append(hint)
    return UnknownName(" ".join(parts))
