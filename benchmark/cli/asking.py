"""Before a run that takes long: what it costs, and whether it shall start."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from benchmark.cli.printing import safe_console, say
from benchmark.display import UNBOUNDED, masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from benchmark.api import Prepared
    from benchmark.engine.estimating import Estimate

#: Rows of the estimate that are shown before a run: the costliest.
SHOWN = 20


def agreed(prepared: Prepared, *, yes: bool) -> bool:
    """Whether to start. A plan of some minutes starts; a longer one is shown first, and asked about in a terminal."""
    from benchmark import api
    from benchmark.engine.estimating import total

    lines = api.long_plan(prepared, _tuned)
    if not lines:
        return True
    owed = sorted((line for line in lines if line.cached < line.trials), key=_costliest)
    console = safe_console(stderr=True)
    if not console.is_terminal:
        console = safe_console(stderr=True, width=UNBOUNDED)
    console.print(estimate_table(owed[:SHOWN], "this run takes long"))
    if len(owed) > SHOWN:
        say(f"and {len(owed) - SHOWN} more rows: `bench run --dry-run` lists them all", err=True)
    say(total(lines), err=True)
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm("Start?", default=False, err=True)


def estimate_table(lines: Sequence[Estimate], title: str) -> Table:
    """A row per model, suite and space: trials, how many are stored, what the others cost."""
    from rich.table import Table

    table = Table(title=masked(title), title_justify="left")
    for column in ("model", "suite", "space", "trials", "cached", "about"):
        numbers = column in ("trials", "cached", "about")
        table.add_column(column, justify="right" if numbers else "left")
    for row in lines:
        names = row.model, row.suite, row.space
        table.add_row(*names, str(row.trials), str(row.cached), row.note)
    return table


def _costliest(line: Estimate) -> tuple[float, int]:
    """Unknown costs come first, then the greatest."""
    return (-(float("inf") if line.seconds is None else line.seconds), -line.trials)


def _tuned(model: str) -> None:
    say(f"tuning {model}: measuring its speed, to say what this run costs", err=True)
