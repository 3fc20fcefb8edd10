"""The leaderboard as a figure: dots and intervals, a panel for each suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.leaderboard.summary import Line, Summary
from benchmark.report.captions import about
from benchmark.report.figures.figure import MOST, QUIET, Figure, Spec, axis, palette, some_of
from benchmark.report.writing import slug

GROUPS = ("network", "published network", "people", "ideal observer", "reference")
_GROUP = {"network": 0, "published": 1, "human": 2, "group": 2, "ideal": 3}
NAMES = ("observer", "group", "suite", "metric", "value", "low", "high", "n", "chance")


def overview(summary: Summary) -> Figure:
    """Networks in the table's order, then people as a group and ideal observers."""
    aside = [line for line in summary.references if line.kind not in ("human", "chance")]
    lines = [*summary.lines[:MOST], *aside[: MOST // 3]]
    records = [record for line in lines for record in _records(summary, line)]
    captions = (
        f"{head.suite}: {head.column.title}, {head.stimuli}; {about(line.cells[at] for line in summary.lines)}"
        for at, head in enumerate(summary.headlines)
    )
    caption = f"Dot: value; bar: interval; dashed: chance. {'. '.join(captions)}."
    return Figure(
        f"overview-{slug(summary.space)}",
        f"Models by suites, {summary.space}",
        caption + some_of(len(summary.lines), min(MOST, len(summary.lines)), "networks"),
        _spec(summary, records, [line.observer for line in lines]),
        records,
        NAMES,
    )


def _records(summary: Summary, line: Line) -> Iterator[dict[str, Any]]:
    group = GROUPS[_GROUP.get(line.kind, 4)]
    for head, cell in zip(summary.headlines, line.cells, strict=True):
        if cell.value is not None:
            yield {
                "observer": line.observer,
                "group": group,
                "suite": head.suite,
                "metric": head.column.title,
                "value": cell.value,
                "low": cell.low,
                "high": cell.high,
                "n": cell.n,
                "chance": head.column.chance,
            }


def _spec(summary: Summary, records: list[dict[str, Any]], order: list[str]) -> Spec:
    groups = [name for name in GROUPS if any(one["group"] == name for one in records)]
    panels = [head.suite for head in summary.headlines]
    return {
        "data": {"values": records},
        "facet": {"column": {"field": "suite", "sort": panels, "title": None}},
        "spec": {"width": 130, "height": {"step": 15}, "layer": _layers(order, groups)},
        "resolve": {"scale": {"x": "independent"}},
    }


def _layers(order: list[str], groups: list[str]) -> list[Spec]:
    colour, shape = palette(groups)
    y = {
        "field": "observer",
        "type": "nominal",
        "sort": order,
        "axis": axis("", labelLimit=260, grid=True),
    }
    x = {
        "field": "value",
        "type": "quantitative",
        "axis": axis("share", tickCount=4),
        "scale": {"zero": True},
    }
    hue = {"field": "group", "type": "nominal", "scale": colour, "legend": {"title": None}}
    form = {"field": "group", "type": "nominal", "scale": shape, "legend": {"title": None}}
    chance = {"field": "chance", "type": "quantitative", "aggregate": "max"}
    return [
        {"mark": {"type": "rule", "strokeDash": [3, 3], "color": QUIET}, "encoding": {"x": chance}},
        {
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.5},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": hue},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 34, "opacity": 1},
            "encoding": {"y": y, "x": x, "color": hue, "shape": form},
        },
    ]
