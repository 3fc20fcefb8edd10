"""One page for each suite: what it measures, its figures, its boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.leaderboard.export import sectioned
from benchmark.leaderboard.formatting import Footnotes, explanation, rank_text
from benchmark.leaderboard.model import Board, Row, describe
from benchmark.report.captions import about
from benchmark.report.contents import Contents
from benchmark.report.gallery import SUITE, Gallery
from benchmark.report.marks import Axis, axis_of, mark
from benchmark.report.pages import leaderboard
from benchmark.report.writing import Site, slug

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.report.drawn import Shown

#: What the page of published scores says instead of a suite.
REPORTED = {
    "name": "Reported scores",
    "summary": "What publishers report without trials: ordered, not ranked, and in no paired test.",
}
#: What a CSV file says of a metric, after its name.
PARTS = ("", "_low", "_high", "_n", "_remarks")


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
class BoardTable:
    """A board as a page shows it."""

    key: str
    title: str
    columns: Sequence[BoardColumn]
    rows: Sequence[leaderboard.Row]
    lines: Sequence[str]
    notes: Sequence[str]
    data: str


def suite_pages(
    site: Site, contents: Contents, figures: Mapping[str, Sequence[Shown]], kept: Sequence[Gallery]
) -> None:
    """suites/NAME.html for every suite with scores. figures: by suite; kept: galleries, for the suite of gradients."""
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
            galleries=kept if suite.name == SUITE else (),
            draws=suite.name == SUITE,
            terms=_terms(suite),
            usual=_usual(contents, suite.name),
        )


def reported_page(site: Site, contents: Contents, figures: Mapping[str, Sequence[Shown]]) -> None:
    """reported.html, where anybody's published scores are in the leaderboard. figures: by suite."""
    if not contents.reported:
        return
    tables = [_table(site, contents, board, at) for at, board in enumerate(contents.reported, 1)]
    drawn = [one for mine in figures.values() for one in mine if one.name.startswith("reported-")]
    columns = [column for board in contents.reported for column in board.columns]
    site.page(
        "reported.html",
        "suite.html",
        title="Reported scores",
        suite=REPORTED,
        tables=tables,
        figures=drawn,
        galleries=(),
        draws=False,
        usual=[],
        terms=list(dict.fromkeys((one.title, one.definition) for one in columns)),
    )


def _usual(contents: Contents, suite: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """By decision space: the role of each usual set, and the set in words."""
    return [
        (space, [(role or "together", describe(one, contents.sets)) for role, one in roles.items()])
        for (name, space), roles in contents.usual.items()
        if name == suite
    ]


def _terms(suite: Suite) -> list[tuple[str, str]]:
    return [
        (metric.title, metric.definition)
        for metric in suite.metrics
        if metric.shown and metric.definition
    ]


def _table(site: Site, contents: Contents, board: Board, at: int) -> BoardTable:
    key = f"{slug(board.suite)}-{slug(board.space)}-{at}"
    data = f"data/board-{key}.csv"
    site.table(data, *wide(board))
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
        leaderboard.row_of(row, contents, str(at), marks, rank_text(row))
        for at, (row, marks) in enumerate(zip(rows, drawn, strict=True), 1)
    ]
    lines = [*dict.fromkeys(board.sets.values()), *explanation(board)]
    return BoardTable(key, board.title, columns, made, lines, notes.lines(), data)


def wide(board: Board) -> tuple[list[dict[str, Any]], list[str]]:
    """(records, their fields): a record for each row, and in it value, interval, n and remarks of every metric. The
    whole provenance of each number is in `bench export`."""
    held = [column.metric + part for column in board.columns for part in PARTS]
    names = ["section", "rank", "observer", "kind", "recipe", *held]
    return [_record(board, section, row) for section, row in sectioned(board)], names


def _record(board: Board, section: str, row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        "section": section,
        "rank": row.rank,
        "observer": row.observer,
        "kind": row.kind,
    }
    record["recipe"] = ", ".join(row.training)
    for column in board.columns:
        cell = row.cells[column.metric]
        remarks = [*cell.flags, *([cell.reason] if cell.reason else [])]
        values = (cell.value, cell.low, cell.high, cell.n, remarks)
        record |= {column.metric + part: value for part, value in zip(PARTS, values, strict=True)}
    return record


def _columns(board: Board, rows: Sequence[Row]) -> Iterator[BoardColumn]:
    for column in board.columns:
        cells = [row.cells[column.metric] for row in rows]
        axis = axis_of(cells, column.bounds, column.chance) if column.metric == board.by else None
        better = leaderboard.BETTER[column.direction]
        yield BoardColumn(
            slug(column.metric), column.title, better, column.direction, axis, about(cells)
        )
