"""Numbers, intervals and footnotes as text: the same in every rendering."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from benchmark.display import printable
from benchmark.leaderboard.model import Board, Cell, Row

NOTHING = "-"
UNREMARKABLE = "not measured"
PUBLISHED = "+"


def number(value: float | None, digits: int = 4) -> str:
    """A value for people: `digits` decimals, fewer above 10; "-" where there is none."""
    if value is None:
        return NOTHING
    size = abs(value)
    decimals = digits if size < 10 else max(0, digits - 2) if size < 1000 else 0
    text = f"{value:.{decimals}f}"
    return text[1:] if text[0] == "-" and float(text) == 0 else text


def interval(low: float | None, high: float | None) -> str:
    """ "[low, high]", one decimal less than the value; "" where there is none."""
    return "" if low is None or high is None else f"[{number(low, 3)}, {number(high, 3)}]"


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """ "value [low, high]"."""
    return f"{number(value)} {interval(low, high)}".rstrip()


def short_estimate(value: float | None, low: float | None, high: float | None) -> str:
    """ "0.24 [.17, .31]": two decimals, for tables with many columns."""
    if value is None or low is None or high is None:
        return number(value, 2)
    return f"{number(value, 2)} [{_bare(low)}, {_bare(high)}]"


def _bare(value: float) -> str:
    text = number(value, 2)
    return (
        text.replace("0.", ".", 1) if abs(value) < 1 and text.lstrip("-").startswith("0.") else text
    )


def p_value(p: float | None) -> str:
    """A p value: four decimals, "<0.0001" below."""
    if p is None:
        return NOTHING
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def rank_text(row: Row) -> str:
    """ "3 (2-5)", "1" where the interval is one rank, "" where there is no rank."""
    if row.rank is None:
        return ""
    alone = row.rank_low == row.rank_high
    return f"{row.rank}" if alone else f"{row.rank} ({row.rank_low}-{row.rank_high})"


def caption(board: Board) -> str:
    """Stimuli, order, and what the numbers in brackets are."""
    head = next((column for column in board.columns if column.metric == board.by), board.columns[0])
    ways = {"higher": "ranked by {}, higher is better", "lower": "ranked by {}, lower is better"}
    order = ways.get(head.direction, "ordered by {}").format(head.title)
    return f"{'; '.join(dict.fromkeys(board.sets.values())) or 'no stimuli'}; {order}"


def definitions(board: Board) -> list[str]:
    """Each column in a line: what it is, and which way is better."""
    ways = {"higher": "; higher is better", "lower": "; lower is better"}
    return [
        f"{board.suite} {c.title}: {c.definition}{ways.get(c.direction, '')}" for c in board.columns
    ]


def explanation(board: Board) -> list[str]:
    """How to read the table: intervals, ranks, columns where less is better, notes."""
    levels = {
        cell.source.level
        for row in board.rows
        for cell in row.cells.values()
        if cell.source is not None and cell.low is not None
    }
    lines = []
    if levels:
        at = " or ".join(f"{100 * level:g} %" for level in sorted(levels))
        ranks = " Rank (best-worst): ranks not ruled out at 95 %, for each row by itself."
        unranked = all(row.kind == "reported" for row in board.rows)
        lines.append(
            f"[low, high]: {at} interval over exemplars; categories are fixed.{'' if unranked else ranks}"
        )
    if any(row.kind == "group" for row in board.references):
        lines.append("Intervals of rows of people are about other people on the same images.")
    less = [c.title for c in board.columns if c.direction == "lower" and c.metric != board.by]
    if less:
        lines.append(f"Lower is better: {', '.join(less)}.")
    if any(row.kind == "published" for row in board.rows):
        lines.append(f"{PUBLISHED} published decisions, not run here")
    return [*lines, *(f"Note: {note}" for note in board.notes)]


def remarks(cell: Cell) -> list[str]:
    """What is to be said of a number: its flags, or why it is missing."""
    missing = cell.value is None and cell.reason not in ("", UNREMARKABLE)
    return [*cell.flags, *([cell.reason] if missing else [])]


def in_common(cells: Sequence[Cell]) -> set[str]:
    """Remarks that every one of several cells has: they are of the column, not of a row."""
    told = [set(remarks(cell)) for cell in cells]
    return set.intersection(*told) if len(told) > 1 else set()


@dataclass
class Footnotes:
    """Numbers remarks as they come up; the same remark keeps its number."""

    texts: dict[str, int] = field(default_factory=dict)

    def mark(self, cell: Cell, unsaid: Collection[str] = ()) -> str:
        """ " *1*2" for the remarks on a cell, but those in `unsaid`; "" where there are none."""
        told = [text for text in remarks(cell) if text not in unsaid]
        return "".join(f" *{self.texts.setdefault(text, len(self.texts) + 1)}" for text in told)

    def lines(self, limit: int | None = None) -> list[str]:
        """ "*1 text", in order; past `limit` only their count."""
        lines = [f"*{at} {printable(text)}" for text, at in self.texts.items()]
        if limit is None or len(lines) <= limit:
            return lines
        return [*lines[:limit], f"... {len(lines) - limit} more remarks: bench show, bench export"]


def observer_text(row: Row) -> str:
    """The observer's name, marked where its decisions were published by others."""
    return printable(row.observer) + (f" {PUBLISHED}" if row.kind == "published" else "")
