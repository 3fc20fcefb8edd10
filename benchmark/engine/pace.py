"""What a walk tells of its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Passed = Callable[[int], None]


class Reporter(Protocol):
    """What the walk tells of its progress."""

    def tuning(self, observer: str) -> None:
        """The batch size of `observer` is being measured, which takes seconds."""

    def advance(self, observer: str, trials: int) -> None:
        """`trials` more answers of `observer` are stored."""

    def work(self, observer: str, passes: float) -> None:
        """A device batch of `observer` is done: so much of the forward passes that its trials may cost."""

    def note(self, text: str) -> None:
        """One line for the user."""


@dataclass
class Pace:
    """Tells a chunk's work as it is done: never more than `passes` in all, and all of it once the chunk is answered,
    however many passes it took."""

    reporter: Reporter
    observer: str
    passes: float

    def passed(self, passes: float) -> None:
        """The network has made so many forward passes more."""
        if (told := min(passes, self.passes)) > 0:
            self.passes -= told
            self.reporter.work(self.observer, told)

    def answered(self) -> None:
        """The chunk is answered."""
        self.passed(self.passes)
