"""A table as text cells, and how much of it a width can take. No drawing library here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmark.display import printable
from benchmark.leaderboard.formatting import (
    Footnotes,
    estimate,
    number,
    observer_text,
    rank_text,
)
from benchmark.leaderboard.model import Board, Cell, Column, Row

GAP = 2
NAME_LEAST, NAME_MIN, TRAINING_MAX = 8, 22, 24


@dataclass(frozen=True)
class Field:
    """One printed column: header, one text per row, alignment; width: characters it may take."""

    title: str
    texts: tuple[str, ...]
    right: bool = False
    width: int = 0

    @property
    def natural(self) -> int:
        """Width at which no cell breaks; the title breaks at its spaces."""
        words = (len(word) for word in self.title.split())
        return max((*words, *(len(text) for text in self.texts)), default=0)


#: A field -> the least width that it may have.
Least = Callable[[Field], int]


def at_width(field: Field) -> Field:
    """The field at the width at which none of its cells breaks."""
    return replace(field, width=field.natural)


@dataclass(frozen=True)
class Grid:
    """What is printed: fields left to right; breaks: row numbers before which a line is drawn;
    dropped: titles of the columns that the width had no room for."""

    fields: tuple[Field, ...]
    breaks: tuple[int, ...] = ()
    dropped: tuple[str, ...] = ()
    footnotes: Footnotes = field(default_factory=Footnotes)


@dataclass(frozen=True)
class Detail:
    """A table with its heading, the line under it, and the lines below."""

    title: str
    caption: str
    grid: Grid
    lines: tuple[str, ...] = ()


def blocks_of(board: Board) -> list[list[Row]]:
    """Its rows: with a value, without, references."""
    valued = [row for row in board.rows if row.cells[board.by].value is not None]
    without = [row for row in board.rows if row.cells[board.by].value is None]
    return [block for block in (valued, without, list(board.references)) if block]


def shortened(board: Board, limit: int) -> tuple[Board, int]:
    """The board with `limit` rows of each block; and how many rows are left out."""
    blocks = blocks_of(replace(board, references=()))
    rows = tuple(row for block in blocks for row in block[:limit])
    references = board.references[:limit]
    hidden = len(board.rows) - len(rows) + len(board.references) - len(references)
    return replace(board, rows=rows, references=references), hidden


def board_grid(board: Board, width: int) -> Grid:
    """The board cut to `width` characters.

    Gives way in this order: intervals of the other columns, the training column, other columns from
    the right. Rank, name, and the ranking metric with its interval and n always stay.
    """
    blocks = blocks_of(board)
    rows = [row for block in blocks for row in block]
    breaks, at = [], 0
    for block in blocks[:-1]:
        at += len(block)
        breaks.append(at)
    full = [True, False]
    choices = [(wide, training, len(board.columns)) for training in full for wide in full]
    choices += [(False, False, count) for count in range(len(board.columns) - 1, 0, -1)]
    for wide, training, count in choices:
        grid = _grid(board, rows, wide, training, count)
        if least_width(grid.fields, _least) <= width:
            break
    return replace(grid, fields=fitted(grid.fields, width, _least), breaks=tuple(breaks))


def _grid(board: Board, rows: Sequence[Row], wide: bool, training: bool, count: int) -> Grid:
    """All rows with `count` metric columns; wide: intervals in every column."""
    notes = Footnotes()
    head, *others = board.columns[:count]
    cells = [row.cells[head.metric] for row in rows]
    fields = [Field("rank", tuple(rank_text(row) for row in rows))]
    fields.append(Field("observer", tuple(observer_text(row) for row in rows)))
    tags = tuple(printable(", ".join(row.training)) for row in rows)
    if training and any(tags):
        fields.append(Field("training", tags))
    fields.append(_metric(head, cells, True, notes))
    fields.append(Field("n", tuple(str(cell.n) if cell.n else "" for cell in cells), right=True))
    fields += [
        _metric(column, [r.cells[column.metric] for r in rows], wide, notes) for column in others
    ]
    dropped = tuple(column.title for column in board.columns[count:])
    return Grid(tuple(fields), dropped=dropped, footnotes=notes)


def _metric(column: Column, cells: Sequence[Cell], wide: bool, notes: Footnotes) -> Field:
    """A metric's texts; `wide` adds the interval. Remarks go to `notes`."""
    shown = (estimate(c.value, c.low, c.high) if wide else number(c.value) for c in cells)
    texts = tuple(
        text + notes.mark(cell, (column.average,)) for text, cell in zip(shown, cells, strict=True)
    )
    return Field(printable(column.title), texts)


def _least(one: Field) -> int:
    """Names and tags may break, numbers may not."""
    limits = {"observer": NAME_MIN, "training": TRAINING_MAX}
    return min(one.natural, limits.get(one.title, one.natural))


def least_width(fields: Sequence[Field], least: Least) -> int:
    """Characters of a line in which each field has the least width that it may have."""
    return sum(least(one) + GAP for one in fields) - GAP


def fitted(fields: Sequence[Field], width: int, least: Least) -> tuple[Field, ...]:
    """Widths set: what is left over goes to those that may break, from the left; what is lacking is taken from the
    observers' names."""
    spare = width - least_width(fields, least)
    made = []
    for one in fields:
        size = least(one)
        if spare < 0 and one.title == "observer":
            size = max(NAME_LEAST, size + spare)
        elif spare > 0:
            more = min(spare, one.natural - size)
            size, spare = size + more, spare - more
        made.append(replace(one, width=size))
    return tuple(made)
