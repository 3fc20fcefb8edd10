"""One page for each suite: what it measures, its figures, its boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.leaderboard.export import NUMBERS, ORIGIN, PLACE, SCORE, board_records
from benchmark.leaderboard.formatting import Footnotes, explanation, rank_text
from benchmark.leaderboard.model import Board, Row
from benchmark.report.captions import about
from benchmark.report.contents import Contents, family, source
from benchmark.report.marks import Axis, Mark, axis_of, mark
from benchmark.report.pages.leaderboard import BETTER
from benchmark.report.writing import Site, slug

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.report.drawn import Shown


@dataclass(frozen=True)
class BoardColumn:
    """A metric: key in addresses, axis of its marks (None: numbers alone), what stands under the table."""

    key: str
    title: str
    better: str
    direction: str
    axis: Axis | None
    about: str


@dataclass(frozen=True)
class BoardRow:
    """An observer on a board."""

    name: str
    page: str
    group: str
    kind: str
    recipe: str
    family: str
    source: str
    place: str
    rank: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class BoardTable:
    """A board as a page shows it."""

    key: str
    title: str
    columns: Sequence[BoardColumn]
    rows: Sequence[BoardRow]
    lines: Sequence[str]
    notes: Sequence[str]
    data: str


def suite_pages(site: Site, contents: Contents, figures: Mapping[str, Sequence[Shown]]) -> None:
    """suites/NAME.html for every suite with scores. figures: by suite."""
    for suite in contents.suites:
        boards = [board for board in contents.boards if board.suite == suite.name and board.rows]
        tables = [_table(site, contents, board, at) for at, board in enumerate(boards, 1)]
        site.page(
            f"suites/{slug(suite.name)}.html",
            "suite.html",
            title=suite.name,
            suite=suite,
            tables=tables,
            figures=figures.get(suite.name, ()),
            terms=_terms(suite),
        )


def _terms(suite: Suite) -> list[tuple[str, str]]:
    return [
        (metric.title, metric.definition)
        for metric in suite.metrics
        if metric.shown and metric.definition
    ]


def _table(site: Site, contents: Contents, board: Board, at: int) -> BoardTable:
    key = f"{slug(board.suite)}-{slug(board.space)}-{at}"
    data = f"data/board-{key}.csv"
    site.table(data, board_records(board), (*PLACE, *SCORE, *NUMBERS, *ORIGIN))
    rows, notes = [*board.rows, *board.references], Footnotes()
    columns = list(_columns(board, rows))
    drawn = [
        [
            mark(row.cells[one.metric], column.axis, notes)
            for one, column in zip(board.columns, columns, strict=True)
        ]
        for row in rows
    ]
    made = [
        _row(contents, row, at, marks)
        for at, (row, marks) in enumerate(zip(rows, drawn, strict=True), 1)
    ]
    lines = [*dict.fromkeys(board.sets.values()), *explanation(board)]
    return BoardTable(key, board.title, columns, made, lines, notes.lines(), data)


def _columns(board: Board, rows: Sequence[Row]) -> Iterator[BoardColumn]:
    for column in board.columns:
        cells = [row.cells[column.metric] for row in rows]
        axis = axis_of(cells, column.bounds, column.chance) if column.metric == board.by else None
        better = BETTER[column.direction]
        yield BoardColumn(
            slug(column.metric), column.title, better, column.direction, axis, about(cells)
        )


def _row(contents: Contents, row: Row, at: int, marks: Sequence[Mark]) -> BoardRow:
    known = contents.observers.get(row.observer)
    group = "person" if row.kind == "human" else "reference"
    return BoardRow(
        name=row.observer,
        page=f"observers/{slug(row.observer)}.html" if known else "",
        group="network" if row.kind in ("network", "published") else group,
        kind=row.kind,
        recipe=", ".join(row.training),
        family=family(known),
        source=source(known),
        place=str(at),
        rank=rank_text(row),
        marks=marks,
    )
