"""Headlines over a training run: a curve for each, from a summary of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.leaderboard.model import Cell, Column
from benchmark.leaderboard.summary import Headline, Line, Summary

Cards = Mapping[str, Mapping[str, Any]]


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


def training_curves(summaries: Sequence[Summary], cards: Cards) -> list[Curve]:
    """Curves of every run and headline that has a value, run by run. cards: observer -> its stored card."""
    return [
        curve
        for run in runs_of(cards)
        for summary in summaries
        for curve in _of_run(run, summary, cards)
    ]


def runs_of(cards: Cards) -> list[str]:
    """The training runs of a leaderboard, by name."""
    found = (_checkpoint(card) for card in cards.values())
    return sorted({str(one["run"]) for one in found if one})


def _checkpoint(card: Mapping[str, Any]) -> Mapping[str, Any]:
    found = card.get("checkpoint")
    return found if isinstance(found, Mapping) and "run" in found and "step" in found else {}


def _of_run(run: str, summary: Summary, cards: Cards) -> Iterator[Curve]:
    places = {name: _checkpoint(card) for name, card in cards.items()}
    lines = [line for line in summary.lines if places.get(line.observer, {}).get("run") == run]
    lines.sort(key=lambda line: (int(places[line.observer]["step"]), line.observer))
    if not lines:
        return
    unit = str(places[lines[0].observer].get("unit", "step"))
    columns: list[tuple[str, Headline, list[Cell]]] = [
        (head.suite, head, [line.cells[at] for line in lines])
        for at, head in enumerate(summary.headlines)
    ]
    if summary.clean is not None:
        columns.append(("", summary.clean, [line.clean for line in lines]))
    for suite, head, cells in columns:
        points = tuple(_points(lines, cells, places))
        if points:
            yield Curve(run, unit, summary.space, suite, head.column, head.stimuli, points)


def _points(
    lines: Sequence[Line], cells: Sequence[Cell], places: Mapping[str, Mapping[str, Any]]
) -> Iterator[Point]:
    for line, cell in zip(lines, cells, strict=True):
        if cell.value is not None:
            yield Point(int(places[line.observer]["step"]), line.observer, cell)


def curve_records(curve: Curve) -> Iterator[dict[str, Any]]:
    """One row per checkpoint."""
    for one in curve.points:
        yield {
            "run": curve.run,
            "space": curve.space,
            "suite": curve.suite,
            "metric": curve.column.metric,
            "title": curve.title,
            "unit": curve.unit,
            "step": one.step,
            "observer": one.observer,
            "value": one.cell.value,
            "low": one.cell.low,
            "high": one.cell.high,
            "n": one.cell.n,
            "set": curve.stimuli,
        }
