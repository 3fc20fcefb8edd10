"""Print to the terminal: foreign texts are shown without markup, control characters and passwords."""

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment

from benchmark.display import UNBOUNDED, printable_lines
from benchmark.leaderboard.forms import terminal
from benchmark.leaderboard.table import Table, Value, table_of
from registry.files import redacted
from registry.user_errors import Remedy, completed

#: A proposed command that reads a leaderboard.
_COMMAND = re.compile(
    r"`(bench (?:run|rank|verdict|show|compare|power|report|plot|export|import|db(?! merge)|sweep|diff|reproduce)\b"
    r"(?![^`]*(?:--db|--help|\.\.\.))[^`]*)`"
)


def echo_line(text: object, *, err: bool = False) -> None:
    """Print a message. The commands that an error or a remark proposes read the leaderboard of this command."""
    words, line = sys.argv[1:], str(text)
    given = (word.removeprefix("--db=") for word in words if word.startswith("--db="))
    place = next(given, "") or next((after for word, after in pairwise(words) if word == "--db"), "")
    if err and place:
        line = _COMMAND.sub(lambda found: f"`{found[1]} --db {shlex.quote(place)}`", line)
    click.echo(printable_lines(redacted(line)), err=err)


def echo_lines(lines: Iterable[object], before: str = "", *, err: bool = False) -> None:
    """Print a message for each line, all after the same words."""
    for line in lines:
        echo_line(f"{before}{line}", err=err)


def echo_data(text: str) -> None:
    """Print a command's data (CSV, YAML, LaTeX, ...) on standard output."""
    if text:  # "" was written to a file
        click.echo(printable_lines(text), nl=not text.endswith("\n"))


def as_typed() -> str:
    """Return the command as typed, without passwords."""
    return shlex.join(["bench", *map(redacted, sys.argv[1:])])


def corrected(remedy: Remedy) -> str:
    """Return the command as typed with what it lacked, as a line to paste; "" if nothing is known to help."""
    typed = sys.argv[1:]
    if remedy.instead:
        words: list[str] = []
        for word in typed:  # also one of a comma list or behind "="
            pieces = (remedy.instead[0] if piece == remedy.wrong else piece for piece in re.split("([,:=])", word))
            words += remedy.instead if word == remedy.wrong else ["".join(pieces)]
        return "" if words == typed else shlex.join(["bench", *map(redacted, words)])
    if not remedy.lacking and not remedy.before:
        return ""
    line = shlex.join(["bench", *map(redacted, completed(typed, remedy.lacking))])
    return f"{shlex.join(remedy.before)} && {line}" if remedy.before else line


def table_console(*, stderr: bool = False) -> Console:
    """Return a console; for a file or a pipe, one that is wider than any line."""
    console = safe_console(stderr=stderr)
    return console if console.is_terminal else safe_console(stderr=stderr, width=UNBOUNDED)


def prose_width() -> int:
    """Return the width of sentences: the terminal's up to 100 characters, 80 elsewhere."""
    console = safe_console()
    return min(console.width, 100) if console.is_terminal else 80


def print_tables(
    tables: Iterable[Table],
    limit: int | None = None,
    *,
    narrow: bool = False,
    paged: bool = False,
    below: Iterable[str] = (),
) -> None:
    """Print tables with `limit` rows between two dividers, then lines `below`. `narrow` leaves out columns without
    room, `paged` sends output longer than the terminal through the pager."""
    console = table_console()
    shown = Group(terminal(tables, console.width, limit, narrow=narrow), *map(printable_lines, below))
    if paged and console.is_terminal:  # click uses no pager without a keyboard
        with console.capture() as text:
            console.print(shown)
        if text.get().count("\n") >= console.height:
            click.echo_via_pager(text.get().rstrip("\n"))
            return
    console.print(shown)


def print_rows(titles: Sequence[str], rows: Iterable[tuple[Value, ...]]) -> None:
    """Print rows of texts as a table."""
    print_tables([table_of([dict(zip(titles, row, strict=True)) for row in rows])])


def safe_console(**options: Any) -> Console:
    """Return a console that treats text as text, never as markup."""
    return SafeConsole(markup=False, emoji=False, highlight=False, **options)


class SafeConsole(Console):
    """A console that removes control characters from every text and keeps its own colours and cursor movements."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of a renderable, made printable."""
        for segment in super().render(renderable, options):  # a table passes each one several times
            text, style, control = segment
            fine = control or text.isprintable() or text == "\n"
            yield segment if fine else Segment(printable_lines(text), style)

    def on_broken_pipe(self) -> NoReturn:
        """Raise BrokenPipeError (`bench ... | head`), where rich would call sys.exit."""
        raise BrokenPipeError
