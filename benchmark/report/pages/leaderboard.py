"""Models by suites: one table per decision space, with people and chance as reference rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from benchmark.contracts import Direction
from benchmark.leaderboard.formatting import Footnotes
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.model import Row as BoardLine
from benchmark.leaderboard.summary import Headline, Line, Summary
from benchmark.report.captions import about
from benchmark.report.contents import Contents, family, parameters, source
from benchmark.report.marks import Axis, Mark, marks
from benchmark.report.writing import Site, slug

BETTER: dict[Direction, str] = {
    "higher": "higher is better",
    "lower": "lower is better",
    "none": "no better end",
}
FILTERS = ("recipe", "family", "kind", "source")
#: Columns of the CSV: of the observer, and of each headline after its name.
WHO = ("observer", "kind", "recipe", "parameters", "family", "source")
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


class Row(NamedTuple):
    """An observer in a table. page: its own, "" where it is none; group: "network", "network reported", "person" or
    "reference"; parameters: their number, None where it is not known; rank: on a board."""

    name: str
    page: str
    group: str
    kind: str
    recipe: str
    parameters: int | None
    family: str
    source: str
    place: str
    marks: Sequence[Mark]
    rank: str = ""


@dataclass(frozen=True)
class Table:
    """A decision space."""

    space: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    data: str
    figure: str

    @cached_property
    def sized(self) -> bool:
        """Whether anybody's parameters are known."""
        return any(row.parameters for row in self.rows)


def leaderboard(site: Site, contents: Contents) -> None:
    """index.html and the tables' numbers as CSV."""
    tables = []
    for summary in contents.summaries:
        data = f"data/leaderboard-{slug(summary.space)}.csv"
        names = [*WHO, *(_key(head) + part for head, _ in _held(summary) for part in PARTS)]
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
    """One record per observer, in the table's order: value, interval, n, rank and remarks of each headline, and of
    the clean accuracy."""
    for line in (*summary.lines, *summary.references):
        known = contents.observers.get(line.observer)
        record: dict[str, Any] = {"observer": line.observer, "kind": line.kind}
        record |= {
            "recipe": ", ".join(line.training),
            "parameters": parameters(known),
            "family": family(known),
            "source": source(known),
        }
        for at, (headline, cell_of) in enumerate(_held(summary)):
            cell, rank = cell_of(line), line.ranks[at] if at < len(line.ranks) else None
            remarks = [*cell.flags, *([cell.reason] if cell.reason else [])]
            values = (cell.value, cell.low, cell.high, cell.n, rank, remarks)
            record |= {
                _key(headline) + part: value for part, value in zip(PARTS, values, strict=True)
            }
        yield record


def _held(summary: Summary) -> list[tuple[Headline, Callable[[Line], Cell]]]:
    """The headlines, then clean accuracy where it is known, each with its cell of a line."""
    found: list[tuple[Headline, Callable[[Line], Cell]]] = [
        (head, lambda line, at=at: line.cells[at])  # type: ignore[misc]
        for at, head in enumerate(summary.headlines)
    ]
    return [*found, (summary.clean, lambda line: line.clean)] if summary.clean else found


def _key(headline: Headline) -> str:
    return f"{headline.suite}.{headline.column.metric}"


def _table(summary: Summary, contents: Contents, data: str) -> Table:
    lines, notes = [*summary.lines, *summary.references], Footnotes()
    columns, drawn = [], []
    for headline, cell_of in _held(summary):
        common, cells = without_common([cell_of(line) for line in lines])
        axis, made = marks(cells, notes, headline.column.bounds, headline.column.chance)
        columns.append(_column(headline, cells, axis, common, clean=headline is summary.clean))
        drawn.append(made)
    ranked = [line.observer for line in summary.lines if line.mean_rank is not None]
    places = {name: str(at) for at, name in enumerate(ranked, 1)}
    rows = [
        row_of(line, contents, places.get(line.observer, ""), [column[at] for column in drawn])
        for at, line in enumerate(lines)
    ]
    figure = f"overview-{slug(summary.space)}"
    return Table(summary.space, columns, rows, notes.lines(), data, figure)


def without_common(cells: Sequence[Cell]) -> tuple[tuple[str, ...], list[Cell]]:
    """(flags that every measured cell carries, the cells without them): what holds for all is said once."""
    measured = [
        set(cell.flags) for cell in cells if cell.value is not None and cell.source is not None
    ]
    common = set.intersection(*measured) if len(measured) > 1 else set()
    order = tuple(flag for cell in cells[:1] for flag in cell.flags if flag in common)
    told = (*order, *sorted(common - set(order)))
    return told, [
        cell._replace(flags=tuple(f for f in cell.flags if f not in common)) for cell in cells
    ]


def _column(
    headline: Headline, cells: Sequence[Cell], axis: Axis, common: Sequence[str], *, clean: bool
) -> Column:
    column, said = headline.column, about(cells)
    return Column(
        key="clean" if clean else slug(headline.suite),
        title=f"{column.title}, {headline.suite}" if clean else column.title,
        suite="clean accuracy" if clean else headline.suite,
        page=f"suites/{slug(headline.suite)}.html",
        better=BETTER[column.direction],
        direction=column.direction,
        axis=axis,
        stimuli=headline.stimuli,
        about=f"{said}; of every row: {', '.join(common)}" if common else said,
    )


def row_of(
    line: Line | BoardLine, contents: Contents, place: str, drawn: Sequence[Mark], rank: str = ""
) -> Row:
    """An observer's row, of a summary or of a board."""
    known = contents.observers.get(line.observer)
    return Row(
        name=line.observer,
        page=f"observers/{slug(line.observer)}.html" if known else "",
        group=group_of(line.kind),
        kind=line.kind,
        recipe=", ".join(line.training),
        parameters=parameters(known),
        family=family(known),
        source=source(known),
        place=place,
        marks=drawn,
        rank=rank,
    )


def group_of(kind: str) -> str:
    """How a row is drawn; what others report has hollow dots."""
    if kind == "reported":
        return "network reported"
    if kind in NETWORKS:
        return "network"
    return "person" if kind == "human" else "reference"


def _choices(tables: Sequence[Table]) -> dict[str, list[str]]:
    """What the filters offer: the values that rows have."""
    rows = [row for table in tables for row in table.rows]
    return {
        name: sorted({text for row in rows if (text := getattr(row, name))}) for name in FILTERS
    }
