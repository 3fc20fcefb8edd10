"""rich's console with a gate: every piece of text of every renderable passes it."""

from collections.abc import Iterable
from typing import NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from benchmark.display import printable_lines


class SafeConsole(Console):
    """A console whose text carries no control characters; its own colours and cursor movements stay."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable, made printable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable_lines(text), style, control)

    def on_broken_pipe(self) -> NoReturn:
        """`bench ... | head`: the reader has enough. rich would call sys.exit, as if something had gone wrong."""
        raise BrokenPipeError
