"""Errors of the benchmark. Their root is `registry.user_errors.BenchError`; each class says what it is for."""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import TypeVar

from registry.user_errors import BenchError, CardError, LabelError, UnknownName, WeightsError, unknown_name

__all__ = [  # what `gestaltbench.errors` has
    "BenchError", "CardError", "LabelError", "MissingStimuli", "ModelFailure", "PluginError", "ScoresError",
    "StimuliError", "StoreError", "TrialsError", "UnknownName", "UsageError", "WeightsError", "unknown_name",
]  # fmt: skip

T = TypeVar("T")

FAILURES = (Exception, SystemExit)  # errors that foreign code may end with. Ctrl-C is the user's own.


def failure_line(error: BaseException) -> str:
    """Return an error as one line; errors other than BenchError begin with their type."""
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({error.code!r})"
    text = " ".join(str(error).split())
    return text if isinstance(error, BenchError) else f"{type(error).__name__}: {text}".rstrip(": ")


def load_each(entries: Iterable[EntryPoint], load: Callable[[EntryPoint], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Return what other packages offer and can be loaded, by name, and name -> why the rest cannot be used."""
    loaded, broken = dict[str, T](), dict[str, str]()
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            loaded[entry.name] = load(entry)
        except FAILURES as error:  # the boundary of a plugin: recorded by name
            broken[entry.name] = f"{entry.value} cannot be used: {type(error).__name__}: {error}"
    return loaded, broken


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
