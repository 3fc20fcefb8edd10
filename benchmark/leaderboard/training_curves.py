"""Headlines over a training run: a curve for each, from the boards of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.leaderboard.board_tables import NAME_MIN
from benchmark.leaderboard.model import Board, Cell, Column, Row
from benchmark.leaderboard.summary import Headline, Summary, summaries
from benchmark.leaderboard.table import Field, Table, Value, number
from registry.errors import some_of

if TYPE_CHECKING:
    from benchmark.store.rows import ObserverRow

T = TypeVar("T")
BARS = "▁▂▃▄▅▆▇█"
MANY = 24  # checkpoints of a printed table, and characters of a line
Cards = Mapping[str, Mapping[str, Any]]
Observers = Mapping[str, "ObserverRow"]
Network = tuple[int, str]  # step, identity


@dataclass(frozen=True)
class Point:
    """A checkpoint's value under a headline; cell: with interval and n."""

    step: int
    observer: str
    cell: Cell


@dataclass(frozen=True)
class Curve:
    """One headline over one run, by step. suite: "" for accuracy on images as they are; stimuli: in words."""

    run: str
    unit: str
    space: str
    suite: str
    column: Column
    stimuli: str
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """The headline and its suite."""
        return f"{self.suite}: {self.column.title}" if self.suite else "clean accuracy"

    @property
    def best(self) -> Point | None:
        """The first of the best checkpoints; None where no end is better."""
        if self.column.direction == "none":
            return None
        sign = 1 if self.column.direction == "higher" else -1
        return max(self.points, key=lambda one: sign * (one.cell.value or 0.0))


def training_curves(boards: Sequence[Board], observers: Observers) -> list[Curve]:
    """Curves of every run and headline that has a value, run by run. observers: by name, with their stored cards. A
    network that has several names is one point.

    boards: as for `summaries`. A run is drawn on the stimuli that most of its own checkpoints were shown, whatever
    other observers were shown.
    """
    places = {n: place for n, row in observers.items() if (place := _checkpoint(row.card))}
    return [
        curve
        for run, mine in _by_run(boards, places).items()
        for summary in summaries(mine)
        for curve in _of_run(run, summary, observers)
    ]


def _by_run(boards: Sequence[Board], places: Cards) -> dict[str, list[Board]]:
    """Run -> boards of its checkpoints alone; of a suite the one that holds most of them first."""
    kept: dict[str, list[Board]] = {}
    for board in boards:
        rows: dict[str, list[Row]] = {}
        for row in board.rows:
            if row.observer in places:
                rows.setdefault(str(places[row.observer]["run"]), []).append(row)
        for run, mine in rows.items():
            alone = replace(board, rows=tuple(mine), references=(), notes=())
            kept.setdefault(run, []).append(alone)
    order = {suite: at for at, suite in enumerate(dict.fromkeys(one.suite for one in boards))}
    return {run: sorted(kept[run], key=lambda one: (order[one.suite], -len(one.rows))) for run in sorted(kept)}


def runs_of(cards: Cards) -> list[str]:
    """The training runs of a leaderboard, by name."""
    found = (_checkpoint(card) for card in cards.values())
    return sorted({str(one["run"]) for one in found if one})


def _checkpoint(card: Mapping[str, Any]) -> Mapping[str, Any]:
    found = card.get("checkpoint")
    return found if isinstance(found, Mapping) and "run" in found and "step" in found else {}


def _of_run(run: str, summary: Summary, observers: Observers) -> Iterator[Curve]:
    steps = {line: int(_checkpoint(observers[line.observer].card)["step"]) for line in summary.lines}
    lines = sorted(steps, key=lambda line: (steps[line], line.observer))
    unit = str(_checkpoint(observers[lines[0].observer].card).get("unit", "step"))
    networks = [(steps[line], observers[line.observer].identity) for line in lines]
    names: dict[Network, str] = {}  # the first of those that one network has at one step
    for network, line in zip(networks, lines, strict=True):
        names.setdefault(network, line.observer)
    columns: list[tuple[str, Headline, list[Cell]]] = [
        (head.suite, head, [line.cells[at] for line in lines]) for at, head in enumerate(summary.headlines)
    ]
    if summary.clean is not None:
        columns.append(("", summary.clean, [line.clean for line in lines]))
    for suite, head, cells in columns:
        points: dict[Network, Point] = {}
        for network, cell in zip(networks, cells, strict=True):
            if cell.value is not None:
                points.setdefault(network, Point(network[0], names[network], cell))
        if points:
            column, shown = head.column, tuple(points.values())
            yield Curve(run, unit, summary.space, suite, column, head.stimuli, shown)


def shared_steps(curves: Iterable[Curve]) -> Iterator[str]:
    """A line for each run that has several networks at one step: none of its curves is that of one network."""
    runs: dict[tuple[str, str], dict[int, set[str]]] = {}
    for curve in curves:
        steps = runs.setdefault((curve.run, curve.unit), {})
        for point in curve.points:
            steps.setdefault(point.step, set()).add(point.observer)
    for (run, unit), steps in runs.items():
        several = {step: names for step, names in sorted(steps.items()) if len(names) > 1}
        for step, names in list(several.items())[:1]:
            yield (
                f"{run} has several networks, each a point, at {len(several)} of {len(steps)} {unit}s: "
                f"{some_of(sorted(names), 3)} at {unit} {step}. `bench sweep --pattern` with a --name for each kind of "
                "them draws curves of their own"
            )


def training_tables(curves: Sequence[Curve]) -> list[Table]:
    """For each run and decision space its curves in a line each, and then a table of its checkpoints."""
    tables = []
    for (run, space), group in groupby(curves, key=lambda one: (one.run, one.space)):
        held = list(group)
        places = sorted({(point.step, point.observer) for one in held for point in one.points})
        unit = held[0].unit
        caption = f"{space}, {unit}s {places[0][0]} to {places[-1][0]}, {len(places)} checkpoints"
        tables.append(Table(f"training run {run}", caption, LINES, tuple(map(_line, held))))
        shown = some_evenly(places, MANY)
        few = replace(checkpoint_table(held, shown), title="", caption="")
        cut = (f"{len(shown)} of {len(places)} checkpoints, evenly spaced.",)
        tables.append(replace(few, notes=(*few.notes, *cut[: len(shown) < len(places)])))
    return tables


#: The columns of the curves in a line each.
LINES = (
    Field("", "headline"),
    Field("", "training"),
    Field("", "first", right=True, goes=1),
    Field("", "last", right=True, goes=2),
    Field("", "best"),
)


def _line(curve: Curve) -> tuple[Value, ...]:
    values = [point.cell.value or 0.0 for point in curve.points]
    best = curve.best
    at = "" if best is None else f"{number(best.cell.value, 3)} at {curve.unit} {best.step}"
    return curve.title, sparkline(values), number(values[0], 3), number(values[-1], 3), at


def checkpoint_table(curves: Sequence[Curve], places: Sequence[tuple[int, str]] | None = None) -> Table:
    """Curves of one run in one space: a row for each checkpoint, a column for each headline. places: (step, observer)
    of the checkpoints that are shown (None: all)."""
    if places is None:
        places = sorted({(point.step, point.observer) for one in curves for point in one.points})
    cells = {(point.step, point.observer, at): point.cell for at, one in enumerate(curves) for point in one.points}
    first = curves[0]
    fields = (
        Field("step", first.unit, right=True),
        Field("observer", "model", breaks=NAME_MIN, goes=len(curves) + 1),
        *(
            Field(
                f"{one.suite}.{one.column.metric}",
                one.title,
                one.column.definition,
                goes=len(curves) - at if at else 0,
                facts={"suite": one.suite, "metric": one.column.metric, "title": one.title, "set": one.stimuli},
            )
            for at, one in enumerate(curves)
        ),
    )
    return Table(
        f"training run {first.run}",
        first.space,
        fields,
        tuple((step, name, *(cells.get((step, name, at)) for at in range(len(curves)))) for step, name in places),
        notes=tuple(shared_steps(curves)),
        intervals="[low, high]: 95 % interval of each checkpoint by itself; two of them: bench compare A B",
        forms=("short",),
        measure="column",
        facts={"run": first.run, "space": first.space, "unit": first.unit},
    )


def sparkline(values: Sequence[float], width: int = MANY) -> str:
    """Values as bars of eight heights between their lowest and their highest; as many as fit, the last among them."""
    shown = some_evenly(values, width)
    low, high = min(shown), max(shown)
    span = high - low
    steps = (round((value - low) / span * (len(BARS) - 1)) if span else 0 for value in shown)
    return "".join(BARS[step] for step in steps)


def some_evenly(values: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
