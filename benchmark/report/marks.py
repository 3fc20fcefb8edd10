"""A number with its interval as a mark in a table's cell: positions on the column's axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

from benchmark.leaderboard.formatting import Footnotes
from benchmark.leaderboard.model import Cell
from benchmark.report.writing import short

WIDTH = 96  # px of an axis, without the room that a dot at its end takes
EDGE = 4


@dataclass(frozen=True, slots=True)
class Axis:
    """What a column's marks are drawn on: from `low` to `high`; chance: what a guesser gets."""

    low: float
    high: float
    chance: float | None = None

    def at(self, value: float) -> str:
        """Pixels from the left; values outside are drawn at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{EDGE + WIDTH * min(1.0, max(0.0, share)):.3g}"

    @property
    def chance_at(self) -> str:
        """Where chance is, "" where there is none."""
        return "" if self.chance is None else self.at(self.chance)


class Mark(NamedTuple):
    """A cell: its texts, footnotes, and where dot and interval are ("" where there is none)."""

    text: str
    interval: str
    notes: str
    dot: str = ""
    start: str = ""
    end: str = ""


def axis_of(
    cells: Iterable[Cell], bounds: tuple[float, float] | None = None, chance: float | None = None
) -> Axis:
    """The axis of a column: the metric's bounds, or from 0 or a round number below to 1 or a round number above."""
    ends = [v for c in cells for v in (c.value, c.low, c.high) if v is not None]
    if bounds is not None or not ends:
        return Axis(*(bounds or (0.0, 1.0)), chance)
    low, high = min(*ends, 0.0), max(ends)
    if low == high or (low >= 0 and 0.5 < high <= 1):
        return Axis(low, low + 1.0, chance)
    step = 10 ** floor(log10(max(high - low, 1e-9)))
    return Axis(floor(low / step) * step, ceil(high / step) * step, chance)


def mark(cell: Cell, axis: Axis | None, notes: Footnotes) -> Mark:
    """A cell as it is drawn; remarks go to `notes`. axis None: numbers alone."""
    remarks = notes.mark(cell)
    if cell.value is None:
        return Mark("", "", remarks)
    text = short(cell.value)
    dot = axis.at(cell.value) if axis else ""
    if cell.low is None or cell.high is None:
        return Mark(text, "", remarks, dot)
    interval = f"[{short(cell.low)}, {short(cell.high)}]"
    ends = (axis.at(cell.low), axis.at(cell.high)) if axis else ("", "")
    return Mark(text, interval, remarks, dot, *ends)


def marks(
    cells: Sequence[Cell],
    notes: Footnotes,
    bounds: tuple[float, float] | None = None,
    chance: float | None = None,
) -> tuple[Axis, list[Mark]]:
    """A column."""
    axis = axis_of(cells, bounds, chance)
    return axis, [mark(cell, axis, notes) for cell in cells]
