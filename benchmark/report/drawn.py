"""Figures put into a report: drawn, with their data beside them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report import drawing
from benchmark.report.figures.figure import Figure
from benchmark.report.lean_svg import without_names
from benchmark.report.writing import Site


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it; width, height: pixels; data: its numbers as CSV; inline: the drawing itself."""

    name: str
    title: str
    caption: str
    width: int
    height: int
    data: str
    inline: str = ""


def put(site: Site, one: Figure, *, inline: bool = False, data: str = "") -> Shown:
    """figures/NAME.svg and data/NAME.csv. inline: in the page, too, where the names of marks show under the pointer;
    data: a table that is there already and has the figure's numbers."""
    drawn = drawing.svg(one, themed=True)
    site.file(f"figures/{one.name}.svg", without_names(drawn))
    if not data:
        data = f"data/{one.name}.csv"
        site.table(data, one.records, one.names)
    within = drawing.without_style(drawn) if inline else ""
    return Shown(one.name, one.title, one.caption, *drawing.size(drawn), data, within)
