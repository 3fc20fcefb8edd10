"""Progress bars: one per observer, with rate and time left."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Rate(ProgressColumn):
    """Trials per second."""

    def render(self, task: Task) -> Text:
        """The current speed, or nothing before there is one."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="dim")


class Bars:
    """A reporter that draws. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def expect(self, observer: str, trials: int) -> None:
        """A bar for an observer that owes answers."""
        if trials:
            self._tasks[observer] = self._progress.add_task(observer, total=trials)

    def advance(self, observer: str, trials: int) -> None:
        """Move the observer's bar."""
        if observer in self._tasks:
            self._progress.advance(self._tasks[observer], trials)

    def note(self, text: str) -> None:
        """One line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)
