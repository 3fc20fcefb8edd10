"""Figures put into a report: drawn, with their data beside them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report import drawing
from benchmark.report.figures.figure import Figure
from benchmark.report.writing import Site


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it; width, height: pixels."""

    name: str
    title: str
    caption: str
    width: int
    height: int


def put(site: Site, one: Figure) -> Shown:
    """figures/NAME.svg and data/NAME.csv."""
    drawn = drawing.svg(one, themed=True)
    site.file(f"figures/{one.name}.svg", drawn)
    site.table(f"data/{one.name}.csv", one.records, one.names)
    return Shown(one.name, one.title, one.caption, *drawing.size(drawn))
