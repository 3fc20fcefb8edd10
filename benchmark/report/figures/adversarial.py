"""Robust accuracy against the size of the perturbation, one figure for each norm."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.report.figures.chosen import Scene, among, featured, methods, sizes
from benchmark.report.figures.figure import Figure, axis
from benchmark.report.figures.lines import lines
from benchmark.report.writing import slug

ROBUST = "robust_accuracy"
NAMES = ("observer", "epsilon", "value", "low", "high", "n")


def figures(scene: Scene) -> Iterator[Figure]:
    """One for each norm that anybody was attacked in."""
    shown = featured(scene.networks)
    rows = [row for name in shown for row in scene.rows(name, ROBUST)]
    for norm in dict.fromkeys(row.condition.partition(" ")[0] for row in rows):
        mine = [row for row in rows if row.condition.partition(" ")[0] == norm]
        units = {_size(row.condition)[1] for row in mine}
        records = [
            {
                "observer": row.observer,
                "epsilon": _size(row.condition)[0],
                "value": row.value,
                "low": row.low,
                "high": row.high,
                "n": row.n,
            }
            for row in mine
        ]
        unit = units.pop() if len(units) == 1 else ""
        words = f"epsilon, {norm} norm{f' (in 1{unit} of the grey range)' if unit else ' (grey range 0 to 1)'}"
        x = {
            "field": "epsilon",
            "type": "ordinal",
            "sort": "ascending",
            "axis": axis(words, labelAngle=0),
        }
        flagged = sorted({flag for row in mine for flag in row.flags if flag.startswith("trust: ")})
        doubt = (
            f" Flags of distrust: {'; '.join(flagged)} (who has them: the board)."
            if flagged
            else ""
        )
        yield Figure(
            f"robust-accuracy-{slug(norm)}-{slug(scene.key)}",
            f"Robust accuracy against {norm} perturbations",
            f"Images that no attack of that size or less breaks, of all images. {among(shown, scene.networks)}"
            f"{scene.board.sets.get('natural', '')}; {sizes(records)} a mark; {methods(mine)}.{doubt}",
            lines(records, list(shown), x, "robust accuracy (share)", width=340),
            records,
            NAMES,
        )


def _size(condition: str) -> tuple[float, str]:
    """(4.0, "/255") of "linf 4/255"; (nan, "") of what is no size."""
    number, slash, unit = condition.partition(" ")[2].partition("/")
    try:
        return float(number), slash + unit
    except ValueError:
        return float("nan"), ""
