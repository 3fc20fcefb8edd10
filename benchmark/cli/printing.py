"""The only way to a terminal. What cards, files, imports and data bases say is text: no markup, no control characters,
no passwords."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from benchmark.display import UNBOUNDED, printable_lines
from benchmark.leaderboard.forms import terminal
from benchmark.leaderboard.table import Table, Value, table_of
from registry.files import redacted


def echo_line(text: object, *, err: bool = False) -> None:
    """A message on a line of its own (or several lines)."""
    click.echo(printable_lines(redacted(str(text))), err=err)


def echo_lines(lines: Iterable[object], before: str = "", *, err: bool = False) -> None:
    """A message for each, all behind the same words."""
    for line in lines:
        echo_line(f"{before}{line}", err=err)


def echo_data(text: str) -> None:
    """A command's data (CSV, YAML, LaTeX, ...) on standard output; in a file they are exact."""
    click.echo(printable_lines(text), nl=not text.endswith("\n"))


def write_data(pieces: Iterable[str], output: Path | None) -> None:
    """A command's data into a file, or on standard output, piece by piece."""
    if output is None:
        for text in pieces:
            echo_data(text)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)


def as_typed() -> str:
    """This very command, without its passwords."""
    return shlex.join(["bench", *map(redacted, sys.argv[1:])])


def table_console(*, stderr: bool = False) -> Console:
    """The terminal's console; of a file or a pipe one that no line is too wide for."""
    console = safe_console(stderr=stderr)
    return console if console.is_terminal else safe_console(stderr=stderr, width=UNBOUNDED)


def print_tables(tables: Iterable[Table], limit: int | None = None, *, apart: bool = False) -> None:
    """Tables on standard output, `limit` rows between two dividers. apart: an empty line before them."""
    console = table_console()
    if apart:
        console.print()
    console.print(terminal(tables, console.width, limit))


def print_rows(titles: Sequence[str], rows: Iterable[tuple[Value, ...]]) -> None:
    """Rows of texts as a table; all of its columns but the first may break."""
    print_tables([table_of([dict(zip(titles, row, strict=True)) for row in rows])])


def safe_console(**options: Any) -> Console:
    """rich's console, for which text is never markup, and whose text carries no control characters."""
    return SafeConsole(markup=False, emoji=False, highlight=False, **options)


class SafeConsole(Console):
    """A console with a gate: every piece of text of every renderable passes it, and carries no control characters; its
    own colours and cursor movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, made printable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable_lines(text), style, control)

    def on_broken_pipe(self) -> NoReturn:
        """`bench ... | head`: the reader has enough. rich would call sys.exit, as if something had gone wrong."""
        raise BrokenPipeError
