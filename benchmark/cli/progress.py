"""Progress of a run: bars in a terminal, a line a minute in a log. Work is counted in forward passes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmark import api
from benchmark.api import RunPlan
from benchmark.cli.printing import echo_line, safe_console, table_console
from benchmark.display import duration
from benchmark.engine.reporters import Reporter, Silent
from registry.files import redacted

if TYPE_CHECKING:
    from benchmark.engine.costs import CostEstimate

SHOWN = 20  # rows of the estimate before a run, the costliest


def agreed(prepared: RunPlan, *, yes: bool) -> bool:
    """Return whether to start. A plan of more than some minutes is shown first, and confirmed in a terminal."""
    from benchmark.engine import costs

    lines = api.estimates(prepared, least=costs.LONG)
    if not lines:
        return True
    # unknown costs come first, then the greatest
    owed = [line for line in lines if line.cached < line.task.trials]
    owed.sort(key=lambda line: (float("inf") if line.seconds is None else line.seconds, line.task.trials), reverse=True)
    table_console(stderr=True).print(estimate_table(owed[:SHOWN], "this run takes long"))
    if len(owed) > SHOWN:
        echo_line(f"and {len(owed) - SHOWN} more rows: `bench run --dry-run` lists them all", err=True)
    echo_line(costs.total_line(lines), err=True)
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm("Start?", default=False, err=True)


def estimate_table(lines: Sequence[CostEstimate], title: str) -> Table:
    """Return a row per model, suite and space: trials, stored trials, cost of the others."""
    table = Table("model", "suite", "space", title=redacted(title), title_justify="left")
    for column in ("trials", "cached", "about"):
        table.add_column(column, justify="right")
    for row in lines:
        table.add_row(*row.task.work, str(row.task.trials), str(row.cached), row.note)
    return table


@contextmanager
def reporting(
    given: Reporter | None = None, *, quiet: bool = False, log: bool = True, planned: Mapping[str, float] | None = None
) -> Iterator[Reporter]:
    """Yield the reporter of a run: the `given` one, or a bar in a notebook, or bars in a terminal. Elsewhere a `log`
    gets a line a minute. planned: observer -> forward passes, if known."""
    console, python = safe_console(stderr=True), sys.modules.get("IPython")
    if given is not None:
        yield given
    elif quiet:
        yield Silent()
    elif python is not None and getattr(python.get_ipython(), "kernel", None) is not None:

        def drawn(line: str) -> dict[str, str]:
            return {"text/plain": line, "text/html": f'<progress value="{bar.share:.3f}"></progress> {escape(line)}'}

        # One output that changes: rich's own bars need ipywidgets in a notebook.
        bar = Heartbeat(note=lambda line: shown.update(drawn(line), raw=True), every=1.0)
        shown = import_module("IPython.display").display(drawn(""), raw=True, display_id=True)
        try:
            yield bar
        finally:
            shown.update(drawn(""), raw=True)
    elif console.is_terminal:
        bars = _Bars(console)
        try:
            yield bars
        finally:
            bars.progress.stop()
    else:
        yield Heartbeat(note=lambda line: echo_line(line, err=True), left=dict(planned or {})) if log else Silent()


class DownloadReport(Progress):
    """A reporter of downloads: lines, and in a terminal a bar with the bytes of the file that is coming."""

    def __init__(self) -> None:
        console = safe_console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), DownloadColumn())
        hidden = not console.is_terminal
        super().__init__(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden)
        self._bar = self.add_task("", visible=False)

    def __call__(self, text: str) -> None:
        """Print a line, and begin another file."""
        self.reset(self._bar, description=text.partition(":")[0], visible=False)
        echo_line(text, err=True)

    def tick(self, done: int, whole: int | None) -> None:
        """Move the bar."""
        self.update(self._bar, completed=done, total=whole, visible=True)


class _Bars:
    """A reporter with bars, which move with passes if these are known. It draws nothing before the first bar, so that a
    terminal can be asked whether to start."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20))
        counts = (TextColumn("{task.fields[n]}"), TimeRemainingColumn())
        self.progress = Progress(*columns, *counts, console=console, transient=True)

    def _of(self, observer: str) -> list[Task]:
        return [task for task in self.progress.tasks if task.description == observer]

    def tuning(self, observer: str) -> None:
        self.progress.start()  # of a bar without a total, until the observer's own starts
        self.progress.add_task(f"tuning {observer}", total=None, n="")

    def expect(self, observer: str, trials: int, passes: float = 0) -> None:
        self.done(observer)
        if trials:
            self.progress.start()
            owed: dict[str, Any] = {"n": f"0/{trials}", "answered": 0, "trials": trials, "passes": passes}
            self.progress.add_task(observer, total=passes or trials, **owed)

    def advance(self, observer: str, trials: int) -> None:
        for task in self._of(observer):
            moved, answered = 0 if task.fields["passes"] else trials, task.fields["answered"] + trials
            self.progress.update(task.id, advance=moved, answered=answered, n=f"{answered}/{task.fields['trials']}")

    def work(self, observer: str, passes: float) -> None:
        for task in self._of(observer):
            self.progress.advance(task.id, passes if task.fields["passes"] else 0)

    def done(self, observer: str) -> None:
        for task in (*self._of(observer), *self._of(f"tuning {observer}")):
            self.progress.remove_task(task.id)

    def note(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, markup=False)


@dataclass(kw_only=True)
class Heartbeat:
    """A reporter for logs and pipes: a line a minute if something has moved."""

    note: Callable[[str], None]
    left: dict[str, float] = field(default_factory=dict)  # observer -> passes of the plan: they are loaded in groups
    clock: Callable[[], float] = time.monotonic
    every: float = 60.0  # s

    def __post_init__(self) -> None:
        self._done = self._done_before = 0.0
        self._stored = 0
        self._start = self._begun = self._last = self.clock()

    @property
    def share(self) -> float:
        """The share of the work that is done."""
        return self._done / ((self._done + sum(self.left.values())) or 1)

    def tuning(self, observer: str) -> None:
        """Print a line at once: tuning takes seconds."""
        self.note(f"tuning {observer}: measuring batch sizes (remembered for the next run)")

    def expect(self, observer: str, trials: int, passes: float) -> None:  # noqa: ARG002 - the protocol's
        """Replace the planned work by what is owed. Time left is estimated from the first observer on."""
        if not self._done:
            self._begun = self.clock()
        self.left[observer] = passes

    def advance(self, observer: str, trials: int) -> None:  # noqa: ARG002 - the protocol's
        """Count the trials that are stored."""
        self._stored += trials

    def work(self, observer: str, passes: float) -> None:
        """Count the work, and print a line when it is time."""
        self.left[observer] = max(0.0, self.left.get(observer, 0.0) - passes)
        self._done += passes
        now = self.clock()
        if now - self._last < self.every:
            return
        left = sum(self.left.values())
        rate = (self._done - self._done_before) / (now - self._last)
        done = f"after {duration(now - self._start)}: {self.share:.0%} of the work, {self._stored} trials stored"
        self.note(f"{done}, {rate:.3g} passes/s, about {duration(left * (now - self._begun) / self._done)} left")
        self._last, self._done_before = now, self._done

    def done(self, observer: str) -> None:
        """Count the observer's work as done."""
        self.left[observer] = 0.0
