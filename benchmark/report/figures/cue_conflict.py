"""Shape bias by category, networks and people: after Geirhos et al. (2019), figure 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.report.figures.chosen import (
    PEOPLE,
    Scene,
    among,
    by_condition,
    featured,
    methods,
    sizes,
)
from benchmark.report.figures.figure import INK, ONCE, QUIET, Figure, Spec, axis, palette
from benchmark.report.writing import slug

BIAS = "shape_bias"
NAMES = ("observer", "category", "value", "low", "high", "n")


def figures(scene: Scene) -> Iterator[Figure]:
    """One figure, where anybody has a shape bias by category."""
    shown = featured(scene.networks)
    rows = [row for name in shown for row in scene.rows(name, BIAS)]
    records: list[dict[str, Any]] = [
        {
            "observer": row.observer,
            "category": row.condition,
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "n": row.n,
        }
        for row in rows
    ]
    records += [
        {"observer": PEOPLE, "category": name, "value": mean, "low": low, "high": high, "n": k}
        for name, mean, low, high, k in by_condition(
            [scene.rows(one, BIAS) for one in scene.people]
        )
    ]
    if not records:
        return
    people = (
        f" People: mean of {len(scene.people)} with a 95 % t interval over persons."
        if scene.people
        else ""
    )
    yield Figure(
        f"shape-bias-by-category-{slug(scene.key)}",
        "Shape bias by category",
        "Share of shape among the answers that follow one of two conflicting cues, by the shape's category; tall "
        f"lines: over all categories. {among(shown, scene.networks)}{scene.board.sets.get('cue-conflict', '')}; "
        f"{sizes(records)} a mark; {methods(rows)} (in the CSV).{people} Dashed: .5, shape as often as texture. "
        "After Geirhos et al. (2019), figure 4.",
        _spec(scene, records, [*shown, PEOPLE]),
        records,
        NAMES,
    )


def _spec(scene: Scene, records: list[dict[str, Any]], order: list[str]) -> Spec:
    names = [name for name in order if any(one["observer"] == name for one in records)]
    colour, shape = palette([name for name in names if name != PEOPLE])
    if PEOPLE in names:
        colour = {"domain": names, "range": [*colour["range"], INK]}
        shape = {"domain": names, "range": [*shape["range"], "circle"]}
    whole = [
        {"observer": name, "value": row.value}
        for name in names
        if (row := scene.plain(name, BIAS)) is not None and row.value is not None
    ]
    x = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": axis("shape bias: share of shape among shape and texture answers", tickCount=5),
    }
    y = {"field": "category", "type": "nominal", "axis": axis("category of the shape", grid=True)}
    legend = {"title": None, "orient": "right"}
    hue = {"field": "observer", "type": "nominal", "scale": colour, "legend": legend}
    form = {"field": "observer", "type": "nominal", "scale": shape, "legend": legend}
    return {
        "data": {"values": records},
        "width": 420,
        "height": {"step": 21},
        "layer": [
            {
                "data": ONCE,
                "mark": {"type": "rule", "strokeDash": [3, 3], "color": QUIET},
                "encoding": {"x": {"datum": 0.5}},
            },
            {
                "data": {"values": whole},
                "mark": {"type": "rule", "opacity": 0.55, "strokeWidth": 1.5},
                "encoding": {"x": x, "color": hue},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.9},
                "encoding": {"x": x, "y": y, "color": hue, "shape": form},
            },
        ],
    }
