"""Boards, and the scores of one observer, as tables; and a board of a hundred rows made readable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.contracts import Direction, Suite
from benchmark.leaderboard.model import REPORTED, Board, Row, cell_of, describe
from benchmark.leaderboard.table import PUBLISHED, Field, Rank, Table, Value, number

if TYPE_CHECKING:
    from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote

#: What is told of a number from the score behind it.
ORIGIN = ("level", "method", "excluded", "created", "set_id")
WAYS: Mapping[Direction, str] = {"higher": "higher is better", "lower": "lower is better"}
#: As many people and published networks as are shown one by one.
FEW_PEOPLE = 4
FEW_PUBLISHED = 12
OTHERS = ("published", REPORTED)
NAME_MIN, TAGS_MAX, TEXT_MAX = 22, 24, 28


def board_table(board: Board) -> Table:
    """A board as a table: rows with a value, without, references."""
    valued = [row for row in board.rows if row.cells[board.by].value is not None]
    without = [row for row in board.rows if row.cells[board.by].value is None]
    blocks = [block for block in (valued, without, list(board.references)) if block]
    dividers = [sum(map(len, blocks[:at])) for at in range(1, len(blocks))]
    head, *others = (_measured(board, at) for at in range(len(board.columns)))
    aside = {id(row) for row in board.references}
    # Metrics in which nobody has a value: data say why of each observer.
    named = {column.metric for column in board.columns}
    silent_metrics = [m for m in (board.rows[0].cells if board.rows else ()) if m not in named]

    def values(row: Row) -> tuple[Value, ...]:
        unranked = REPORTED if row.kind == REPORTED else "unranked"
        ranked = unranked if row.rank is None else "ranked"
        section = "reference" if id(row) in aside else ranked
        first, *more = (row.cells[column.metric] for column in board.columns)
        rank = Rank(row.rank, row.rank_low, row.rank_high)
        who = (section, rank, row.observer, shown_name(row.observer, row.kind), row.kind)
        silent = (row.cells.get(metric) for metric in silent_metrics)
        return (*who, row.training, row.note, first, first.n or None, *more, *silent)

    fields = (
        Field("section"),
        Field("rank", "rank"),
        Field("observer"),
        Field("", "observer", breaks=NAME_MIN),
        Field("kind"),
        Field("training", "training", breaks=TAGS_MAX, goes=1),
        Field("note"),
        head,
        Field("", "n", right=True),
        *others,
        *map(Field, silent_metrics),
    )
    sets = {role: {"set": text, "stimuli": board.digests.get(role, "")} for role, text in board.sets.items()}
    facts = {"suite": board.suite, "version": board.version, "space": board.space}
    intervals, notes = _explanation(board)
    return Table(
        board.title,
        caption(board),
        fields,
        tuple(values(row) for block in blocks for row in block),
        tuple(dividers),
        tuple(notes),
        intervals,
        ("full", "four"),
        facts={**facts, "ranked_by": board.by, "sets": sets},
        origin=ORIGIN,
    )


def _measured(board: Board, at: int) -> Field:
    """A metric's field. The ranking one stays, with its intervals; of the others the last goes first."""
    column = board.columns[at]
    way = f"; {WAYS[column.direction]}" if column.direction in WAYS else ""
    return Field(
        column.metric,
        column.title,
        f"{column.definition}{way}",
        goes=1 + len(board.columns) - at if at else 0,
        keeps=not at,
        said=column.average,
        facts={
            "direction": column.direction,
            "role": column.role,
            "set": board.sets.get(column.role, ""),
            "stimuli": board.digests.get(column.role, ""),
        },
    )


def shown_name(observer: str, kind: str) -> str:
    """The observer's name, marked where its decisions were published by others."""
    return f"{observer} {PUBLISHED}" if kind == "published" else observer


def caption(board: Board) -> str:
    """Stimuli and order."""
    head = next((column for column in board.columns if column.metric == board.by), board.columns[0])
    way = WAYS.get(head.direction)
    order = f"ranked by {head.title}, {way}" if way else f"ordered by {head.title}"
    return f"{'; '.join(dict.fromkeys(board.sets.values())) or 'no stimuli'}; {order}"


def _explanation(board: Board) -> tuple[str, list[str]]:
    """What the brackets are; columns where less is better, and what the board says of itself."""
    levels = {
        cell.source.level
        for row in board.rows
        for cell in row.cells.values()
        if cell.source is not None and cell.low is not None
    }
    brackets, lines = "", []
    if levels:
        at = " or ".join(f"{100 * level:g} %" for level in sorted(levels))
        brackets = f"[low, high]: {at} interval over exemplars; categories are fixed."
        if any(row.kind != REPORTED for row in board.rows):
            brackets += " Rank (best-worst): ranks not ruled out at 95 %, for each row by itself."
    if any(row.kind == "group" for row in board.references):
        lines.append("Intervals of rows of people are about other people on the same images.")
    less = [c.title for c in board.columns if c.direction == "lower" and c.metric != board.by]
    if less:
        lines.append(f"Lower is better: {', '.join(less)}.")
    if any(row.kind == "published" for row in board.rows):
        lines.append(f"{PUBLISHED} published decisions, not run here")
    return brackets, [*lines, *(f"Note: {note}" for note in board.notes)]


def collapse_rows(board: Board, families: Mapping[str, str]) -> Board:
    """The board with people as one row, a choice of published networks, and notes that say so; no row is ranked anew.

    families: observer -> its family. Of published networks the best of each recipe and family stay, and the lowest of
    all; every other row stays.
    """
    rows, published = _choice(board.rows, families)
    references, people = _without_people(board)
    notes = tuple(line for line in (published, people) if line)
    return replace(board, rows=rows, references=references, notes=(*board.notes, *notes))


def _choice(rows: Sequence[Row], families: Mapping[str, str]) -> tuple[tuple[Row, ...], str]:
    published = [row for row in rows if row.kind in OTHERS]
    if len(published) <= FEW_PUBLISHED:
        return tuple(rows), ""
    best: dict[tuple[tuple[str, ...], str], str] = {}
    for row in published:  # in ranked order
        best.setdefault((row.training, families.get(row.observer, "")), row.observer)
    valued = [row for row in published if row.rank is not None] or published
    shown = {*best.values(), valued[-1].observer}
    kept = tuple(row for row in rows if row.kind not in OTHERS or row.observer in shown)
    hidden = len(rows) - len(kept)
    if not hidden:
        return kept, ""
    return kept, (
        f"{hidden} of {len(published)} published networks are folded away: the best of each recipe and family are "
        "shown, and the lowest (--all)"
    )


def _without_people(board: Board) -> tuple[tuple[Row, ...], str]:
    people = [row for row in board.references if row.kind == "human"]
    if len(people) <= FEW_PEOPLE or not any(row.kind == "group" for row in board.references):
        return board.references, ""
    kept = tuple(row for row in board.references if row.kind != "human")
    values = [(row.cells[board.by].value, row.observer) for row in people]
    spread, known = "", sorted((value, name) for value, name in values if value is not None)
    if len(known) > 1:
        (low, first), (high, last) = known[0], known[-1]
        spread = f": from {number(low)} ({first}) to {number(high)} ({last})"
    return kept, f"{len(people)} people are folded into one row (--all){spread}"


def observer_tables(
    rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], suites: Sequence[Suite] = ()
) -> list[Table]:
    """All scores of one observer: a table per suite, version and space, newest first; metrics in the suite's order."""
    parts: dict[tuple[str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        parts[row.suite, -row.version, row.space].append(row)
    known = {suite.name: suite for suite in suites}
    return [_suite_table(part, sets, known.get(key[0])) for key, part in sorted(parts.items())]


def headline_table(rows: Sequence[ScoreRow], suites: Sequence[Suite]) -> Table:
    """The headline of every suite that the observer has a score in."""
    heads = {suite.name: suite.headline for suite in suites}
    fields = (
        Field("suite", "suite"),
        Field("headline", "headline"),
        Field("value", "value"),
        Field("", "n", right=True),
    )
    values = tuple(
        (row.suite, heads[row.suite].title, cell_of(row), row.n)
        for row in rows
        if row.suite in heads and row.metric == heads[row.suite].name and not row.condition
    )
    return Table("headlines", "", fields, values, origin=ORIGIN)


def card_line(observer: ObserverRow) -> str:
    """Who an observer is, in a line: kind, architecture, weights, recipe, parameters, labels."""
    card = observer.card
    digest, count = card.get("sha256"), card.get("parameters")
    parts = [
        observer.kind,
        card.get("arch"),
        f"weights {str(digest)[:8]}" if digest else "",
        f"trained: {', '.join(observer.training)}" if observer.training else "",
        f"{count:,} parameters" if isinstance(count, int) else "",
        f"labels {card['labels']}" if card.get("labels") else "",
        f"identity {observer.identity[:8]}",
    ]
    return f"{observer.name}: {', '.join(str(part) for part in parts if part)}"


def reported_lines(observer: ObserverRow) -> list[str]:
    """What a card says that others measured, a line each."""
    return [
        f"reported, not measured here: {one.get('metric', '')} {one.get('value', '')} ({one.get('where', '')})"
        for one in observer.card.get("reported") or ()
        if isinstance(one, dict)
    ]


def _suite_table(rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote], suite: Suite | None) -> Table:
    metrics = {metric.name: (at, metric) for at, metric in enumerate(suite.metrics if suite else ())}

    def order(row: ScoreRow) -> tuple[int, str, str, str]:
        at = metrics[row.metric][0] if row.metric in metrics else len(metrics)
        return at, row.metric, row.stimuli, row.condition

    # A score of one experiment is the same in every collection of sets that holds it: once is enough.
    once = {(r.metric, r.role, r.condition, r.stimuli, r.value, r.reason): r for r in rows}
    ordered = sorted(once.values(), key=order)
    used = [digest for digest in dict.fromkeys(row.stimuli for row in ordered) if digest]
    letters = {digest: chr(ord("a") + at % 26) * (1 + at // 26) for at, digest in enumerate(used)}
    if len(used) < 2:
        letters = dict.fromkeys(letters, "")

    def values(row: ScoreRow) -> tuple[Value, ...]:
        _, metric = metrics.get(row.metric, (0, None))
        own = row.role == (metric.role if metric else row.role)
        # The experiment stands before the condition where the metric does not say which that is.
        condition = row.condition if own else f"{row.role} {row.condition}".strip()
        n = None if row.kind == REPORTED and not row.n else row.n
        title = metric.title if metric else row.metric
        head = (title, condition, cell_of(row), n, row.excluded or None)
        return (*head, letters.get(row.stimuli, ""), row.method)

    fields = (
        Field("metric", "metric", breaks=TEXT_MAX),
        Field("condition", "condition", breaks=TEXT_MAX),
        Field("", "value"),
        Field("", "n", right=True),
        Field("", "excluded", right=True, goes=2),
        Field("", "set"),
        Field("", "interval by", breaks=TEXT_MAX, goes=1),
    )
    first = ordered[0]
    described = [f"{letters[d]}: {describe(d, sets)}".removeprefix(": ") for d in used]
    return Table(
        f"{first.observer}: {first.suite} (version {first.version}), {first.space}",
        "; ".join(described) or "no stimuli",
        fields,
        tuple(map(values, ordered)),
        origin=ORIGIN,
    )


def score_table(rows: Sequence[ScoreRow], sets: Mapping[str, StimuliNote]) -> Table:
    """Stored scores as they are, one below the other."""
    names = ("observer", "kind", "training", "suite", "version", "space", "metric", "condition")
    fields = (
        *(Field(name, name) for name in names),
        Field("role"),
        Field("", "value"),
        Field("", "n", right=True),
        Field("set", "set"),
        Field("stimuli"),
    )

    def values(row: ScoreRow) -> tuple[Value, ...]:
        plain = (getattr(row, name) for name in (*names, "role"))
        return (*plain, cell_of(row), row.n, describe(row.stimuli, sets), row.stimuli)

    return Table(fields=fields, rows=tuple(map(values, rows)), origin=ORIGIN)
