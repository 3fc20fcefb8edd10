"""Who receives the progress of a run."""

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of a run."""

    def expect(self, observer: str, trials: int, passes: float) -> None:
        """`observer` still owes `trials` answers, which cost about so many forward passes."""

    def tuning(self, observer: str) -> None:
        """The batch size of `observer` is about to be measured, which takes seconds."""

    def advance(self, observer: str, trials: int) -> None:
        """`trials` more answers of `observer` are stored."""

    def work(self, observer: str, passes: float) -> None:
        """A device batch of `observer` is done: so many of the forward passes that its trials may cost."""

    def done(self, observer: str) -> None:
        """`observer` has finished: its answers are stored or were enough, or it has failed."""

    def note(self, text: str) -> None:
        """One line for the user."""


class Silent:
    """A reporter without output."""

    def note(self, *_: object, **__: object) -> None:
        """Ignore the report."""

    tuning = expect = advance = work = done = note
