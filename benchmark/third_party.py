"""Load what other packages offer through entry points; report with its reason what cannot be used."""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import TypeVar

from benchmark.failures import FAILURES

T = TypeVar("T")


def load_each(entries: Iterable[EntryPoint], load: Callable[[EntryPoint], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Return what loads, in the order of its names, and name -> why the rest cannot be used."""
    loaded: dict[str, T] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            loaded[entry.name] = load(entry)
        except FAILURES as error:  # the boundary of a plugin: recorded by name
            broken[entry.name] = f"{entry.value} cannot be used: {type(error).__name__}: {error}"
    return loaded, broken
