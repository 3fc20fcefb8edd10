"""Accuracy by corruption and severity, by family, and the mean corruption error."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.report.figures.chosen import Scene, among, featured, sizes
from benchmark.report.figures.dots import metric_dots
from benchmark.report.figures.figure import Figure, Records, Spec, axis
from benchmark.report.writing import slug
from benchmark.transforms.listing import own_list

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
    shown = featured(scene.networks, 6)
    rows = [
        r
        for name in shown
        for r in scene.rows(name, ACCURACY)
        if r.condition.rpartition("/")[2].isdigit()
    ]
    records = [
        {
            "observer": row.observer,
            "corruption": row.condition.rpartition("/")[0],
            "severity": int(row.condition.rpartition("/")[2]),
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "n": row.n,
        }
        for row in rows
    ]
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


def _spec(corruptions: list[str], order: list[str], records: Records) -> Spec:
    known = {name: at for at, name in enumerate(own_list("imagenet-c"))}
    names = sorted(set(corruptions), key=lambda name: (known.get(name, len(known)), name))
    severities = sorted({int(str(one["severity"])) for one in records})
    scale = {"scheme": "viridis", "domain": [0, 1]}
    return {
        "data": {"values": records},
        "facet": {"field": "observer", "sort": order, "title": None, "header": {"labelLimit": 150}},
        "columns": 3,
        "spec": {
            "mark": {"type": "rect"},
            "width": {"step": 24},
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
