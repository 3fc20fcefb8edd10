"""A forest plot: the difference of two observers in every headline, with intervals."""

from __future__ import annotations

from typing import Any

from benchmark.leaderboard.comparison import better
from benchmark.report.figures.figure import COLOURS, ONCE, QUIET, Figure, Spec, axis
from benchmark.report.writing import slug
from benchmark.stats.comparisons import Compared

NAMES = (
    "suite",
    "metric",
    "a",
    "b",
    "difference",
    "low",
    "high",
    "level",
    "p_holm",
    "verdict",
    "n",
    "method",
)


def forest(found: Compared) -> Figure | None:
    """None where no headline could be compared."""
    records = [
        {
            "suite": row.suite,
            "metric": row.title,
            "label": f"{row.title} ({row.suite})",
            "a": one.a,
            "b": one.b,
            "difference": one.difference,
            "low": one.low,
            "high": one.high,
            "level": one.level,
            "p_holm": one.p_holm,
            "verdict": better(row),
            "n": one.n,
            "method": one.method,
        }
        for row in found.headlines
        if (one := row.comparison).difference is not None
    ]
    if not records:
        return None
    sizes = ", ".join(f"{one['n']} ({one['suite']})" for one in records)
    levels = sorted({100 * float(str(one["level"])) for one in records})
    at = " to ".join(dict.fromkeys(f"{level:.4g}" for level in (levels[0], levels[-1])))
    return Figure(
        "forest-" + slug(f"{found.a} {found.b}"),
        f"{found.a} (A) minus {found.b} (B)",
        "Difference of each suite's headline on the stimuli that both answered, paired; bar: interval at the level at "
        f"which Holm's procedure tests it ({at} %), so that it leaves out 0 exactly where p is below .05. "
        f"n: {sizes}. To the right A is higher.",
        _spec(records),
        records,
        NAMES,
    )


def _spec(records: list[dict[str, Any]]) -> Spec:
    order = [one["label"] for one in records]
    y = {
        "field": "label",
        "type": "nominal",
        "sort": order,
        "axis": axis("", labelLimit=300, grid=True),
    }
    x = {"field": "difference", "type": "quantitative", "axis": axis("A - B (share)")}
    return {
        "data": {"values": records},
        "width": 380,
        "height": {"step": 26},
        "layer": [
            {
                "data": ONCE,
                "mark": {"type": "rule", "color": QUIET, "strokeDash": [3, 3]},
                "encoding": {"x": {"datum": 0}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5, "color": COLOURS[0]},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 60,
                    "opacity": 1,
                    "color": COLOURS[0],
                },
                "encoding": {"y": y, "x": x},
            },
        ],
    }
