"""Headlines over a training run: a curve for each, from the boards of its checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from benchmark.display import counted
from benchmark.leaderboard.board_model import CLEAN, Board, Cell, Column, is_trusted
from benchmark.leaderboard.summary import summaries
from benchmark.leaderboard.table import Field, Table, Value, declared_table, number
from benchmark.store.rows import ObserverRow

T = TypeVar("T")
BARS = "▁▂▃▄▅▆▇█"
MANY = 24  # checkpoints of a printed table, and characters of a line
Cards = Mapping[str, Mapping[str, Any]]
Observers = Mapping[str, "ObserverRow"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A checkpoint's value under a headline."""

    step: int
    observer: str
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """One headline over one run, by step."""

    run: str
    unit: str  # steps or epochs
    space: str
    suite: str  # "": accuracy on clean images
    column: Column
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """The headline and its suite."""
        return f"{self.suite}: {self.column.title}" if self.suite else "clean accuracy"

    @property
    def best(self) -> Point | None:
        """The first of the best checkpoints that do not guess; None without one, or if no end is better."""
        if self.column.direction == "none":
            return None
        sign = 1 if self.column.direction == "higher" else -1
        points = [point for point in self.points if is_trusted(point.cell)]
        return max(points, key=lambda point: sign * (point.cell.value or 0.0), default=None)


def curves_of_runs(boards: Sequence[Board], observers: Observers) -> list[TrainingCurve]:
    """Return the curves of every run and headline that has a value, run by run. boards: as for `summaries`; observers:
    by name, with their stored cards. A network that has several names is one point. A run is drawn on the stimuli that
    most of its own checkpoints were shown."""
    places = {name: place for name, row in observers.items() if (place := _checkpoint(row.card))}
    suites, curves = list(dict.fromkeys(board.suite for board in boards)), []
    for run in runs_of({name: row.card for name, row in observers.items()}):
        own = {name for name, place in places.items() if str(place["run"]) == run}
        kept = (replace(b, rows=tuple(r for r in b.rows if r.observer in own), references=(), notes=()) for b in boards)
        # Of a suite the board that holds most of them first.
        alone = sorted((b for b in kept if b.rows), key=lambda b: (suites.index(b.suite), -len(b.rows)))
        for summary in summaries(alone):
            steps = {line.observer: int(places[line.observer]["step"]) for line in summary.lines}
            lines = sorted(summary.lines, key=lambda line: (steps[line.observer], line.observer))
            heads = [(head.suite, head, head.suite) for head in summary.headlines]
            heads += [("", summary.clean, CLEAN)] if summary.clean else []
            unit = str(places[lines[0].observer].get("unit", "step"))
            names: dict[tuple[int, str], str] = {}  # step, identity -> the first name that the network has there
            for suite, head, key in heads:
                points: dict[tuple[int, str], Point] = {}
                for line in lines:
                    network = steps[line.observer], observers[line.observer].identity
                    name = names.setdefault(network, line.observer)
                    if line.cells[key].value is not None:
                        points.setdefault(network, Point(step=network[0], observer=name, cell=line.cells[key]))
                if points:
                    drawn, space = tuple(points.values()), summary.space
                    curves.append(
                        TrainingCurve(run=run, unit=unit, space=space, suite=suite, column=head, points=drawn)
                    )
    return curves


def runs_of(cards: Cards) -> list[str]:
    """Return the training runs of a leaderboard, by name."""
    return sorted({str(place["run"]) for card in cards.values() if (place := _checkpoint(card))})


def _checkpoint(card: Mapping[str, Any]) -> Mapping[str, Any]:
    place = card.get("checkpoint")
    return place if isinstance(place, Mapping) and "run" in place and "step" in place else {}


def training_tables(curves: Sequence[TrainingCurve]) -> list[Table]:
    """Return for each run and label space its curves in a line each, and a table of its checkpoints."""
    tables = []
    for (run, space), group in groupby(curves, key=lambda curve: (curve.run, curve.space)):
        held = list(group)
        places, unit = _places(held), held[0].unit
        rows: list[tuple[Value, ...]] = []
        for curve in held:
            values, best = [point.cell.value or 0.0 for point in curve.points], curve.best
            at = "" if best is None else f"{number(best.cell.value, 3)} at {unit} {best.step}"
            rows.append((curve.title, sparkline(values), number(values[0], 3), number(values[-1], 3), at))
        steps, n = f"{unit}s {places[0][0]} to {places[-1][0]}", counted(len(places), "checkpoint")
        tables.append(declared_table("training", rows, run=run, space=space, steps=steps, n=n))
        shown = some_evenly(places, MANY)
        table = checkpoint_table(held, shown)
        cut = (f"{len(shown)} of {len(places)} checkpoints, evenly spaced.",) * (len(shown) < len(places))
        tables.append(replace(table, title="", caption="", notes=(*table.notes, *cut)))
    return tables


def _places(curves: Sequence[TrainingCurve]) -> list[tuple[int, str]]:
    return sorted({(point.step, point.observer) for curve in curves for point in curve.points})


def checkpoint_table(curves: Sequence[TrainingCurve], places: Sequence[tuple[int, str]] | None = None) -> Table:
    """Return a row for each checkpoint, a column for each headline. places: (step, observer) shown (None: all)."""
    first, places = curves[0], _places(curves) if places is None else places
    cells = {(point.step, point.observer, at): point.cell for at, curve in enumerate(curves) for point in curve.points}
    fields = []
    for curve in curves:
        metric = curve.column.metric
        facts = {"suite": curve.suite, "metric": metric, "title": curve.title, "set": curve.column.stimuli}
        fields.append(Field(f"{curve.suite}.{metric}", curve.title, curve.column.definition, facts=facts))
    rows = ((step, name, *(cells.get((step, name, at)) for at in range(len(curves)))) for step, name in places)
    held = {"run": first.run, "space": first.space, "unit": first.unit}
    return declared_table("checkpoints", rows, columns=fields, facts=held, **held)


def sparkline(values: Sequence[float]) -> str:
    """Return values as bars of eight heights between their lowest and their highest, at most `MANY` of them."""
    shown = some_evenly(values, MANY)
    low, span = min(shown), max(shown) - min(shown)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] for value in shown)


def some_evenly(values: Sequence[T], most: int) -> list[T]:
    """Return at most so many of the values, evenly spaced, with the first and the last."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
