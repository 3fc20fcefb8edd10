"""Suites, boards and paired tests that have what a test needs, and tables as a terminal shows them."""

from types import SimpleNamespace

from rich.console import Console

from benchmark.contracts import Metric
from benchmark.leaderboard.board_model import Board
from benchmark.leaderboard.forms import terminal
from benchmark.stats.comparisons import Comparison, SuiteComparison, decided
from benchmark.stats.differences import Discordant


def plain_suite(name, *metrics, **fields):
    """Version 2 of a suite. metrics: by default one that is its headline."""
    own = {"references": {}, "against": None, "experiments": {}, "questions": {}, **fields}
    metrics = metrics or (Metric(name="head", title="head", definition="", direction="higher", headline=True),)
    return SimpleNamespace(name=name, version=2, metrics=metrics, **own)


def plain_board(rows, columns, references=(), **fields):
    """A board that is ranked by its first column."""
    rows = {"rows": tuple(rows), "references": tuple(references), "columns": tuple(columns), "by": columns[0].metric}
    return Board(**{"suite": "s", "version": 1, "space": "x", "title": "t", "sets": {}, **rows, **fields})


def paired(suite, name, b, c, n=1000, direction="higher", headline=True, data="", **start):
    """A test of n trials of which a alone is right on b, and b alone on c; `a` is right on half."""
    gap = (b - c) / n
    start = Comparison(metric=name, a=0.5, b=0.5 - gap, difference=gap, n=n, discordant=(b, c), **start)
    made = decided(start, Discordant(b=b, c=c, n=n), "McNemar", data or f"{suite}{name}{b}{c}")
    return suite_row(suite, made, name, direction, headline)


def suite_row(suite, comparison, name="m", direction="higher", headline=True):
    metric = Metric(name=name, title=name, definition="", direction=direction, headline=headline)
    return SuiteComparison(suite=suite, metric=metric, comparison=comparison)


def text(tables, width=200, limit=None):
    """Tables as plain text without colours or trailing spaces."""
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(terminal(tables, width, limit))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
