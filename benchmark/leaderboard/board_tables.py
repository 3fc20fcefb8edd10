"""Boards, and the scores of one observer, as tables; and a board of a hundred rows made readable."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from benchmark.contracts import Direction, Suite
from benchmark.leaderboard.board import noted
from benchmark.leaderboard.board_model import REPORTED, Board, Column, Notes, Row, cell_of, set_in_words, title_under
from benchmark.leaderboard.table import PUBLISHED, Field, Table, Value, declared_table, number
from benchmark.store.rows import ObserverRow, ScoreRow

#: What is told of a number from the score behind it.
ORIGIN = ("level", "method", "excluded", "created", "program", "set_id")
WAYS: Mapping[Direction, str] = {"higher": "higher is better", "lower": "lower is better"}
#: As many people and published networks as are shown one by one.
FEW_PEOPLE = 4
FEW_PUBLISHED = 12
NEAR = 2  # rows above and below one's own
OTHERS = ("published", REPORTED)


def board_table(board: Board) -> Table:
    """Return a board as a table: rows with a value, without, references."""
    valued = [("ranked", row) for row in board.rows if row.cells[board.by].value is not None]
    without = [("ranked", row) for row in board.rows if row.cells[board.by].value is None]
    blocks = [block for block in (valued, without, [("reference", row) for row in board.references]) if block]
    names = [column.metric for column in board.columns]
    # Metrics in which nobody has a value: data say why of each observer.
    silent = [metric for metric in (board.rows[0].cells if board.rows else ()) if metric not in names]

    def values(section: str, row: Row) -> tuple[Value, ...]:
        if section == "ranked" and row.rank is None:
            section = REPORTED if row.kind == REPORTED else "unranked"
        first, *more = (row.cells[metric] for metric in names)
        who = (section, row.place, row.observer, shown_name(row.observer, row.kind), row.kind)
        return (*who, first, first.n or None, row.training, row.note, *more, *map(row.cells.get, silent))

    def measured(column: Column) -> Field:
        about = "; ".join(filter(None, (column.definition, WAYS.get(column.direction))))
        facts = {"direction": column.direction, "role": column.role, "set": board.sets.get(column.role, "")}
        facts |= {"stimuli": board.digests.get(column.role, ""), "over": column.over}
        return Field(column.metric, column.title, about, said=column.average, facts=facts, measure=column)

    head, *others = map(measured, board.columns)
    who = (Field("section"), Field("rank", "rank", who=True), Field("observer"), Field("", "observer", who=True))
    about = (Field("", "n", right=True), Field("training", "training", breaks=24), Field("note"))
    fields = (*who, Field("kind"), head, *about, *others, *map(Field, silent))
    (intervals, notes), way = _explained(board), WAYS.get(board.columns[0].direction)
    order = f"ranked by {head.title}, {way}" if way else f"ordered by {head.title}"
    sets = {role: {"set": text, "stimuli": board.digests.get(role, "")} for role, text in board.sets.items()}
    facts = {"suite": board.suite, "version": board.version, "space": board.space, "ranked_by": board.by, "sets": sets}
    return Table(
        title=board.title,
        caption=f"{'; '.join(dict.fromkeys(board.sets.values())) or 'no stimuli'}; {order}",
        fields=fields,
        rows=tuple(values(*row) for block in blocks for row in block),
        dividers=tuple(sum(map(len, blocks[:at])) for at in range(1, len(blocks))),
        notes=tuple(notes),
        intervals=intervals,
        facts=facts,
        origin=ORIGIN,
    )


def shown_name(observer: str, kind: str) -> str:
    """Return the observer's name, marked where its decisions were published by others."""
    return f"{observer} {PUBLISHED}" if kind == "published" else observer


def interval_sentence(columns: Iterable[Column], named: Callable[[Column], str]) -> str:
    """Return "over images; shape bias: over shapes and textures": the unit of most columns, then others by name."""
    units: dict[str, list[str]] = {}
    for column in columns:
        units.setdefault(column.over, []).append(named(column))
    most = max(units, key=lambda over: len(units[over]), default="")
    others = (f"{', '.join(names)}: over {over}" for over, names in units.items() if over not in ("", most))
    return "; ".join([f"over {most}" if most else "as reported", *others])


def _explained(board: Board) -> tuple[str, list[str]]:
    """Return the meaning of the brackets, and the notes."""
    cells = (cell for row in board.rows for cell in row.cells.values())
    levels = sorted({cell.source.level for cell in cells if cell.source is not None and cell.low is not None})
    at = " or ".join(f"{100 * level:g} %" for level in levels)
    ranked = any(row.kind != REPORTED for row in board.rows)
    ranks = " Rank (best-worst): ranks not ruled out at 95 %, for each row separately." if ranked else ""
    shown = [c for c in board.columns if any(row.cells[c.metric].low is not None for row in board.rows)]
    about = interval_sentence(shown, lambda column: column.title)
    intervals, lines = f"[low, high]: {at} interval {about}; categories are fixed.{ranks}" if levels else "", []
    group = [cell for row in board.references if row.kind == "group" for cell in row.cells.values()]
    # a mean of people, or all of them pooled; agreement of people with one another is about images, too
    if any(cell.low is not None and (not cell.source or cell.source.method.startswith("t over")) for cell in group):
        lines.append("Intervals of rows of people are about other people on the same images.")
    less = [c.title for c in board.columns if c.direction == "lower" and c.metric != board.by]
    if less:
        lines.append(f"Lower is better: {', '.join(less)}.")
    if any(row.kind == "published" for row in board.rows):
        lines.append(f"{PUBLISHED} published decisions, not run here")
    return intervals, [*lines, *(f"Note: {note}" for note in board.notes)]


def collapse_rows(board: Board, families: Mapping[str, str]) -> Board:
    """Return the board with people as one row. Of published networks it keeps the best of each recipe and family, and
    the lowest. Notes report the hidden rows, and ranks stay. families: observer -> its family."""
    rows, references, notes = board.rows, board.references, []
    published = [row for row in rows if row.kind in OTHERS]
    if len(published) > FEW_PUBLISHED:
        best: dict[tuple[tuple[str, ...], str], str] = {}
        for row in published:  # in ranked order
            best.setdefault((row.training, families.get(row.observer, "")), row.observer)
        lowest = ([row for row in published if row.rank is not None] or published)[-1]
        shown = {*best.values(), lowest.observer}
        rows = tuple(row for row in rows if row.kind not in OTHERS or row.observer in shown)
        if hidden := len(board.rows) - len(rows):
            notes.append(
                f"{hidden} of {len(published)} published networks are folded away: the best of each recipe and family "
                "are shown, and the lowest (--all)"
            )
    people = [row for row in references if row.kind == "human"]
    if len(people) > FEW_PEOPLE and any(row.kind == "group" for row in references):
        references = tuple(row for row in references if row.kind != "human")
        known = sorted((value, row.observer) for row in people if (value := row.cells[board.by].value) is not None)
        ends = [f"{number(value)} ({name})" for value, name in (known[0], known[-1])] if len(known) > 1 else []
        spread = f": from {' to '.join(ends)}" if ends else ""
        notes.append(f"{len(people)} people are folded into one row (--all){spread}")
    return noted(replace(board, rows=rows, references=references), *notes)


def near_rows(board: Board, chosen: Collection[str]) -> Board:
    """Return the board with the rows of the chosen observers, `NEAR` neighbours on either side, and the reference rows
    of people and chance. Ranks stay. No rows if the board has none of the chosen observers."""
    if not any(row.observer in chosen for row in (*board.rows, *board.references)):
        return replace(board, rows=(), references=())
    places = [at for at, row in enumerate(board.rows) if row.observer in chosen]
    kept = tuple(row for at, row in enumerate(board.rows) if any(abs(at - place) <= NEAR for place in places))
    people = "group" if any(row.kind == "group" for row in board.references) else "human"
    aside = tuple(row for row in board.references if row.observer in chosen or row.kind in (people, "chance"))
    hidden = len(board.rows) - len(kept)
    return noted(replace(board, rows=kept, references=aside), f"{hidden} others: bench rank" if hidden else "")


def observer_tables(rows: Sequence[ScoreRow], sets: Notes, suites: Sequence[Suite] = ()) -> list[Table]:
    """Return all scores of one observer: a table per suite, version and space, newest first, in the suite's order."""
    parts: dict[tuple[str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        parts[row.suite, -row.version, row.space].append(row)
    known = {suite.name: suite for suite in suites}
    tables = []
    for (name, _, _), part in sorted(parts.items()):
        metrics = {metric.name: metric for metric in (known[name].metrics if name in known else ())}
        places = {metric: at for at, metric in enumerate(metrics)}
        # A score of one experiment is the same in every collection of sets that holds it: once is enough.
        once = {(r.metric, r.role, r.condition, r.stimuli, r.value, r.reason): r for r in part}.values()
        ordered = sorted(once, key=lambda r: (places.get(r.metric, len(metrics)), r.metric, r.stimuli, r.condition))
        used = [digest for digest in dict.fromkeys(row.stimuli for row in ordered) if digest]
        conditions: dict[str, set[str]] = defaultdict(set)
        for row in ordered:
            conditions[row.metric].add(row.condition)
        letters = {digest: chr(ord("a") + at % 26) * (1 + at // 26) for at, digest in enumerate(used) if len(used) > 1}
        values: list[tuple[Value, ...]] = []
        for row in ordered:
            metric = metrics.get(row.metric)
            # The experiment comes before the condition if the metric does not say which that is.
            own = metric is None or row.role == metric.role
            condition = row.condition if own else f"{row.role} {row.condition}".strip()
            n = None if row.kind == REPORTED and not row.n else row.n
            title = title_under(metric.title, row.condition, conditions[row.metric]) if metric else row.metric
            numbers = (cell_of(row), n, row.excluded or None)
            values.append((title, condition, *numbers, letters.get(row.stimuli, ""), row.method))
        described = [f"{letters.get(d, '')}: {set_in_words(d, sets)}".removeprefix(": ") for d in used]
        shown = "; ".join(described) or "no stimuli"
        tables.append(declared_table("scores", values, sets=shown, **part[0]._asdict()))
    return tables


def headline_table(rows: Sequence[ScoreRow], suites: Sequence[Suite]) -> Table:
    """Return the headline of every suite that the observer has a score in."""
    heads = {(suite.name, suite.headline.name): suite.headline for suite in suites}
    shown = [row for row in rows if not row.condition and (row.suite, row.metric) in heads]
    values = ((row.suite, heads[row.suite, row.metric].title, cell_of(row), row.n) for row in shown)
    return declared_table("headlines", values)


def card_lines(observer: ObserverRow) -> list[str]:
    """Return an observer in a line: kind, architecture, weights, recipe, parameters, labels. Below are the scores that
    its card quotes from others, a line each."""
    card, count = observer.card, observer.card.get("parameters")
    parts = [
        observer.kind,
        card.get("arch"),
        f"weights {str(card['sha256'])[:8]}" if card.get("sha256") else "",
        f"trained: {', '.join(observer.training)}" if observer.training else "",
        f"{count:,} parameters" if isinstance(count, int) else "",
        f"labels {card['labels']}" if card.get("labels") else "",
        f"identity {observer.identity[:8]}",
    ]
    quoted = [
        f"reported, not measured here: {claim.get('metric', '')} {claim.get('value', '')} ({claim.get('where', '')})"
        for claim in card.get("reported") or ()
        if isinstance(claim, dict)
    ]
    return [f"{observer.name}: {', '.join(str(part) for part in parts if part)}", *quoted]


def score_table(rows: Sequence[ScoreRow], sets: Notes) -> Table:
    """Return stored scores as they are, one below the other."""
    names = ("observer", "kind", "training", "suite", "version", "space", "metric", "condition", "role")

    def values(row: ScoreRow) -> tuple[Value, ...]:
        plain = (getattr(row, name) for name in names)
        return (*plain, cell_of(row), row.n, set_in_words(row.stimuli, sets), row.stimuli)

    return declared_table("stored", map(values, rows))
