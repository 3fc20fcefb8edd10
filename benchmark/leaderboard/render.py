"""Tables for the terminal. rich is imported when something is drawn, not before.

Every function returns something that `rich.console.Console.print` takes; `text` turns it into plain
text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from benchmark.display import printable
from benchmark.leaderboard.formatting import caption, explanation
from benchmark.leaderboard.grid import Grid, board_grid
from benchmark.leaderboard.model import Board, SuiteLike

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from benchmark.leaderboard.detail import Detail
    from benchmark.stats.families import Compared, ComparedToEach, DiscordantTrial
    from benchmark.store.table_rows import ScoreRow, StimuliNote

LIMIT = 50
FOOTNOTES = 12


def render_board(board: Board, width: int, limit: int | None = LIMIT) -> Group:
    """One ranked table in `width` characters; `limit` rows of each kind (None: all)."""
    grid, hidden = board_grid(board, width, limit)
    lines = []
    if hidden:
        lines.append(f"... {hidden} more, --all")
    if grid.dropped:
        lines.append(f"no room for: {_some(grid.dropped)} (a wider terminal, or bench export)")
    lines += explanation(board) + grid.footnotes.lines(FOOTNOTES if limit else None)
    return _group(board.title, caption(board), grid, lines)


def render_boards(boards: Sequence[Board], width: int, limit: int | None = LIMIT) -> Group:
    """Several tables under one another."""
    from rich.console import Group

    return Group(*_spaced(render_board(board, width, limit) for board in boards))


def render_show(
    rows: Sequence[ScoreRow],
    sets: Mapping[str, StimuliNote],
    width: int,
    suites: Sequence[SuiteLike] = (),
) -> Group:
    """Everything that is stored of one observer: every suite, space, stimulus set and condition."""
    from benchmark.leaderboard.detail import show_details

    return render_details(show_details(rows, sets, width, suites))


def render_comparison(found: Compared) -> Group:
    """Two observers: headlines first, then the rest by suite."""
    from benchmark.leaderboard.comparison import comparison_details

    return render_details(comparison_details(found))


def render_each(found: ComparedToEach) -> Group:
    """One observer against each of several."""
    from benchmark.leaderboard.comparison import each_details

    return render_details(each_details(found))


def render_discordant(found: Sequence[DiscordantTrial], a: str, b: str) -> Group:
    """The images that only one of the two gets right."""
    from benchmark.leaderboard.comparison import discordant_details

    return render_details(discordant_details(found, a, b))


def render_details(details: Sequence[Detail]) -> Group:
    """Tables with their headings, under one another."""
    from rich.console import Group

    return Group(*_spaced(_detail(part) for part in details))


def text(renderable: RenderableType, width: int) -> str:
    """What would be printed, as plain text without colours or trailing spaces."""
    from rich.console import Console

    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _detail(part: Detail) -> Group:
    return _group(part.title, part.caption, part.grid, part.lines)


def _group(title: str, below: str, grid: Grid, lines: Sequence[str]) -> Group:
    from rich.console import Group

    heading = [_plain(title, "bold"), *([_plain(below, "dim")] if below else [])]
    table = [_table(grid)] if grid.fields else []
    return Group(*heading, *table, *(_plain(line, "dim") for line in lines))


def _table(grid: Grid) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for field in grid.fields:
        justify: Literal["left", "right"] = "right" if field.right else "left"
        title = Text(field.title, overflow="fold")
        table.add_column(title, justify=justify, width=field.width, overflow="fold")
    rows = list(zip(*(field.texts for field in grid.fields), strict=True))
    for at, row in enumerate(rows):
        table.add_row(
            *(Text(cell, overflow="fold") for cell in row), end_section=at + 1 in grid.breaks
        )
    return table


def _some(titles: Sequence[str], shown: int = 5) -> str:
    """The first few titles, and how many more there are."""
    more = f" and {len(titles) - shown} more" if len(titles) > shown else ""
    return ", ".join(titles[:shown]) + more


def _plain(line: str, style: str) -> Text:
    from rich.text import Text

    return Text(printable(line), style=style)


def _spaced(parts: Iterable[Group]) -> list[RenderableType]:
    """The parts with an empty line between them."""
    pieces: list[RenderableType] = []
    for part in parts:
        pieces += ["", part]
    return pieces[1:]
