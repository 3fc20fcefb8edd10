"""Models by suites: the headline of every suite side by side, one row per observer.

A summary never mixes what boards keep apart: there is one per decision space, and in each column all numbers are
of the same stimuli (of a suite's boards, the one with most observers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.model import Board, Cell, Column, Row

ELSEWHERE = "not on this board"


@dataclass(frozen=True, slots=True)
class Headline:
    """A column: the headline of a suite on one collection of stimuli."""

    suite: str
    column: Column
    stimuli: str


@dataclass(frozen=True, slots=True)
class Line:
    """One observer: a cell per headline, in their order, and its ranks there (None: not ranked)."""

    observer: str
    kind: str
    training: tuple[str, ...]
    cells: tuple[Cell, ...]
    ranks: tuple[int | None, ...]

    @property
    def mean_rank(self) -> float | None:
        """Mean over the suites in which it is ranked: the order of the lines, no score."""
        held = [rank for rank in self.ranks if rank is not None]
        return sum(held) / len(held) if held else None


@dataclass(frozen=True)
class Summary:
    """The headlines of one decision space. lines: ranked observers by their mean rank, then those without any;
    references: people, ideal observers, what a suite measures beside observers, chance."""

    space: str
    headlines: tuple[Headline, ...]
    lines: tuple[Line, ...]
    references: tuple[Line, ...]


def summaries(boards: Sequence[Board]) -> list[Summary]:
    """One summary per decision space, the one with most observers first. boards: ranked by their headlines, those of
    a suite with most observers first (as `boards` gives them)."""
    spaces: dict[str, dict[str, Board]] = {}
    for board in boards:
        spaces.setdefault(board.space, {}).setdefault(board.suite, board)
    made = [_summary(space, list(found.values())) for space, found in spaces.items()]
    return sorted(made, key=lambda one: -len(one.lines))


def _summary(space: str, boards: Sequence[Board]) -> Summary:
    headlines = tuple(_headline(board) for board in boards)
    lines = list(_lines(boards, [{row.observer: row for row in b.rows} for b in boards]))
    aside = list(_lines(boards, [{row.observer: row for row in b.references} for b in boards]))
    return Summary(space, headlines, tuple(sorted(lines, key=_order)), tuple(aside))


def _headline(board: Board) -> Headline:
    column = next(column for column in board.columns if column.metric == board.by)
    return Headline(board.suite, column, board.sets.get(column.role, ""))


def _lines(boards: Sequence[Board], rows: Sequence[dict[str, Row]]) -> Iterator[Line]:
    """rows: by observer, one table per board. An observer that a board lacks has an empty cell with the reason."""
    names = dict.fromkeys(name for table in rows for name in table)
    for name in names:
        held = [table.get(name) for table in rows]
        first = next(row for row in held if row is not None)
        cells = tuple(
            row.cells[board.by] if row else Cell(reason=ELSEWHERE)
            for board, row in zip(boards, held, strict=True)
        )
        ranks = tuple(row.rank if row else None for row in held)
        yield Line(name, first.kind, first.training, cells, ranks)


def _order(line: Line) -> tuple[bool, float, str]:
    mean = line.mean_rank
    return mean is None, mean or 0.0, line.observer
