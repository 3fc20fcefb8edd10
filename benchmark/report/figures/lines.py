"""Values with intervals against levels: one line for each observer, people as a band."""

from __future__ import annotations

from typing import Any

from benchmark.report.figures.chosen import PEOPLE
from benchmark.report.figures.figure import INK, ONCE, QUIET, Records, Spec, axis, palette


def lines(
    records: Records,
    order: list[str],
    x: Spec,
    y_title: str,
    *,
    chance: float | None = None,
    width: int = 300,
) -> Spec:
    """records: fields observer, x, value, low, high; order: the observers. People are drawn in ink, with a band."""
    names = [name for name in order if any(one["observer"] == name for one in records)]
    others = [name for name in names if name != PEOPLE]
    colour, shape = palette(others)
    if PEOPLE in names:
        colour = {"domain": [*others, PEOPLE], "range": [*colour["range"], INK]}
        shape = {"domain": [*others, PEOPLE], "range": [*shape["range"], "circle"]}
    layers = [*_chance(chance), *_marks(x, y_title, colour, shape)]
    return {"data": {"values": list(records)}, "width": width, "height": 210, "layer": layers}


def _marks(x: Spec, y_title: str, colour: Spec, shape: Spec) -> list[Spec]:
    y = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": axis(y_title, tickCount=5),
    }
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    legend = {"title": None, "orient": "bottom", "columns": 2}
    hue = {"field": "observer", "type": "nominal", "scale": colour, "legend": legend}
    form = {"field": "observer", "type": "nominal", "scale": shape, "legend": legend}
    people, network = f"datum.observer === '{PEOPLE}'", f"datum.observer !== '{PEOPLE}'"
    return [
        {
            "transform": [{"filter": people}],
            "mark": {"type": "area", "opacity": 0.16, "color": INK},
            "encoding": {"x": x, **ends},
        },
        {
            "transform": [{"filter": network}],
            "mark": {"type": "rule", "strokeOpacity": 0.45},
            "encoding": {"x": x, **ends, "color": hue},
        },
        {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, "color": hue}},
        {
            "mark": {"type": "point", "filled": True, "size": 30, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": hue, "shape": form},
        },
    ]


def _chance(chance: float | None) -> list[Spec]:
    mark: dict[str, Any] = {"type": "rule", "strokeDash": [3, 3], "color": QUIET}
    line = {"data": ONCE, "mark": mark, "encoding": {"y": {"datum": chance}}}
    return [] if chance is None else [line]
