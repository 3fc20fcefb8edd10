"""Curves over a training run as text: a line that rises and falls, and a table of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from benchmark.display import printable
from benchmark.leaderboard.formatting import number, short_estimate
from benchmark.leaderboard.grid import GAP, Detail, Field, Grid, at_width
from benchmark.leaderboard.training_curves import Curve, shared_steps

T = TypeVar("T")
BARS = "▁▂▃▄▅▆▇█"
MANY = 24  # checkpoints of a table, and characters of a line
LEAST = 8  # characters of a line where there is little room


def training_details(curves: Sequence[Curve], width: int) -> list[Detail]:
    """For each run and decision space its curves in a line each, and then a table of its checkpoints."""
    details = []
    for (run, space), group in groupby(curves, key=lambda one: (one.run, one.space)):
        mine = list(group)
        details += [_lines(run, space, mine, width), _table(mine, width)]
    return details


def sparkline(values: Sequence[float], width: int = MANY) -> str:
    """Values as bars of eight heights between their lowest and their highest; as many as fit, the last among them."""
    shown = _some(values, width)
    low, high = min(shown), max(shown)
    span = high - low
    steps = (round((value - low) / span * (len(BARS) - 1)) if span else 0 for value in shown)
    return "".join(BARS[step] for step in steps)


def _some(values: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def _lines(run: str, space: str, curves: Sequence[Curve], width: int) -> Detail:
    ends = [(curve.points[0].cell.value, curve.points[-1].cell.value) for curve in curves]
    names = at_width(Field("headline", tuple(printable(curve.title) for curve in curves)))
    numbers = [
        Field("first", tuple(number(first, 3) for first, _ in ends), right=True),
        Field("last", tuple(number(last, 3) for _, last in ends), right=True),
        Field("best", tuple(map(_best, curves))),
    ]
    numbers = [at_width(field) for field in numbers]
    if _room(width, names, *numbers) < LEAST:
        del numbers[0]
    bars = min(MANY, max(LEAST, _room(width, names, *numbers)))
    drawn = (sparkline([p.cell.value or 0.0 for p in curve.points], bars) for curve in curves)
    fields = (names, at_width(Field("training", tuple(drawn))), *numbers)
    places = sorted({(point.step, point.observer) for curve in curves for point in curve.points})
    unit = curves[0].unit
    caption = f"{space}, {unit}s {places[0][0]} to {places[-1][0]}, {len(places)} checkpoints"
    return Detail(f"training run {printable(run)}", caption, Grid(fields))


def _room(width: int, *fields: Field) -> int:
    """Characters that are left beside these columns."""
    return width - sum(field.width + GAP for field in fields)


def _best(curve: Curve) -> str:
    best = curve.best
    return "" if best is None else f"{number(best.cell.value, 3)} at {curve.unit} {best.step}"


def _table(curves: Sequence[Curve], width: int) -> Detail:
    """A row for each checkpoint, a column for each headline as far as the width goes."""
    steps = sorted({(point.step, point.observer) for curve in curves for point in curve.points})
    shown = _some(steps, MANY)
    first = at_width(Field(curves[0].unit, tuple(str(step) for step, _ in shown), right=True))
    fields, dropped, room = [first], [], width - first.width
    for curve in curves:
        cells = {(point.step, point.observer): point.cell for point in curve.points}
        texts = tuple(
            short_estimate(cell.value, cell.low, cell.high) if (cell := cells.get(one)) else ""
            for one in shown
        )
        field = at_width(Field(printable(curve.title), texts))
        if room < field.width + GAP:
            dropped.append(curve.title)
            continue
        room -= field.width + GAP
        fields.append(field)
    notes = (*map(printable, shared_steps(curves)), *_notes(len(steps), len(shown), dropped))
    return Detail("", "", Grid(tuple(fields)), notes)


def _notes(steps: int, shown: int, dropped: Sequence[str]) -> Iterator[str]:
    if shown < steps:
        yield f"{shown} of {steps} checkpoints, evenly spaced."
    if dropped:
        yield f"no room for: {', '.join(map(printable, dropped))} (a wider terminal)"
    yield "[low, high]: 95 % interval of each checkpoint by itself; two of them: bench compare A B"
