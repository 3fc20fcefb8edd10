"""Figures put into a report: drawn, with their data beside them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report import drawing
from benchmark.report.figures.figure import Figure
from benchmark.report.writing import Site


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it; width, height: pixels; inline: the drawing itself."""

    name: str
    title: str
    caption: str
    width: int
    height: int
    inline: str = ""


def put(site: Site, one: Figure, *, inline: bool = False) -> Shown:
    """figures/NAME.svg and data/NAME.csv. inline: in the page, too, where the names of marks show under the pointer."""
    drawn = drawing.svg(one, themed=True)
    site.file(f"figures/{one.name}.svg", drawn)
    site.table(f"data/{one.name}.csv", one.records, one.names)
    within = drawing.without_style(drawn) if inline else ""
    return Shown(one.name, one.title, one.caption, *drawing.size(drawn), within)
