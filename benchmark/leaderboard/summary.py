"""Models by suites: the headline of every suite side by side, one row per observer.

A summary never mixes what boards keep apart: there is one per decision space, and in each column all numbers are
of the same stimuli (of a suite's boards, the one with most observers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.display import printable
from benchmark.leaderboard.formatting import UNREMARKABLE
from benchmark.leaderboard.model import NOBODY, Board, Cell, Column, Row

ELSEWHERE = "not on this board"
NAMED = 5  # observers that a note names
NOWHERE = Cell(reason=UNREMARKABLE)


@dataclass(frozen=True, slots=True)
class Headline:
    """A column: the headline of a suite on one collection of stimuli."""

    suite: str
    column: Column
    stimuli: str


@dataclass(frozen=True, slots=True)
class Line:
    """One observer: a cell per headline, in their order, and its ranks there (None: not ranked); clean: its accuracy
    on images as they are."""

    observer: str
    kind: str
    training: tuple[str, ...]
    cells: tuple[Cell, ...]
    ranks: tuple[int | None, ...]
    clean: Cell = NOWHERE

    @property
    def mean_rank(self) -> float | None:
        """Mean over the suites in which it is ranked: the order of the lines, no score."""
        held = [rank for rank in self.ranks if rank is not None]
        return sum(held) / len(held) if held else None


@dataclass(frozen=True)
class Summary:
    """The headlines of one decision space.

    lines: ranked observers by their mean rank, then those without any; references: people, ideal observers, what a
    suite measures beside observers, chance, as far as they have a value; clean: where the clean accuracy is from
    (None: nowhere); notes: what the boards say of themselves, once.
    """

    space: str
    headlines: tuple[Headline, ...]
    lines: tuple[Line, ...]
    references: tuple[Line, ...]
    clean: Headline | None = None
    notes: tuple[str, ...] = ()


def summaries(boards: Sequence[Board]) -> list[Summary]:
    """One summary per decision space, the one with most observers first. boards: ranked by their headlines, those of
    a suite with most observers first (as `boards` gives them)."""
    spaces: dict[str, dict[str, Board]] = {}
    for board in boards:
        spaces.setdefault(board.space, {}).setdefault(board.suite, board)
    made = [
        _with_absent(_summary(space, list(found.values())), boards)
        for space, found in spaces.items()
    ]
    return sorted(made, key=lambda one: -len(one.lines))


def _summary(space: str, boards: Sequence[Board]) -> Summary:
    headlines = tuple(_headline(board) for board in boards)
    clean = _clean(boards)
    lines = list(_lines(boards, [{row.observer: row for row in b.rows} for b in boards], clean))
    aside = list(
        _lines(boards, [{row.observer: row for row in b.references} for b in boards], clean)
    )
    notes = tuple(_notes(boards))
    held = (line for line in aside if any(cell.value is not None for cell in line.cells))
    return Summary(space, headlines, tuple(sorted(lines, key=_order)), tuple(held), clean, notes)


def _with_absent(summary: Summary, boards: Sequence[Board]) -> Summary:
    """With a note that names who was shown other stimuli alone, and so stands in no row."""
    held = {line.observer for line in (*summary.lines, *summary.references)}
    mine = (board for board in boards if board.space == summary.space)
    absent = [n for n in dict.fromkeys(r.observer for b in mine for r in b.rows) if n not in held]
    if not absent:
        return summary
    named = ", ".join(map(printable, absent[:NAMED])) + (", ..." if len(absent) > NAMED else "")
    note = f"{len(absent)} not in this table, shown other stimuli (bench rank SUITE): {named}"
    return replace(summary, notes=(*summary.notes, note))


def _notes(boards: Sequence[Board]) -> Iterator[str]:
    """What boards say of themselves, each once, after the suites that say it."""
    told: dict[str, list[str]] = {}
    for board in boards:
        for note in dict.fromkeys(board.notes):
            told.setdefault(note, []).append(board.suite)
    for note, suites in told.items():
        if not note.endswith(NOBODY):
            yield f"{', '.join(suites)}: {note}"


def _headline(board: Board) -> Headline:
    column = next(column for column in board.columns if column.metric == board.by)
    return Headline(board.suite, column, board.sets.get(column.role, ""))


def _clean(boards: Sequence[Board]) -> Headline | None:
    """The column of clean accuracy that most observers have a value in."""
    found = [
        (sum(row.cells[column.metric].value is not None for row in board.rows), board, column)
        for board in boards
        for column in board.columns
        if column.clean
    ]
    if not found:
        return None
    _, board, column = max(found, key=lambda one: one[0])
    return Headline(board.suite, column, board.sets.get(column.role, ""))


def _lines(
    boards: Sequence[Board], rows: Sequence[Mapping[str, Row]], clean: Headline | None
) -> Iterator[Line]:
    """rows: by observer, one table per board. An observer that a board lacks has an empty cell with the reason."""
    suites = [board.suite for board in boards]
    names = dict.fromkeys(name for table in rows for name in table)
    for name in names:
        held = [table.get(name) for table in rows]
        first = next(row for row in held if row is not None)
        cells = tuple(
            row.cells[board.by] if row else Cell(reason=ELSEWHERE)
            for board, row in zip(boards, held, strict=True)
        )
        ranks = tuple(row.rank if row else None for row in held)
        asked = held[suites.index(clean.suite)] if clean else None
        plain = asked.cells[clean.column.metric] if asked and clean else NOWHERE
        yield Line(name, first.kind, first.training, cells, ranks, plain)


def _order(line: Line) -> tuple[bool, float, str]:
    mean = line.mean_rank
    return mean is None, mean or 0.0, line.observer
