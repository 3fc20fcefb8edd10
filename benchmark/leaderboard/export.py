"""Tables for other programs and for papers.

csv and json keep full precision, one record per number with its interval and where it came from;
markdown and latex are the table that people read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.display import printable
from benchmark.errors import unknown_name
from benchmark.leaderboard.markup import (
    latex_board,
    latex_table,
    markdown_board,
    markdown_table,
)
from benchmark.leaderboard.model import Board, Cell, Row

if TYPE_CHECKING:
    from benchmark.store.rows import ScoreRow

FORMATS = ("csv", "json", "markdown", "latex")
SCORE = ("observer", "kind", "training", "suite", "version", "space", "metric", "condition", "role")
NUMBERS = ("value", "low", "high", "level", "method", "n", "excluded", "flags", "reason")
ORIGIN = ("set", "stimuli", "created", "set_id")
FORMULA = ("=", "+", "-", "@")
PLACE = ("ranked_by", "section", "rank", "rank_low", "rank_high")

Record = dict[str, Any]


def export_boards(boards: Sequence[Board], form: str) -> str:
    """Ranked tables as "csv", "json", "markdown" or "latex" text (another `form`: UnknownName)."""
    _check(form)
    if form == "csv":
        records = (record for board in boards for record in board_records(board))
        return csv_text(records, (*PLACE, *SCORE, *NUMBERS, *ORIGIN))
    if form == "json":
        return _json([_board_json(board) for board in boards])
    draw = markdown_board if form == "markdown" else latex_board
    return "\n".join(draw(board) for board in boards)


def export_records(records: Sequence[Record], form: str) -> str:
    """Plain records with the same fields as text."""
    _check(form)
    if form == "csv":
        return csv_text(records, tuple(records[0]) if records else ())
    if form == "json":
        return _json(records)
    return (markdown_table if form == "markdown" else latex_table)(records)


def score_record(row: ScoreRow, described: str) -> Record:
    """A stored score as plain data."""
    record = {name: getattr(row, name) for name in (*SCORE, *NUMBERS)}
    record |= {"set": described, "stimuli": row.stimuli}
    record |= {"created": row.created, "set_id": row.set_id}
    return record | {"training": list(row.training), "flags": list(row.flags)}


def board_records(board: Board) -> Iterator[Record]:
    """One record per row and column of a board, missing numbers and reference rows included."""
    roles = {column.metric: column.role for column in board.columns}
    for section, row in sectioned(board):
        place = {"ranked_by": board.by, "section": section, "rank": row.rank}
        place |= {"rank_low": row.rank_low, "rank_high": row.rank_high}
        head: Record = {"observer": row.observer, "kind": row.kind, "training": list(row.training)}
        head |= {"suite": board.suite, "version": board.version, "space": board.space}
        for metric, cell in row.cells.items():
            role = roles.get(metric) or (cell.source.role if cell.source else "")
            origin = {"set": board.sets.get(role, ""), "stimuli": board.digests.get(role, "")}
            yield {**place, **head, "metric": metric, "role": role, **_cell_record(cell), **origin}


def sectioned(board: Board) -> Iterator[tuple[str, Row]]:
    """(section, row): "ranked", "unranked", "reported" or "reference"."""
    for row in board.rows:
        unranked = "reported" if row.kind == "reported" else "unranked"
        yield unranked if row.rank is None else "ranked", row
    for row in board.references:
        yield "reference", row


def _cell_record(cell: Cell) -> Record:
    """The numbers of a cell and, where a stored score is behind it, how and when it was made."""
    source = cell.source
    return {
        "condition": "",
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "level": source.level if source else None,
        "method": source.method if source else "",
        "n": cell.n,
        "excluded": source.excluded if source else 0,
        "flags": list(cell.flags),
        "reason": cell.reason,
        "created": source.created if source else "",
        "set_id": source.set_id if source else None,
    }


def _board_json(board: Board) -> Record:
    """A board as nested plain data."""
    return {
        "suite": board.suite,
        "version": board.version,
        "space": board.space,
        "ranked_by": board.by,
        "sets": {
            r: {"set": text, "stimuli": board.digests.get(r, "")} for r, text in board.sets.items()
        },
        "columns": [
            {"metric": c.metric, "title": c.title, "direction": c.direction, "role": c.role}
            for c in board.columns
        ],
        "notes": list(board.notes),
        "rows": [_row_json(section, row) for section, row in sectioned(board)],
    }


def _row_json(section: str, row: Row) -> Record:
    return {
        "section": section,
        "rank": row.rank,
        "rank_low": row.rank_low,
        "rank_high": row.rank_high,
        "observer": row.observer,
        "kind": row.kind,
        "training": list(row.training),
        "note": row.note,
        "scores": {metric: _cell_record(cell) for metric, cell in row.cells.items()},
    }


def _check(form: str) -> None:
    if form not in FORMATS:
        raise unknown_name("export format", form, FORMATS)


def _json(data: Any) -> str:
    """JSON that every parser takes: no NaN, no infinity."""
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(data: Any) -> Any:
    """The same data with numbers that are not finite replaced by None."""
    if isinstance(data, float):
        return data if data - data == 0 else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data


def csv_text(records: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Records as CSV with a header; text that no spreadsheet runs as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_csv_value(record[name]) for name in names] for record in records)
    return out.getvalue()


def _csv_value(value: Any) -> Any:
    """Numbers in full, lists joined by "; ", text that no spreadsheet runs as a formula."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, float):
        return repr(float(value))
    if not isinstance(value, str):
        return value
    line = printable(value)
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line
