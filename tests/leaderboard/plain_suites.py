"""Suites that have metrics and nothing else, and tables as a terminal shows them."""

from types import SimpleNamespace

from rich.console import Console

from benchmark.contracts import Metric
from benchmark.leaderboard.forms import terminal


def plain_suite(name, *metrics, **fields):
    """Version 2 of a suite. metrics: by default one that is its headline."""
    own = {"references": {}, "against": None, "experiments": {}, "questions": {}, **fields}
    metrics = metrics or (Metric(name="head", title="head", definition="", direction="higher", headline=True),)
    return SimpleNamespace(name=name, version=2, metrics=metrics, **own)


def text(tables, width=200, limit=None):
    """Tables as plain text without colours or trailing spaces."""
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(terminal(tables, width, limit))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
