"""Published scores as tables of their own: beside what a suite measures, never among it.

A number that a publisher reports was made of images that are not here. So it is ordered, not ranked, and stands in no
paired test."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.contracts import distrust_flags
from benchmark.leaderboard.board import in_order
from benchmark.leaderboard.lineage import lineage
from benchmark.leaderboard.model import CLEAN, REPORTED, Board, Cell, Column, Row, cell_of
from benchmark.leaderboard.summary import NOWHERE, Summary
from benchmark.stimuli.score_tables import known_metrics
from benchmark.store.rows import ScoreRow

NOTE = "reported by others, not measured here: not ranked, and in no paired test"


def reported_boards(
    rows: Sequence[ScoreRow], sources: Mapping[str, str], suites: Sequence[str] | None = None
) -> list[Board]:
    """One table per suite whose subject the scores are, and per source. rows: stored scores (of other kinds of
    observers they are passed over); sources: observer -> its source; suites: only of these (None: all, also of none).
    """
    groups: dict[tuple[str, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.suite == REPORTED and (suites is None or row.role in suites):
            groups[row.role, sources.get(row.observer, "")].append(row)
    return [_board(role, source, part) for (role, source), part in sorted(groups.items())]


def _board(role: str, source: str, rows: Sequence[ScoreRow]) -> Board:
    scores: dict[str, dict[str, ScoreRow]] = defaultdict(dict)  # column -> observer -> score
    whole = {row.metric for row in rows if not row.condition}
    for row in rows:
        if not row.condition or row.metric not in whole:
            scores[f"{row.metric} {row.condition}".strip()][row.observer] = row
    names = sorted(scores, key=lambda name: (-len(scores[name]), name))

    def column(name: str) -> Column:
        row = next(iter(scores[name].values()))
        known = known_metrics().get((source, row.metric))
        title = f"{known.title if known else row.metric}{f' ({row.condition})' if row.condition else ''}"
        definition = known.definition if known else f"as {source} reports it"
        clean = known is not None and known.clean
        return Column(name, title, "none", role=row.role, clean=clean, definition=definition)

    table = []
    for observer, row in {row.observer: row for row in rows}.items():
        cells = {name: cell_of(scores[name][observer]) if observer in scores[name] else NOWHERE for name in names}
        table.append(Row(None, None, None, observer, row.kind, row.training, cells))
    return Board(
        suite=role if role != "-" else REPORTED,
        version=1,
        space="as published",
        title=f"{role if role != '-' else 'other scores'}, reported by {source}",
        sets={role: "aggregates without trials"},
        columns=tuple(map(column, names)),
        rows=tuple(in_order(table, names[0])),
        notes=(NOTE,),
        by=names[0],
    )


def reported_summaries(boards: Sequence[Board]) -> list[Summary]:
    """One per source: what most of its observers have a value of, side by side, for correlations within the source.
    Values with a flag of distrust are left out."""
    sources: dict[str, list[Board]] = defaultdict(list)
    for board in boards:
        sources[lineage(board.rows[0].observer).source].append(board)
    return [_summary(source, part) for source, part in sources.items()]


def _summary(source: str, boards: Sequence[Board]) -> Summary:
    rows: dict[str, Row] = {}
    cells: dict[str, dict[str, Cell]] = defaultdict(dict)  # column -> observer -> trusted value
    columns = {column.metric: column for board in boards for column in board.columns}
    for row in (row for board in boards for row in board.rows):
        rows.setdefault(row.observer, row)
        for name, cell in row.cells.items():
            if cell.value is not None and not distrust_flags(cell.flags):
                cells[name][row.observer] = cell
    common = [column for column in columns.values() if 2 * len(cells[column.metric]) >= len(rows)]
    clean = next((column for column in common if column.clean), None)
    heads = [column for column in common if column is not clean]

    lines = []
    for row in rows.values():
        numbers = {column.metric: cells[column.metric].get(row.observer, NOWHERE) for column in heads}
        plain = {CLEAN: cells[clean.metric].get(row.observer, NOWHERE)} if clean else {}
        lines.append(row._replace(cells={**numbers, **plain}))
    headlines = tuple(replace(column, suite=column.metric, stimuli=source) for column in heads)
    return Summary(source, headlines, tuple(lines), (), clean)
