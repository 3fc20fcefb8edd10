"""The leaderboard as a figure: dots and intervals, a panel for each suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.leaderboard.summary import Headline, Line, Summary
from benchmark.report.captions import about
from benchmark.report.figures.dots import IMPORTED, dots, group_of, legend
from benchmark.report.figures.figure import MOST, Figure, some_of
from benchmark.report.writing import slug

NAMES = ("observer", "group", "suite", "metric", "value", "low", "high", "n")


def overview(summary: Summary) -> Figure:
    """Networks in the table's order, then people as a group, ideal observers and references."""
    aside = [line for line in summary.references if line.kind not in ("human", "chance")]
    few = aside[: MOST // 3]
    lines = [*summary.lines[:MOST], *few]
    records = [record for line in lines for record in _records(summary, line)]
    panels = [(_title(head), head.column.chance) for head in summary.headlines]
    captions = (
        f"{head.suite}: {head.column.title}, {head.stimuli}; {about(line.cells[at] for line in summary.lines)}"
        for at, head in enumerate(summary.headlines)
    )
    caption = f"{legend([head.column for head in summary.headlines])} {'. '.join(captions)}."
    if any(line.kind == "reported" for line in lines):
        caption += IMPORTED
    return Figure(
        f"overview-{slug(summary.space)}",
        f"Models by suites, {summary.space}",
        caption
        + some_of(len(summary.lines), min(MOST, len(summary.lines)), "networks")
        + some_of(len(aside), len(few), "reference rows"),
        dots(records, [line.observer for line in lines], panels),
        records,
        NAMES,
    )


def _title(head: Headline) -> str:
    return f"{head.column.title} ({head.suite})"


def _records(summary: Summary, line: Line) -> Iterator[dict[str, Any]]:
    for head, cell in zip(summary.headlines, line.cells, strict=True):
        if cell.value is not None:
            yield {
                "observer": line.observer,
                "group": group_of(line.kind),
                "suite": head.suite,
                "metric": _title(head),
                "value": cell.value,
                "low": cell.low,
                "high": cell.high,
                "n": cell.n,
            }
