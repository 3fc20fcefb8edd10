"""Published scores as marks of another kind: beside what a suite measures, in no test and in no rank."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from benchmark.leaderboard.model import Board, Column, Row
from benchmark.report.captions import about
from benchmark.report.contents import Contents
from benchmark.report.figures.chosen import featured
from benchmark.report.figures.dots import NAMES, dots, records_of
from benchmark.report.figures.figure import MOST, Figure, some_of
from benchmark.report.writing import slug

#: Metrics side by side, and measured networks beside reported ones.
PANELS, MEASURED = 4, 20
REMARKS = 4
_SOURCE = re.compile(r" \([^()]*, reported\)$")


def figures(contents: Contents) -> Iterator[tuple[str, Figure]]:
    """(suite whose subject the scores are, figure) for each table of published scores."""
    for board in contents.reported:
        yield board.suite, _figure(board, contents.boards)


def _figure(board: Board, measured: Sequence[Board]) -> Figure:
    columns = board.columns[:PANELS]
    shown = set(featured([row.observer for row in board.rows], MOST))
    rows = [row for row in board.rows if row.observer in shown]
    own = list(_measured(board.suite, columns, measured))
    if not own:  # the title says whose they are, and no other of that name is shown
        rows = [row._replace(observer=_SOURCE.sub("", row.observer)) for row in rows]
    names = [*(row.observer for row in rows), *(row.observer for row, _ in own)]
    records = [
        *chain.from_iterable(records_of(row, columns) for row in rows),
        *chain.from_iterable(records_of(row, mine) for row, mine in own),
    ]
    by_size: dict[str, list[str]] = {}
    for one in columns:
        size = about(row.cells[one.metric] for row in rows) or "n not stated"
        by_size.setdefault(size, []).append(one.title)
    sizes = (
        f"{', '.join(titles)}: {size}" if len(by_size) > 1 else size
        for size, titles in by_size.items()
    )
    more = some_of(len(board.columns), len(columns), "columns; the CSV of the table has all")
    few = (
        f" {len(rows)} of {len(board.rows)} observers, evenly spaced over the order."
        if len(rows) < len(board.rows)
        else ""
    )
    beside = f" Beside them {len(own)} networks that were measured here." if own else ""
    return Figure(
        f"reported-{slug(board.title)}",
        f"{board.title[:1].upper()}{board.title[1:]}",
        f"Diamonds: {'; '.join((*board.notes, *_remarks(rows, columns)))}. {'; '.join(sizes)}.{few}{more}{beside}",
        dots(records, names, [(one.title, None) for one in columns]),
        records,
        NAMES,
    )


def _remarks(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """What single numbers carry, the first few of it."""
    said = dict.fromkeys(
        flag for row in rows for column in columns for flag in row.cells[column.metric].flags
    )
    more = [f"{len(said) - REMARKS} more remarks are in the table"] if len(said) > REMARKS else []
    return [*list(said)[:REMARKS], *more]


def _measured(
    suite: str, columns: Sequence[Column], boards: Sequence[Board]
) -> Iterator[tuple[Row, list[Column]]]:
    """Networks with a number of the very metric that a publisher reports, from the suite's largest board."""
    board = next((one for one in boards if one.suite == suite), None)
    known = {column.metric for column in board.columns} if board else set()
    same = [column for column in columns if column.metric in known]
    for row in board.rows[:MEASURED] if board and same else ():
        yield row, same
