"""Models by suites: one table per decision space, with people and chance as reference rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.contracts import Direction
from benchmark.leaderboard.formatting import Footnotes
from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.summary import Headline, Line, Summary
from benchmark.report.captions import about
from benchmark.report.contents import Contents, family, source
from benchmark.report.marks import Axis, Mark, marks
from benchmark.report.writing import Site, slug

BETTER: dict[Direction, str] = {
    "higher": "higher is better",
    "lower": "lower is better",
    "none": "no better end",
}
FILTERS = ("recipe", "family", "kind", "source")
#: Columns of the CSV: of the observer, and of each headline after its name.
WHO = ("observer", "kind", "recipe", "family", "source")
PARTS = ("", "_low", "_high", "_n", "_rank", "_remarks")


@dataclass(frozen=True)
class Column:
    """A headline: key in addresses, title, the page of its suite, its axis, and what stands under the table."""

    key: str
    title: str
    suite: str
    page: str
    better: str
    direction: Direction
    axis: Axis
    stimuli: str
    about: str


@dataclass(frozen=True)
class Row:
    """An observer. page: its own, "" where it is none; group: "network", "person" or "reference"."""

    name: str
    page: str
    group: str
    kind: str
    recipe: str
    family: str
    source: str
    place: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Table:
    """A decision space."""

    space: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    data: str
    figure: str


def leaderboard(site: Site, contents: Contents) -> None:
    """index.html and the tables' numbers as CSV."""
    tables = []
    for summary in contents.summaries:
        data = f"data/leaderboard-{slug(summary.space)}.csv"
        names = [*WHO, *(_key(headline) + part for headline in summary.headlines for part in PARTS)]
        site.table(data, records(summary, contents), names)
        tables.append(_table(summary, contents, data))
    site.page(
        "index.html",
        "leaderboard.html",
        title="Leaderboard",
        tables=tables,
        choices=_choices(tables),
    )


def records(summary: Summary, contents: Contents) -> Iterator[dict[str, Any]]:
    """One record per observer, in the table's order: value, interval, n, rank and remarks of each suite's headline."""
    for line in (*summary.lines, *summary.references):
        known = contents.observers.get(line.observer)
        record: dict[str, Any] = {
            "observer": line.observer,
            "kind": line.kind,
            "recipe": ", ".join(line.training),
        }
        record |= {"family": family(known), "source": source(known)}
        for headline, cell, rank in zip(summary.headlines, line.cells, line.ranks, strict=True):
            remarks = [*cell.flags, *([cell.reason] if cell.reason else [])]
            values = (cell.value, cell.low, cell.high, cell.n, rank, remarks)
            record |= {
                _key(headline) + part: value for part, value in zip(PARTS, values, strict=True)
            }
        yield record


def _key(headline: Headline) -> str:
    return f"{headline.suite}.{headline.column.metric}"


def _table(summary: Summary, contents: Contents, data: str) -> Table:
    lines, notes = [*summary.lines, *summary.references], Footnotes()
    columns, drawn = [], []
    for at, headline in enumerate(summary.headlines):
        cells = [line.cells[at] for line in lines]
        axis, made = marks(cells, notes, headline.column.bounds, headline.column.chance)
        columns.append(_column(headline, cells, axis))
        drawn.append(made)
    places = {
        line.observer: str(at)
        for at, line in enumerate(summary.lines, 1)
        if line.mean_rank is not None
    }
    rows = [
        _row(line, contents, places.get(line.observer, ""), [column[at] for column in drawn])
        for at, line in enumerate(lines)
    ]
    figure = f"overview-{slug(summary.space)}"
    return Table(summary.space, columns, rows, notes.lines(), data, figure)


def _column(headline: Headline, cells: Sequence[Cell], axis: Axis) -> Column:
    column = headline.column
    page = f"suites/{slug(headline.suite)}.html"
    return Column(
        slug(headline.suite), column.title, headline.suite, page, BETTER[column.direction], column.direction, axis,
        headline.stimuli, about(cells),
    )  # fmt: skip


def _row(line: Line, contents: Contents, place: str, drawn: Sequence[Mark]) -> Row:
    known = contents.observers.get(line.observer)
    group = "network" if line.kind in ("network", "published") else "reference"
    return Row(
        name=line.observer,
        page=f"observers/{slug(line.observer)}.html" if known else "",
        group="person" if line.kind == "human" else group,
        kind=line.kind,
        recipe=", ".join(line.training),
        family=family(known),
        source=source(known),
        place=place,
        marks=drawn,
    )


def _choices(tables: Sequence[Table]) -> dict[str, list[str]]:
    """What the filters offer: the values that rows have."""
    rows = [row for table in tables for row in table.rows]
    return {
        name: sorted({text for row in rows if (text := getattr(row, name))}) for name in FILTERS
    }
