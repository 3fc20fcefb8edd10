"""Tables for the terminal. rich is imported when something is drawn, not before.

Every function returns something that `rich.console.Console.print` takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from benchmark.display import printable
from benchmark.leaderboard.formatting import caption, explanation
from benchmark.leaderboard.grid import Detail, Grid, board_grid, shortened
from benchmark.leaderboard.model import Board
from registry.errors import some_of

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text


LIMIT = 50
FOOTNOTES = 12


def board_detail(board: Board, width: int, limit: int | None = LIMIT) -> Detail:
    """One ranked table for `width` characters; `limit` rows of each kind (None: all)."""
    hidden, lines = 0, []
    if limit is not None:
        board, hidden = shortened(board, limit)
    grid = board_grid(board, width)
    if hidden:
        lines.append(f"... {hidden} more, --all")
    if grid.dropped:
        lines.append(f"no room for: {some_of(grid.dropped, 5)} (a wider terminal, or bench export)")
    lines += explanation(board) + grid.footnotes.lines(FOOTNOTES if limit else None)
    return Detail(board.title, caption(board), grid, tuple(lines))


def render_details(details: Sequence[Detail]) -> Group:
    """Tables with their headings, under one another."""
    from rich.console import Group

    return Group(*_spaced(_detail(part) for part in details))


def _detail(part: Detail) -> Group:
    from rich.console import Group

    heading = [_plain(part.title, "bold"), *([_plain(part.caption, "dim")] if part.caption else [])]
    table = [_table(part.grid)] if part.grid.fields else []
    return Group(*heading, *table, *(_plain(line, "dim") for line in part.lines))


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


def _plain(line: str, style: str) -> Text:
    from rich.text import Text

    return Text(printable(line), style=style)


def _spaced(parts: Iterable[Group]) -> list[RenderableType]:
    """The parts with an empty line between them."""
    pieces: list[RenderableType] = []
    for part in parts:
        pieces += ["", part]
    return pieces[1:]
