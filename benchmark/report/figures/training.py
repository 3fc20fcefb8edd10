"""Headlines over training: a panel for each, a line for each run. Runs share a panel where they share the stimuli
and count alike (steps or epochs)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmark.leaderboard.training_curves import Curve, curve_records, shared_steps
from benchmark.report.contents import Contents
from benchmark.report.figures.figure import QUIET, Figure, Spec, axis, palette
from benchmark.report.writing import slug

NAME = "training"


class Scales(NamedTuple):
    """What the panels share: unit -> first and last step, and the runs' colours and shapes."""

    steps: dict[str, list[int]]
    colour: Spec
    shape: Spec


NAMES = (
    *("run", "space", "suite", "metric", "title", "unit", "step", "observer"),
    *("value", "low", "high", "n", "set"),
)


def figures(contents: Contents) -> Iterator[Figure]:
    """One for each decision space in which a training run has scores; the first is called "training"."""
    spaces: dict[str, list[Curve]] = {}
    for curve in contents.curves:
        spaces.setdefault(curve.space, []).append(curve)
    for at, (space, curves) in enumerate(spaces.items()):
        yield over_training(curves, space, f"{NAME}-{slug(space)}" if at else NAME)


def over_training(curves: Sequence[Curve], space: str, name: str = NAME) -> Figure:
    """The runs of one decision space, one panel for each headline."""
    records = [record for curve in curves for record in curve_records(curve)]
    runs = list(dict.fromkeys(curve.run for curve in curves))
    panels = list({(one.title, one.stimuli, one.unit): one for one in curves}.values())
    stimuli = "; ".join(dict.fromkeys(f"{one.title}: {one.stimuli}" for one in panels))
    notes = "".join(f" {line}." for line in shared_steps(curves))
    return Figure(
        name,
        f"Over training, {space}",
        f"A dot for each checkpoint of {', '.join(runs)}; band: 95 % interval of each checkpoint by itself; dashed: "
        f"chance. {stimuli}.{notes}",
        _spec(records, panels, runs),
        records,
        NAMES,
    )


def _spec(records: list[dict[str, Any]], panels: Sequence[Curve], runs: Sequence[str]) -> Spec:
    colour, shape = palette(runs)
    steps: dict[str, list[int]] = {}
    for record in records:
        steps.setdefault(record["unit"], []).append(int(record["step"]))
    ends = {unit: [min(found), max(found)] for unit, found in steps.items()}
    scales = Scales(ends, colour, shape)
    numbers = {(one.title, one.stimuli, one.unit): at for at, one in enumerate(panels)}
    values = [{**r, "panel": numbers[r["title"], r["set"], r["unit"]]} for r in records]
    titles = Counter(one.title for one in panels)
    return {
        "data": {"values": values},
        "columns": 2,
        "concat": [
            _panel(at, one, scales, one.stimuli if titles[one.title] > 1 else "")
            for at, one in enumerate(panels)
        ],
    }


def _panel(number: int, curve: Curve, scales: Scales, stimuli: str) -> Spec:
    """stimuli: said under the title, where other panels have the same title."""
    x = {
        "field": "step",
        "type": "quantitative",
        "scale": {"domain": scales.steps[curve.unit]},
        "axis": axis(curve.unit, tickCount=5),
    }
    scale = {"zero": False, "nice": True}
    y = {"field": "value", "type": "quantitative", "scale": scale, "axis": axis("", tickCount=5)}
    several = len(scales.colour["domain"]) > 1
    legend = {"title": None, "orient": "bottom", "columns": 2} if several else None
    hue = {"field": "run", "type": "nominal", "scale": scales.colour, "legend": legend}
    form = {"field": "run", "type": "nominal", "scale": scales.shape, "legend": legend}
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    chance: list[Spec] = []
    if curve.column.chance is not None:
        dashed = {"type": "rule", "strokeDash": [3, 3], "color": QUIET}
        chance = [{"mark": dashed, "encoding": {"y": {"datum": curve.column.chance}}}]
    return {
        "title": {"text": curve.title, "subtitle": stimuli} if stimuli else curve.title,
        "width": 260,
        "height": 150,
        "transform": [{"filter": f"datum.panel === {number}"}],
        "layer": [
            *chance,
            {"mark": {"type": "area", "opacity": 0.16}, "encoding": {"x": x, **ends, "color": hue}},
            {
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": {"x": x, "y": y, "color": hue},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 25, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": hue, "shape": form},
            },
        ],
    }
