"""Errors of the benchmark. Their root is `registry.user_errors.BenchError`; each class says what it is for."""

from registry.user_errors import BenchError, CardError, LabelError, UnknownName, WeightsError, unknown_name

__all__ = [  # what `gestaltbench.errors` has
    "BenchError", "CardError", "LabelError", "MissingStimuli", "ModelFailure", "PluginError", "ScoresError",
    "StimuliError", "StoreError", "TrialsError", "UnknownName", "UsageError", "WeightsError", "unknown_name",
]  # fmt: skip

FAILURES = (Exception, SystemExit)  # errors that foreign code may end with. Ctrl-C is the user's own.


def failure_line(error: BaseException) -> str:
    """Return an error as one line; errors other than BenchError begin with their type."""
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
    """A table of published scores that is malformed or has forbidden names: nothing of it is imported."""


class StoreError(BenchError):
    """A database that cannot be read or written, or that a newer program wrote."""


class ModelFailure(BenchError):
    """A model that cannot give a valid answer. The failure is stored; other models continue."""


class UsageError(BenchError):
    """Options that contradict one another."""

    exit_code = 2


class PluginError(BenchError):
    """A suite that does not load or does not keep its contract."""
