"""Training runs: every headline over their checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.leaderboard.formatting import short_estimate
from benchmark.leaderboard.training_curves import Curve
from benchmark.report.contents import Contents
from benchmark.report.drawn import Shown, put
from benchmark.report.figures.training import figures
from benchmark.report.writing import Site, slug


@dataclass(frozen=True)
class Run:
    """A run's table. rows: (step, name of the model, its page, a text for each headline)."""

    name: str
    space: str
    unit: str
    headlines: Sequence[str]
    rows: Sequence[tuple[int, str, str, Sequence[str]]]


def training_page(site: Site, contents: Contents) -> None:
    """training.html, where there is a training run."""
    drawn = [put(site, one, inline=True) for one in figures(contents)]
    if drawn:
        context: dict[str, Sequence[Shown] | Sequence[Run]] = {
            "figures": drawn,
            "runs": _runs(contents.curves),
        }
        site.page("training.html", "training.html", title="Training", **context)


def _runs(curves: Sequence[Curve]) -> list[Run]:
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.run, curve.space), []).append(curve)
    return [_run(run, space, mine) for (run, space), mine in groups.items()]


def _run(run: str, space: str, curves: Sequence[Curve]) -> Run:
    cells = {
        (point.step, point.observer, curve.title): point.cell
        for curve in curves
        for point in curve.points
    }
    titles = [curve.title for curve in curves]
    rows = []
    for step, observer in sorted({(step, observer) for step, observer, _ in cells}):
        found = (cells.get((step, observer, title)) for title in titles)
        texts = [short_estimate(one.value, one.low, one.high) if one else "" for one in found]
        rows.append((step, observer, f"observers/{slug(observer)}.html", texts))
    return Run(run, space, curves[0].unit, titles, rows)
