"""How far a run is, and before it starts what it costs: bars in a terminal, a line a minute in a log or a pipe.

Work is counted in forward passes, for a trial of one suite may cost a hundred times what one of another does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from benchmark import api
from benchmark.api import Prepared, Silent
from benchmark.cli.printing import safe_console, say
from benchmark.display import UNBOUNDED, duration, masked

if TYPE_CHECKING:
    from benchmark.engine.estimating import Estimate


#: Rows of the estimate that are shown before a run: the costliest.
SHOWN = 20


def agreed(prepared: Prepared, *, yes: bool) -> bool:
    """Whether to start. A plan of some minutes starts; a longer one is shown first, and asked about in a terminal."""
    from benchmark.engine.estimating import total

    def tuning(model: str) -> None:
        say(f"tuning {model}: measuring its speed, to say what this run costs", err=True)

    lines = api.long_plan(prepared, tuning)
    if not lines:
        return True
    # unknown costs come first, then the greatest
    costs = {id(line): (-(float("inf") if line.seconds is None else line.seconds), -line.trials) for line in lines}
    owed = sorted((line for line in lines if line.cached < line.trials), key=lambda line: costs[id(line)])
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
    table = Table(title=masked(title), title_justify="left")
    for column in ("model", "suite", "space", "trials", "cached", "about"):
        numbers = column in ("trials", "cached", "about")
        table.add_column(column, justify="right" if numbers else "left")
    for row in lines:
        names = row.model, row.suite, row.space
        table.add_row(*names, str(row.trials), str(row.cached), row.note)
    return table


@contextmanager
def reporting(*, quiet: bool, planned: Mapping[str, float] | None = None) -> Iterator[Bars | Heartbeat | Silent]:
    """The reporter of a run: bars in a terminal, a line a minute elsewhere, nothing where it shall be quiet.

    planned: observer -> forward passes, where they are known beforehand.
    """
    console = safe_console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with Bars(console) as bars:
            yield bars
    else:
        yield Heartbeat(lambda line: say(line, err=True), planned or {})


class Rate(ProgressColumn):
    """Trials per second."""

    def render(self, task: Task) -> Text:
        """The current speed, or nothing before there is one."""
        if not task.speed or not task.total:
            return Text("")
        return Text(f"{task.speed * task.fields['trials'] / task.total:.0f}/s", style="dim")


class Answered(ProgressColumn):
    """Trials that are stored, of those that are owed."""

    def render(self, task: Task) -> Text:
        """N of M, or what is done before there is any."""
        fields = task.fields
        return Text(f"{fields['answered']}/{fields['trials']}" if fields["trials"] else "")


class Bars:
    """A reporter that draws from the first bar on. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            Answered(),
            Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._answered: dict[str, int] = {}
        self._work: dict[str, float] = {}
        self._tuned: TaskID | None = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tuning(self, observer: str) -> None:
        """A bar that only moves, until the observer's own comes."""
        self._end_tuning()
        self._progress.start()
        self._tuned = self._progress.add_task(f"tuning {observer}", total=None, trials=0)

    def expect(self, observer: str, trials: int, passes: float = 0) -> None:
        """A bar for an observer that owes answers; it moves with passes where these are known."""
        self._end_tuning()
        self.done(observer)
        if trials:
            self._progress.start()
            self._tasks[observer] = self._progress.add_task(observer, total=passes or trials, trials=trials, answered=0)
            self._answered[observer], self._work[observer] = 0, passes

    def advance(self, observer: str, trials: int) -> None:
        """Count the observer's answers."""
        if observer not in self._tasks:
            return
        self._answered[observer] += trials
        self._progress.update(self._tasks[observer], answered=self._answered[observer])
        if not self._work[observer]:
            self._progress.advance(self._tasks[observer], trials)

    def work(self, observer: str, passes: float) -> None:
        """Move the observer's bar."""
        if self._work.get(observer):
            self._progress.advance(self._tasks[observer], passes)

    def done(self, observer: str) -> None:
        """Take the observer's bar away."""
        if observer in self._tasks:
            self._progress.remove_task(self._tasks.pop(observer))
            del self._work[observer]

    def note(self, text: str) -> None:
        """One line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)

    def _end_tuning(self) -> None:
        if self._tuned is not None:
            self._progress.remove_task(self._tuned)
            self._tuned = None


class Heartbeat:
    """A reporter for logs and pipes: a line whenever a minute has passed and something has moved.

    say: writes a line; planned: observer -> forward passes of the whole plan, so that the time left is of the whole run
    though observers are loaded in groups; clock: seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        planned: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.monotonic,
        every: float = 60.0,
    ) -> None:
        self._say, self._clock, self._every = say, clock, every
        self._left = dict(planned)
        self._done = self._done_before = 0.0
        self._stored = 0
        self._start = self._begun = self._last = clock()

    def tuning(self, observer: str) -> None:
        """Said at once: it takes seconds in which nothing is answered."""
        self._say(f"tuning {observer}: measuring batch sizes (remembered for the next run)")

    def expect(self, observer: str, trials: int, passes: float) -> None:  # noqa: ARG002 - the protocol's
        """What the observer still owes takes the place of what was planned. Until the first one is asked, workers start
        and networks are tuned: that says nothing of the time left."""
        if not self._done:
            self._begun = self._clock()
        self._left[observer] = passes

    def advance(self, observer: str, trials: int) -> None:  # noqa: ARG002 - the protocol's
        """Count the trials that are stored."""
        self._stored += trials

    def work(self, observer: str, passes: float) -> None:
        """Count the work, and say where it stands when it is time."""
        self._left[observer] = max(0.0, self._left.get(observer, 0.0) - passes)
        self._done += passes
        now = self._clock()
        if now - self._last >= self._every:
            self._say(self._line(now))
            self._last, self._done_before = now, self._done

    def done(self, observer: str) -> None:
        """Nothing more is owed."""
        self._left[observer] = 0.0

    def note(self, text: str) -> None:
        """One line."""
        self._say(text)

    def _line(self, now: float) -> str:
        left, spent = sum(self._left.values()), now - self._start
        share = self._done / (self._done + left)
        pace = (now - self._begun) / self._done
        rate = (self._done - self._done_before) / (now - self._last)
        return (
            f"after {duration(spent)}: {share:.0%} of the work, {self._stored} trials stored, "
            f"{rate:.3g} passes/s, about {duration(left * pace)} left"
        )
