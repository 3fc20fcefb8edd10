"""Models by suites: the headlines of all suites side by side, one row per observer and one summary per label space. All
numbers of a column are of the same stimuli (from the suite's board with most observers)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.contracts import distrust_flags
from benchmark.display import counted, printable
from benchmark.leaderboard.board import in_order
from benchmark.leaderboard.board_model import CLEAN, NOBODY, REPORTED, Board, Cell, Column, Rank, Row, cell_of
from benchmark.leaderboard.board_tables import WAYS, interval_sentence, shown_name
from benchmark.leaderboard.lineage import lineage, recipe
from benchmark.leaderboard.table import ELSEWHERE, NOT_MEASURED, NOTHING, PUBLISHED, Field, Table, Value, declared_table
from benchmark.store.rows import ScoreRow

NAMED = 5  # observers that a note names
NOWHERE = Cell(reason=NOT_MEASURED)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The headlines of one label space."""

    space: str
    headlines: tuple[Column, ...]
    lines: tuple[Row, ...]  # ranked observers by mean rank, then unranked ones
    references: tuple[Row, ...]  # people, ideal observers, reference conditions and chance that have a value
    clean: Column | None = None  # clean accuracy
    notes: tuple[str, ...] = ()  # of the boards, without repetition


def summaries(boards: Sequence[Board]) -> list[Summary]:
    """Return one summary per label space, that with most observers first. boards: ranked by headlines."""
    tables = []
    for space in dict.fromkeys(board.space for board in boards):
        every = [board for board in boards if board.space == space]
        first: dict[str, Board] = {}
        for board in every:
            first.setdefault(board.suite, board)
        own = list(first.values())
        notes: dict[str, list[str]] = defaultdict(list)
        for board in own:
            for note in dict.fromkeys(board.notes):
                notes[note].append(board.suite)
        said = [f"{', '.join(suites)}: {note}" for note, suites in notes.items() if not note.endswith(NOBODY)]
        plain = [(board, column) for board in own for column in board.columns if column.clean]
        known = [sum(row.cells[column.metric].value is not None for row in board.rows) for board, column in plain]
        clean = plain[known.index(max(known))] if plain else None  # what most observers have a value in
        lines = list(_lines(own, [b.rows for b in own], clean))
        lines.sort(key=lambda line: (line.rank is None, line.rank or 0.0, line.observer))
        aside = list(_lines(own, [b.references for b in own], clean))
        there = {line.observer for line in (*lines, *aside)}
        absent = [n for n in dict.fromkeys(row.observer for board in every for row in board.rows) if n not in there]
        if absent:
            named = ", ".join(map(printable, absent[:NAMED])) + (", ..." if len(absent) > NAMED else "")
            said.append(f"{len(absent)} not in this table, shown other stimuli (bench rank SUITE): {named}")
        heads = [*((board, board.columns[0]) for board in own), *([clean] if clean else [])]
        shown = [replace(column, suite=b.suite, stimuli=b.sets.get(column.role, "")) for b, column in heads]
        made = Summary(
            space=space,
            headlines=tuple(shown[: len(own)]),
            lines=tuple(lines),
            references=tuple(r for r in aside if any(r.cells[board.suite].value is not None for board in own)),
            clean=shown[-1] if clean else None,
            notes=tuple(said),
        )
        tables.append(made)
    return sorted(tables, key=lambda summary: -len(summary.lines))


def _lines(boards: Sequence[Board], rows: Sequence[Sequence[Row]], clean: tuple[Board, Column] | None) -> Iterator[Row]:
    """rows: by board. An observer that a board lacks has an empty cell with the reason."""
    tables = [{row.observer: row for row in part} for part in rows]
    for name in dict.fromkeys(name for table in tables for name in table):
        own = {board.suite: table[name] for board, table in zip(boards, tables, strict=True) if name in table}
        cells = {board.suite: Cell(reason=ELSEWHERE) for board in boards}
        for board in boards:
            if row := own.get(board.suite):
                cells[board.suite] = row.cells[board.by]._replace(rank=row.place)
        if clean:
            board, column = clean
            cells[CLEAN] = own[board.suite].cells[column.metric] if board.suite in own else NOWHERE
        ranks = [row.place for row in own.values() if row.rank is not None]
        means = (sum(end or 0 for end in ends) / len(ranks) for ends in zip(*ranks, strict=True))
        mean = Rank._make(means) if ranks else Rank()
        first = next(iter(own.values()))
        who = Row(observer=name, kind=first.kind, training=first.training, cells=cells)
        yield who._replace(rank=mean.rank, rank_low=mean.low, rank_high=mean.high)


def summary_table(summary: Summary, parameters: Mapping[str, int] | None = None) -> Table:
    """Return the summary as a table. parameters: parameter counts of the networks."""
    sizes = parameters or {}
    sections = (("ranked", summary.lines), ("reference", summary.references))

    def values(section: str, line: Row) -> tuple[Value, ...]:
        who = (section, line.place, line.observer, shown_name(line.observer, line.kind), line.kind, line.training)
        cells = {head.suite: line.cells[head.suite] for head in summary.headlines}
        clean = [line.cells[CLEAN]] if summary.clean else []
        tags = recipe(line.training) if line.training else ""
        return (*who, *cells.values(), *clean, tags, millions(sizes.get(line.observer)))

    shown = [h for h in summary.headlines if any(line.cells[h.suite].low is not None for line in summary.lines)]
    over = interval_sentence(shown, lambda head: f"{head.suite} {head.title}")
    fields = [*map(_field, summary.headlines), *([_field(summary.clean, clean=True)] if summary.clean else [])]
    rows = (values(name, line) for name, lines in sections for line in lines)
    facts, n = {"space": summary.space}, counted(len(summary.headlines), "headline")
    notes, sizes_of = [], dict[str, list[int]]()
    for head in summary.headlines:
        cells = (line.cells[head.suite] for line in summary.lines)
        if trials := sorted({cell.n for cell in cells if cell.value is not None}):
            sizes_of[head.suite] = list(dict.fromkeys((trials[0], trials[-1])))
    if said := [f"{suite} {'-'.join(map(str, ends))}" for suite, ends in sizes_of.items()]:
        notes.append(f"n, trials behind a number: {', '.join(said)}.")
    if less := [f"{head.suite} {head.title}" for head in summary.headlines if head.direction == "lower"]:
        notes.append(f"Lower is better: {', '.join(less)}.")
    if any(line.kind == "published" for line in summary.lines):
        notes.append(f"{PUBLISHED} published decisions, not run here")
    notes += [f"Note: {note}" for note in summary.notes]
    if any(cell.value is None for line in summary.lines for cell in line.cells.values()):
        notes.append(f"{NOTHING} no number; bench show has the reason")
    table = declared_table("summary", rows, notes, (), fields, facts, **facts, n=n, over=over)
    return replace(table, dividers=(len(summary.lines),)) if summary.lines and summary.references else table


def _field(column: Column, *, clean: bool = False) -> Field:
    way, where = WAYS.get(column.direction, "neither way is better"), column.stimuli
    key, title = f"{column.suite}.{column.metric}", CLEAN if clean else f"{column.suite} {column.title}"
    if column.suite == column.metric:
        key = title = column.title
    facts = {"suite": column.suite, "metric": column.metric, "direction": column.direction, "set": where}
    about = f"{column.definition}; {way}; {where or 'no stimuli'}"
    return Field(key, title, about, said=column.average, facts=facts, measure=column)


def millions(count: int | None) -> str:
    """Return "25.6M", "174k", or "" for none."""
    if not count:
        return ""
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"


# A number that a publisher reports was made of images that are not here. So published scores have tables of their own:
# they are ordered, not ranked, and enter no paired test.

NOTE = "reported by others, not measured here: not ranked, and in no paired test"


def reported_boards(
    rows: Sequence[ScoreRow], sources: Mapping[str, str], suites: Sequence[str] | None = None
) -> list[Board]:
    """Return one table per suite on whose subject the scores are, and per source. Of the stored scores `rows`, only
    reported ones count. sources: observer -> its source; suites: only of these (None: all, also of none)."""
    from benchmark.stimuli.score_tables import known_metrics  # reads every form of published scores

    groups: dict[tuple[str, str], list[ScoreRow]] = defaultdict(list)
    for row in (row for row in rows if row.suite == REPORTED and (suites is None or row.role in suites)):
        groups[row.role, sources.get(row.observer, "")].append(row)
    made = []
    for (role, source), part in sorted(groups.items()):
        scores: dict[str, dict[str, ScoreRow]] = defaultdict(dict)  # column -> observer -> score
        whole = {row.metric for row in part if not row.condition}
        for row in (row for row in part if not row.condition or row.metric not in whole):
            scores[f"{row.metric} {row.condition}".strip()][row.observer] = row
        names, columns, table = sorted(scores, key=lambda name: (-len(scores[name]), name)), [], []
        for name in names:
            row = next(iter(scores[name].values()))
            known = known_metrics().get((source, row.metric))
            title = f"{known.title if known else row.metric}{f' ({row.condition})' if row.condition else ''}"
            about, clean = known.definition if known else f"as {source} reports it", known is not None and known.clean
            columns.append(
                Column(metric=name, title=title, direction="none", role=row.role, clean=clean, definition=about)
            )
        for observer, row in {row.observer: row for row in part}.items():
            cells = {name: cell_of(scores[name][observer]) if observer in scores[name] else NOWHERE for name in names}
            table.append(Row(observer=observer, kind=row.kind, training=row.training, cells=cells))
        board = Board(
            suite=role if role != "-" else REPORTED,
            version=1,
            space="as published",
            title=f"{role if role != '-' else 'other scores'}, reported by {source}",
            sets={role: "aggregates without trials"},
            columns=tuple(columns),
            rows=tuple(in_order(table, names[0])),
            notes=(NOTE,),
            by=names[0],
        )
        made.append(board)
    return made


def reported_summaries(boards: Sequence[Board]) -> list[Summary]:
    """Return for each source what most of its observers have a trusted value of, for correlations within it."""
    sources: dict[str, list[Board]] = defaultdict(list)
    for board in boards:
        sources[lineage(board.rows[0].observer).source].append(board)
    made = []
    for source, own in sources.items():
        columns = {column.metric: column for board in own for column in board.columns}
        rows: dict[str, Row] = {}
        cells: dict[str, dict[str, Cell]] = defaultdict(dict)  # column -> observer -> trusted value
        for row in (row for board in own for row in board.rows):
            rows.setdefault(row.observer, row)
            for name, cell in row.cells.items():
                if cell.value is not None and not distrust_flags(cell.flags):
                    cells[name][row.observer] = cell
        common = [column for column in columns.values() if 2 * len(cells[column.metric]) >= len(rows)]
        clean = next((column for column in common if column.clean), None)
        keys = {CLEAN if column is clean else column.metric: cells[column.metric] for column in common}
        lines = (
            r._replace(cells={key: known.get(r.observer, NOWHERE) for key, known in keys.items()})
            for r in rows.values()
        )
        heads = (replace(column, suite=column.metric, stimuli=source) for column in common if column is not clean)
        made.append(Summary(space=source, headlines=tuple(heads), lines=tuple(lines), references=(), clean=clean))
    return made
