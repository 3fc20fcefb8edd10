"""Ranks of rows that are in order already; and boards on which a flag of distrust counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.contracts import DISTRUST, Direction
from benchmark.leaderboard.model import Board, Cell, Row
from benchmark.stats.proportions import normal_quantile
from benchmark.stats.ranks import rank_intervals


def with_ranks(
    rows: Sequence[Row], metric: str, direction: Direction, above: int = 0
) -> tuple[Row, ...]:
    """Rows, best first, with the ranks and rank intervals of a metric, counted from `above` + 1; where it has no better
    and worse, or a row no value, without."""
    heads = [row.cells[metric] for row in rows]
    if direction == "none":
        return tuple(_noted(row, head) for row, head in zip(rows, heads, strict=True))
    values, errors = [head.value for head in heads], [_standard_error(head) for head in heads]
    ranks = rank_intervals(values, errors, direction == "higher")
    triples = zip(*((column + above).tolist() for column in ranks), strict=True)
    return tuple(
        _noted(row, head) if head.value is None else _with_rank(row, triple)
        for row, head, triple in zip(rows, heads, triples, strict=True)
    )


def flagged_last(board: Board) -> Board:
    """The board with every row below the others whose ranking score carries a flag of distrust; either part is ranked
    by itself."""
    valued = [row for row in board.rows if row.cells[board.by].value is not None]
    flagged = [row for row in valued if distrusted(row.cells[board.by])]
    if not flagged:
        return board
    trusted = [row for row in valued if not distrusted(row.cells[board.by])]
    rest = [row for row in board.rows if row.cells[board.by].value is None]
    how = next(column.direction for column in board.columns if column.metric == board.by)
    rows = (
        *with_ranks(trusted, board.by, how),
        *with_ranks(flagged, board.by, how, len(trusted)),
        *rest,
    )
    note = f"{len(flagged)} of {len(valued)} rows rank last for a flag '{DISTRUST}...'"
    return replace(board, rows=rows, notes=(*board.notes, note))


def distrusted(cell: Cell) -> bool:
    """Whether a number carries a flag of distrust."""
    return any(flag.startswith(DISTRUST) for flag in cell.flags)


def _standard_error(cell: Cell) -> float | None:
    """Half the interval in units of the normal quantile; None where there is no interval."""
    if cell.low is None or cell.high is None or cell.source is None:
        return None
    return max(0.0, cell.high - cell.low) / (2 * normal_quantile(cell.source.level))


def _with_rank(row: Row, ranks: tuple[int, int, int]) -> Row:
    return Row(*ranks, row.observer, row.kind, row.training, row.cells, row.note)


def _noted(row: Row, head: Cell) -> Row:
    """An unranked row; its note is the reason for the missing value, where one is missing."""
    return row if head.value is not None else row._replace(note=head.reason)


def with_twins(board: Board, identities: Mapping[str, str]) -> Board:
    """The board with a note on rows that are one network under several names. identities: observer -> digest of what
    decides its answers."""
    names: dict[str, list[str]] = {}
    for row in board.rows:
        if row.observer in identities:
            names.setdefault(identities[row.observer], []).append(row.observer)
    twins = [" = ".join(same) for same in names.values() if len(same) > 1]
    if not twins:
        return board
    note = f"the same network (weights, preprocessing, labels) under two names: {'; '.join(twins)}"
    return replace(board, notes=(*board.notes, note))


def hinted(board: Board) -> Board:
    """The board with how to leave out what its flags say was seen in training."""
    rows = (*board.rows, *board.references)
    flags = (flag for row in rows for cell in row.cells.values() for flag in cell.flags)
    if not any("seen" in flag.split() for flag in flags):
        return board
    note = f"flagged numbers include training conditions; without them: bench rank --by {board.suite} --unseen-only"
    return replace(board, notes=(*board.notes, note))
