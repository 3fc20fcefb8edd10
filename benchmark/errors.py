"""The benchmark's half of the error tree; its root and the drawing of it are in `registry.errors`.

BenchError
|-- StimuliError            an image, a folder or a catalogue entry that cannot be used
|   `-- MissingStimuli      a stimulus set that is not on this disk, with the command that gets it
|-- TrialsError             a file of trials that is malformed: which file, which row
|-- ScoresError             a table of published scores that is malformed, or names what it must not
|-- StoreError              a database that cannot be read or written, or is newer than this program
|-- ModelFailure            a model that cannot give a valid answer (NaN logits, out of memory at batch 1)
|-- UsageError              options that contradict one another
`-- PluginError             a suite of a third party that does not load or does not keep its contract
"""

from collections.abc import Iterator
from contextlib import contextmanager

from registry.errors import BenchError, CardError, LabelError, UnknownName, WeightsError, unknown_name

__all__ = [
    "BenchError", "CardError", "LabelError", "MissingStimuli", "ModelFailure", "PluginError", "ScoresError",
    "StimuliError", "StoreError", "TrialsError", "UnknownName", "UsageError", "WeightsError", "foreign_code",
    "unknown_name",
]  # fmt: skip


#: What somebody else's code may end a piece of work with: its errors, and `sys.exit`. Ctrl-C is the user's own.
FAILURES = (Exception, SystemExit)


def failure_line(error: BaseException) -> str:
    """An error as one line: a person's message as it is, a program's with its type."""
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({error.code!r})"
    text = " ".join(str(error).split())
    return text if isinstance(error, BenchError) else f"{type(error).__name__}: {text}".rstrip(": ")


class StimuliError(BenchError):
    """An image, a folder or a catalogue entry that cannot be used."""


class MissingStimuli(StimuliError):
    """A stimulus set that is not on this disk. The message names the command that gets it."""


class TrialsError(BenchError):
    """A malformed file of trials: nothing of that file is imported."""


class ScoresError(BenchError):
    """A table of published scores that is malformed, or that names what it must not: nothing of it is imported."""


class StoreError(BenchError):
    """A database that cannot be read or written, or that a newer program wrote."""


class ModelFailure(BenchError):
    """A model that cannot give a valid answer. Stored as a failure of that model; other work goes on."""


class UsageError(BenchError):
    """Options that contradict one another."""

    exit_code = 2


class PluginError(BenchError):
    """A suite that does not load or does not keep its contract."""


@contextmanager
def foreign_code(what: str) -> Iterator[None]:
    """Around a call of another package's function: its errors become a PluginError that begins with `what`. Memory that
    runs out goes on as it is: the engine answers it with smaller batches."""
    try:
        yield
    except Exception as error:
        if "out of memory" in str(error).lower():
            raise
        raise PluginError(f"{what} failed: {type(error).__name__}: {error}") from error
