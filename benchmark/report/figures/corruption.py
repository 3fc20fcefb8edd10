"""Accuracy by corruption and severity, by family, and the mean corruption error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.report.figures.chosen import Scene, among, featured, sizes
from benchmark.report.figures.dots import metric_dots
from benchmark.report.figures.figure import Figure, Records, Spec, axis
from benchmark.report.writing import slug
from benchmark.store import ScoreRow
from benchmark.transforms.listing import Entry, own_list

ACCURACY = "corruption_accuracy"
NAMES = ("observer", "corruption", "severity", "value", "low", "high", "n")
FAMILIES = (
    "noise_accuracy",
    "blur_accuracy",
    "weather_accuracy",
    "digital_accuracy",
    "extra_accuracy",
)
ERRORS = ("mce", "mce_partial", "mce_measured", "relative_mce", "mean_error")


def figures(scene: Scene) -> Iterator[Figure]:
    """The heat map, the families, the errors."""
    heat = _heat(scene)
    found = (
        heat,
        _others(scene),
        metric_dots(
            "corruption-families", "Accuracy by family of corruptions", scene.board, FAMILIES
        ),
        metric_dots(
            "corruption-errors",
            "Mean corruption error",
            scene.board,
            ERRORS,
            "mCE: errors in percent of AlexNet's, mean over corruptions; lower is better.",
        ),
    )
    yield from (one for one in found if one is not None)


def _heat(scene: Scene) -> Figure | None:
    shown, known = featured(scene.networks, 6), own_list("imagenet-c")
    rows = [
        r
        for name in shown
        for r in scene.rows(name, ACCURACY)
        if _in_severities(r.condition, known)
    ]
    records = [_record(row, **_cell(row.condition)) for row in rows]
    if not records:
        return None
    return Figure(
        f"corruption-by-severity-{slug(scene.key)}",
        "Accuracy by corruption and severity",
        f"Top-1 accuracy in each cell; empty: not shown to the network. {among(shown, scene.networks)}"
        f"{scene.board.sets.get('natural', '')}; {sizes(records)} a cell; 95 % intervals (Wilson) are in the CSV.",
        _spec([str(one["corruption"]) for one in records], list(shown), records),
        records,
        NAMES,
    )


def _cell(condition: str) -> dict[str, str | int]:
    """A condition "corruption/severity" as two columns."""
    corruption, _, severity = condition.rpartition("/")
    return {"corruption": corruption, "severity": int(severity)}


def _record(row: ScoreRow, **condition: str | int) -> dict[str, Any]:
    """A line of a figure's table: an observer's accuracy under a condition."""
    value = {"value": row.value, "low": row.low, "high": row.high, "n": row.n}
    return {"observer": row.observer, **condition, **value}


def _in_severities(condition: str, known: Mapping[str, Entry]) -> bool:
    """Whether it is a severity of a corruption, not a level in the unit of an experiment with people."""
    name, _, level = condition.rpartition("/")
    return level in ("1", "2", "3", "4", "5") and (name in known or name not in own_list("human"))


def _others(scene: Scene) -> Figure | None:
    """Degradations of the experiments with people, by their own levels."""
    shown, known = featured(scene.networks, 8), own_list("imagenet-c")
    rows = [
        row
        for name in shown
        for row in scene.rows(name, ACCURACY)
        if "/" in row.condition and not _in_severities(row.condition, known)
    ]
    records = [_record(row, condition=row.condition.replace("/", " ")) for row in rows]
    if not records:
        return None
    x = {
        "field": "observer",
        "type": "nominal",
        "scale": {"domain": list(shown)},
        "axis": axis("", labelAngle=-40),
    }
    y = {"field": "condition", "type": "nominal", "sort": None, "axis": axis("")}
    colour = {
        "field": "value",
        "type": "quantitative",
        "scale": {"scheme": "viridis", "domain": [0, 1]},
        "legend": {"title": "accuracy", "gradientLength": 140},
    }
    return Figure(
        f"corruption-other-levels-{slug(scene.key)}",
        "Accuracy under other degradations",
        "Top-1 accuracy under degradations of the experiments with people, at levels in their own units. "
        f"{among(shown, scene.networks)}{sizes(records)} a cell; 95 % intervals (Wilson) are in the CSV.",
        {
            "data": {"values": records},
            "mark": {"type": "rect"},
            "width": {"step": 44},
            "height": {"step": 17},
            "encoding": {"x": x, "y": y, "color": colour},
        },
        records,
        ("observer", "condition", "value", "low", "high", "n"),
    )


def _spec(corruptions: list[str], order: list[str], records: Records) -> Spec:
    known = {name: at for at, name in enumerate(own_list("imagenet-c"))}
    names = sorted(set(corruptions), key=lambda name: (known.get(name, len(known)), name))
    severities = sorted({int(str(one["severity"])) for one in records})
    scale = {"scheme": "viridis", "domain": [0, 1]}
    return {
        "data": {"values": records},
        "facet": {
            "field": "observer",
            "sort": order,
            "title": None,
            "header": {"labelLimit": 170, "labelFontSize": 11},
        },
        "columns": 3,
        "spec": {
            "mark": {"type": "rect"},
            "width": {"step": 30},
            "height": {"step": 15},
            "encoding": {
                "x": {
                    "field": "severity",
                    "type": "ordinal",
                    "scale": {"domain": severities},
                    "axis": axis("severity", labelAngle=0),
                },
                "y": {
                    "field": "corruption",
                    "type": "nominal",
                    "scale": {"domain": names},
                    "axis": axis(""),
                },
                "color": {
                    "field": "value",
                    "type": "quantitative",
                    "scale": scale,
                    "legend": {"title": "accuracy", "gradientLength": 140},
                },
            },
        },
    }
