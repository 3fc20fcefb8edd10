"""Pages of tables: the leaderboard, one page for each suite, published scores, links between suites, training runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.contracts import Direction
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.leaderboard.links import CAUTION, by_question, contrast_table, contrasts, observed, pair_table, verdict
from benchmark.leaderboard.model import Board, Cell, Column, Row, describe
from benchmark.leaderboard.summary import Headline, Line, Summary, summary_table
from benchmark.leaderboard.table import Footnotes, rank_text, wide_records
from benchmark.leaderboard.table import records as table_records
from benchmark.leaderboard.training_curves import checkpoint_table
from benchmark.report.contents import Contents, about, family, parameters, source
from benchmark.report.figures import (
    LINKS,
    TRAINING,
    PlacedFigure,
    correlation_text,
    every_figure,
    link_scatter,
    put,
    training,
)
from benchmark.report.image_pages import galleries
from benchmark.report.writing import Site, short, slug

if TYPE_CHECKING:
    from benchmark.contracts import Suite

BETTER: dict[Direction, str] = {"higher": "higher is better", "lower": "lower is better", "none": "no better end"}
FILTERS = ("recipe", "family", "kind", "source")
#: What the page of published scores says instead of a suite.
REPORTED = {
    "name": "Reported scores",
    "summary": "What publishers report without trials: ordered, not ranked, and in no paired test.",
}
WIDTH = 96  # px of a mark's axis, without the room that a dot at its end takes
EDGE = 4


# --- a number with its interval as a mark in a table's cell


@dataclass(frozen=True, slots=True)
class Axis:
    """What a column's marks are drawn on: from `low` to `high`; chance: what a guesser gets."""

    low: float
    high: float
    chance: float | None = None

    def at(self, value: float) -> str:
        """Pixels from the left; values outside are drawn at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{EDGE + WIDTH * min(1.0, max(0.0, share)):.3g}"

    @property
    def chance_at(self) -> str:
        """Where chance is, "" where there is none."""
        return "" if self.chance is None else self.at(self.chance)


class Mark(NamedTuple):
    """A cell: its texts, footnotes, and where dot and interval are ("" where there is none)."""

    text: str
    interval: str
    notes: str
    dot: str = ""
    start: str = ""
    end: str = ""


def axis_of(cells: Iterable[Cell], bounds: tuple[float, float] | None = None, chance: float | None = None) -> Axis:
    """The axis of a column: the metric's bounds, or from 0 or a round number below to 1 or a round number above."""
    ends = [v for c in cells for v in (c.value, c.low, c.high) if v is not None]
    if bounds is not None or not ends:
        return Axis(*(bounds or (0.0, 1.0)), chance)
    low, high = min(*ends, 0.0), max(ends)
    if low == high or (low >= 0 and 0.5 < high <= 1):
        return Axis(low, low + 1.0, chance)
    step = 10 ** floor(log10(max(high - low, 1e-9)))
    return Axis(floor(low / step) * step, ceil(high / step) * step, chance)


def mark(cell: Cell, axis: Axis | None, notes: Footnotes) -> Mark:
    """A cell as it is drawn; remarks go to `notes`. axis None: numbers alone."""
    remarks = notes.mark(cell)
    if cell.value is None:
        return Mark("", "", remarks)
    text = short(cell.value)
    dot = axis.at(cell.value) if axis else ""
    if cell.low is None or cell.high is None:
        return Mark(text, "", remarks, dot)
    interval = f"[{short(cell.low)}, {short(cell.high)}]"
    ends = (axis.at(cell.low), axis.at(cell.high)) if axis else ("", "")
    return Mark(text, interval, remarks, dot, *ends)


# --- tables


@dataclass(frozen=True)
class PageColumn:
    """A metric as a page shows it: key in addresses, axis of its marks (None: numbers alone), what stands under the
    table. suite, page, stimuli: of a headline in the leaderboard."""

    key: str
    title: str
    direction: Direction
    axis: Axis | None
    about: str
    suite: str = ""
    page: str = ""
    stimuli: str = ""

    @property
    def better(self) -> str:
        """Which end is better, in words."""
        return BETTER[self.direction]


class PageRow(NamedTuple):
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
class PageTable:
    """A decision space of the leaderboard, or a board. lines: what stands under it; figure: the same as a figure."""

    key: str
    title: str
    columns: Sequence[PageColumn]
    rows: Sequence[PageRow]
    notes: Sequence[str]
    data: str
    figure: str = ""
    lines: Sequence[str] = ()

    @cached_property
    def sized(self) -> bool:
        """Whether anybody's parameters are known."""
        return any(row.parameters for row in self.rows)


def row_of(line: Line | Row, contents: Contents, place: str, drawn: Sequence[Mark], rank: str = "") -> PageRow:
    """An observer's row, of a summary or of a board. What others report has hollow dots."""
    known = contents.observers.get(line.observer)
    group = "network" if line.kind in NETWORKS else "person" if line.kind == "human" else "reference"
    return PageRow(
        name=line.observer,
        page=f"observers/{slug(line.observer)}.html" if known else "",
        group="network reported" if line.kind == "reported" else group,
        kind=line.kind,
        recipe=", ".join(line.training),
        parameters=parameters(known),
        family=family(known),
        source=source(known),
        place=place,
        marks=drawn,
        rank=rank,
    )


# --- the leaderboard: models by suites, one table per decision space


def leaderboard_page(site: Site, contents: Contents) -> None:
    """index.html and the tables' numbers as CSV."""
    tables = []
    for summary in contents.summaries:
        data = f"data/leaderboard-{slug(summary.space)}.csv"
        site.table(data, summary_records(summary, contents))
        tables.append(_summary_table(summary, contents, data))
    rows = [row for table in tables for row in table.rows]
    choices = {name: sorted({text for row in rows if (text := getattr(row, name))}) for name in FILTERS}
    site.page("index.html", "leaderboard.html", title="Leaderboard", tables=tables, choices=choices)


def summary_records(summary: Summary, contents: Contents) -> Iterator[dict[str, Any]]:
    """One record per observer, in the table's order: value, interval, n, rank and remarks of each headline, and of
    the clean accuracy."""
    for record in wide_records(summary_table(summary)):
        known = contents.observers.get(record["observer"])
        yield record | {"parameters": parameters(known), "family": family(known), "source": source(known)}


def _cells(summary: Summary, line: Line) -> list[tuple[Headline, Cell]]:
    """A line's headlines, then its clean accuracy where it is known."""
    cells = list(zip(summary.headlines, line.cells, strict=True))
    return [*cells, (summary.clean, line.clean)] if summary.clean else cells


def _summary_table(summary: Summary, contents: Contents, data: str) -> PageTable:
    lines, notes = [*summary.lines, *summary.references], Footnotes()
    columns, drawn = [], []
    for at, headline in enumerate([*summary.headlines, *([summary.clean] if summary.clean else [])]):
        column, clean = headline.column, headline is summary.clean
        common, cells = without_common([_cells(summary, line)[at][1] for line in lines])
        axis = axis_of(cells, column.bounds, column.chance)
        drawn.append([mark(cell, axis, notes) for cell in cells])
        spread = about(cells)
        columns.append(
            PageColumn(
                key="clean" if clean else slug(headline.suite),
                title=f"{column.title}, {headline.suite}" if clean else column.title,
                direction=column.direction,
                axis=axis,
                about=f"{spread}; of every row: {', '.join(common)}" if common else spread,
                suite="clean accuracy" if clean else headline.suite,
                page=f"suites/{slug(headline.suite)}.html",
                stimuli=headline.stimuli,
            )
        )
    ranked = [line.observer for line in summary.lines if line.mean_rank is not None]
    places = {name: str(at) for at, name in enumerate(ranked, 1)}
    rows = [
        row_of(line, contents, places.get(line.observer, ""), [column[at] for column in drawn])
        for at, line in enumerate(lines)
    ]
    space = summary.space
    return PageTable(slug(space), space, columns, rows, notes.lines(), data, f"overview-{slug(space)}")


def without_common(cells: Sequence[Cell]) -> tuple[tuple[str, ...], list[Cell]]:
    """(flags that every measured cell carries, the cells without them): what holds for all is said once."""
    measured = [set(cell.flags) for cell in cells if cell.value is not None and cell.source is not None]
    common = set.intersection(*measured) if len(measured) > 1 else set()
    order = tuple(flag for cell in cells[:1] for flag in cell.flags if flag in common)
    return (*order, *sorted(common - set(order))), [
        cell._replace(flags=tuple(f for f in cell.flags if f not in common)) for cell in cells
    ]


# --- suites


def suite_pages(site: Site, contents: Contents) -> None:
    """suites/NAME.html for every suite with scores: what it measures, its figures, its boards; reported.html, where
    anybody's published scores are in the leaderboard."""
    figures = drawn_by_suite(site, contents)
    kept = None
    for suite in contents.suites:
        boards = [board for board in contents.boards if board.suite == suite.name and board.rows]
        gallery = next((figure for figure in suite.figures if figure.kind == "gallery"), None)
        if gallery and kept is None:
            kept = galleries(site, contents.observers)
        site.page(
            f"suites/{slug(suite.name)}.html",
            "suite.html",
            title=suite.name,
            suite=suite,
            tables=[_table(site, contents, board, at) for at, board in enumerate(boards, 1)],
            figures=figures.get(suite.name, ()),
            galleries=kept if gallery else (),
            gallery=gallery,
            terms=[(m.title, m.definition) for m in suite.metrics if m.shown and m.definition],
            usual=_usual(contents, suite),
        )
    reported_page(site, contents, figures)


def drawn_by_suite(site: Site, contents: Contents) -> dict[str, list[PlacedFigure]]:
    """Every figure but links and training runs, put into the report, by suite, in the order in which they come."""
    by_suite: dict[str, list[PlacedFigure]] = {}
    for suite, figure in every_figure(contents):
        if suite not in (LINKS, TRAINING):
            by_suite.setdefault(suite, []).append(put(site, figure))
    return by_suite


def reported_page(site: Site, contents: Contents, figures: Mapping[str, Sequence[PlacedFigure]]) -> None:
    """reported.html. figures: by suite."""
    if not contents.reported:
        return
    tables = [_table(site, contents, board, at) for at, board in enumerate(contents.reported, 1)]
    drawn = [figure for part in figures.values() for figure in part if figure.name.startswith("reported-")]
    columns = [column for board in contents.reported for column in board.columns]
    site.page(
        "reported.html",
        "suite.html",
        title="Reported scores",
        suite=REPORTED,
        tables=tables,
        figures=drawn,
        galleries=(),
        gallery=None,
        usual=[],
        terms=list(dict.fromkeys((column.title, column.definition) for column in columns)),
    )


def _usual(contents: Contents, suite: Suite) -> list[tuple[str, list[tuple[str, str]]]]:
    """By decision space: the role of each usual set, and the set in words."""
    return [
        (space, [(role or "together", describe(digest, contents.sets)) for role, digest in roles.items()])
        for (name, space), roles in contents.usual.items()
        if name == suite.name
    ]


def _table(site: Site, contents: Contents, board: Board, at: int) -> PageTable:
    key = f"{slug(board.suite)}-{slug(board.space)}-{at}"
    data = f"data/board-{key}.csv"
    table = board_table(board)
    site.table(data, wide_records(table))
    rows, notes = [*board.rows, *board.references], Footnotes()
    columns = [_column(board, column, rows) for column in board.columns]
    drawn = []
    for place, row in enumerate(rows, 1):
        cells = zip(board.columns, columns, strict=True)
        marks = [mark(row.cells[metric.metric], column.axis, notes) for metric, column in cells]
        drawn.append(row_of(row, contents, str(place), marks, rank_text(*row[:3])))
    lines = [*dict.fromkeys(board.sets.values()), table.intervals, *table.notes]
    return PageTable(key, board.title, columns, drawn, notes.lines(), data, lines=lines)


def _column(board: Board, column: Column, rows: Sequence[Row]) -> PageColumn:
    cells = [row.cells[column.metric] for row in rows]
    axis = axis_of(cells, column.bounds, column.chance) if column.metric == board.by else None
    return PageColumn(slug(column.metric), column.title, column.direction, axis, about(cells))


# --- links between the suites


def has_links(contents: Contents) -> bool:
    """Whether any two variables share an observer."""
    return any(len(observer.values) > 1 for summary in contents.linked for observer in observed(summary))


def links_page(site: Site, contents: Contents) -> None:
    """links.html, where any two headlines share an observer: what suites ask of one another first."""
    spaces = [_space(site, contents, summary) for summary in contents.linked if contents.links[summary.space]]
    if spaces:
        words = {"caution": CAUTION, "verdict": verdict, "told": correlation_text, "short": short}
        site.page("links.html", "links.html", title="Links", spaces_=spaces, **words)


def _space(site: Site, contents: Contents, summary: Summary) -> dict[str, Any]:
    """A decision space as the page shows it: links with their figures, contrasts of recipes, the tables of both."""
    name, pairs = summary.space, contents.links[summary.space]
    compared = contrasts(summary, contents.cards)
    tables = [f"data/{table}-{slug(name)}.csv" for table in ("links", "contrasts", "link-values")]
    values: dict[str, dict[str, float]] = {}
    for link in pairs:
        for variable, numbers in ((link.x, link.xs), (link.y, link.ys)):
            names = (observer.name for observer in link.observers)
            values.setdefault(variable.name, {}).update(zip(names, numbers, strict=True))
    everybody = {observer.name: observer.lineage for link in pairs for observer in link.observers}
    points = [
        {"observer": observer, "family": kin.family, "recipe": kin.recipe}
        | {variable: held.get(observer) for variable, held in values.items()}
        for observer, kin in sorted(everybody.items())
    ]
    recipes = contrast_table(compared, name)
    parts = (table_records(pair_table(pairs, name)), table_records(recipes), points)
    for place, records in zip(tables, parts, strict=True):
        site.table(place, records)
    drawn = []
    for link in by_question(pairs):
        scatter = link_scatter(link, name) if link.observers else None
        inline = bool(link.question)
        figure = put(site, scatter, inline=inline, data=tables[2]) if scatter else None
        drawn.append((link, figure))
    return {"name": name, "pairs": drawn, "contrasts": compared, "recipes": html(recipes), "tables": tables}


# --- training runs


def training_page(site: Site, contents: Contents) -> None:
    """training.html, where there is a training run: every headline over its checkpoints."""
    drawn = [put(site, figure, inline=True) for figure in training(contents.curves)]
    runs = []
    for (run, space), part in groupby(contents.curves, key=lambda curve: (curve.run, curve.space)):
        curves = list(part)
        names = {point.observer for curve in curves for point in curve.points}
        pages = {name: f"observers/{slug(name)}.html" for name in names}
        table = replace(checkpoint_table(curves), title="", caption="")
        runs.append((f"{run}, {space}", html(table, pages)))
    if drawn:
        site.page("training.html", "training.html", title="Training", figures=drawn, runs=runs)
