"""Pages of tables: the leaderboard, one page for each suite, published scores, links between suites, training runs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, floor, log10
from types import SimpleNamespace
from typing import Any, NamedTuple

from benchmark.contracts import Direction
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.cue_measures import measure_tables
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.links import CAUTION, by_question, contrast_table, contrasts, pair_table, verdict
from benchmark.leaderboard.model import CLEAN, Board, Cell, Column, Row, describe
from benchmark.leaderboard.summary import Summary, millions, summary_table
from benchmark.leaderboard.table import records as table_records
from benchmark.leaderboard.table import remarks, wide_records
from benchmark.leaderboard.training_curves import checkpoint_table
from benchmark.report.contents import Contents, PeopleScore, about, family, parameters, source
from benchmark.report.figures import (
    LINKS,
    TRAINING,
    PlacedFigure,
    correlation_text,
    every_figure,
    likeness,
    link_scatter,
    put,
    training,
)
from benchmark.report.image_pages import galleries
from benchmark.report.writing import Site, estimate, short, slug

BETTER: dict[Direction, str] = {"higher": "higher is better", "lower": "lower is better", "none": "no better end"}
#: Columns of facts -> of how many different texts there must be more to show them unasked.
PLAIN = {"recipe": 0, "parameters": 1, "paper": 0, "family": 99_999, "kind": 99_999, "source": 99_999}
FILTERS = ("recipe", "family", "kind", "source")
#: What the page of published scores says instead of a suite.
REPORTED = SimpleNamespace(
    name="Reported scores", summary="What publishers report without trials: ordered, not ranked, and in no paired test."
)
RANKED = "Rank: the places by mean rank that the suites' rank intervals do not rule out."
#: Shades of how near to people a number is; observers that a remark names.
SHADES, NAMED = 5, 4
#: What names a paper -> the address before it.
PAPERS = {
    r"(https?://[^\s<>\"]+)": "",
    r"arxiv[:/ ]*(?:abs/)?(\d{4}\.\d{4,5})": "https://arxiv.org/abs/",
    r"\b(10\.\d{4,}/[^\s<>\"]+)": "https://doi.org/",
}
WIDTH = 96  # px of a mark's axis, without the room that a dot at its end takes
EDGE = 4


# --- a number with its interval as a mark in a table's cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What a column's marks are drawn on: from `low` to `high`; chance: what a guesser gets; people: what they have."""

    low: float
    high: float
    chance: float | None = None
    people: Cell | None = None

    def at(self, value: float) -> str:
        """Pixels from the left; values outside are drawn at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{EDGE + WIDTH * min(1.0, max(0.0, share)):.3g}"

    @property
    def chance_at(self) -> str:
        """Where chance is, "" where there is none."""
        return "" if self.chance is None else self.at(self.chance)

    @property
    def band(self) -> tuple[str, str] | None:
        """Where people's interval begins and ends, a pixel wider on each side."""
        if self.people is None or self.people.value is None:
            return None
        low, high = (self.people.value if end is None else end for end in (self.people.low, self.people.high))
        return f"{float(self.at(low)) - 1:.3g}", f"{float(self.at(high)) + 1:.3g}"


class Mark(NamedTuple):
    """A cell: its texts, where dot and interval are ("" where there is none), whether there is a remark on it, and how
    near to people it is, from 1 to `SHADES` (0: not told)."""

    text: str
    interval: str = ""
    dot: str = ""
    start: str = ""
    end: str = ""
    noted: bool = False
    shade: int = 0


def axis_of(cells: Iterable[Cell], column: Column, people: Cell | None = None) -> Axis:
    """The axis of a column: the metric's bounds, or from 0 or a round number below to 1 or a round number above."""
    ends = [v for c in (*cells, *([people] if people else [])) for v in (c.value, c.low, c.high) if v is not None]
    if column.bounds is not None or not ends:
        low, high = column.bounds or (0.0, 1.0)
        return Axis(low=low, high=high, chance=column.chance, people=people)
    low, high = min(*ends, 0.0), max(ends)
    if low == high or (low >= 0 and 0.5 < high <= 1):
        return Axis(low=low, high=low + 1.0, chance=column.chance, people=people)
    step = 10 ** floor(log10(max(high - low, 1e-9)))
    return Axis(low=floor(low / step) * step, high=ceil(high / step) * step, chance=column.chance, people=people)


def mark(cell: Cell, axis: Axis | None, noted: bool = False, shade: int = 0) -> Mark:
    """A cell as it is drawn. axis None: numbers alone."""
    if cell.value is None:
        return Mark("", noted=noted)
    dot = axis.at(cell.value) if axis else ""
    if cell.low is None or cell.high is None:
        return Mark(short(cell.value), "", dot, noted=noted, shade=shade)
    start, end = (axis.at(cell.low), axis.at(cell.high)) if axis else ("", "")
    return Mark(
        text=short(cell.value),
        interval=f"[{short(cell.low)}, {short(cell.high)}]",
        dot=dot,
        start=start,
        end=end,
        noted=noted,
        shade=shade,
    )


def shades(cells: Sequence[Cell], people: Cell | None) -> list[int]:
    """How near to people each number is: `SHADES` within their interval, 1 as far as the farthest of them."""
    if people is None or people.value is None:
        return [0] * len(cells)
    low, high = (people.value if end is None else end for end in (people.low, people.high))
    away = [None if c.value is None else max(low - c.value, c.value - high, 0.0) for c in cells]
    most = max((distance for distance in away if distance is not None), default=0.0) or 1.0
    return [0 if distance is None else SHADES - ceil((SHADES - 1) * distance / most) for distance in away]


# --- tables


@dataclass(frozen=True, kw_only=True)
class PageColumn:
    """A metric as a page shows it. key: in addresses; title, small: of its head, which leads to `page` ("" nowhere);
    axis: of its marks (None: numbers alone); about: what stands under the table; remarks: on some of its numbers."""

    key: str
    title: str
    small: str
    direction: Direction
    axis: Axis | None
    about: str
    remarks: Sequence[str] = ()
    page: str = ""


class PageRow(NamedTuple):
    """An observer in a table. page: its own, "" where it is none; group: "network", "network reported", "person" or
    "reference"; rank: the ranks that the data do not rule out; place: in order; facts: texts of the plain columns."""

    name: str
    page: str
    group: str
    rank: str
    place: int
    facts: Mapping[str, str]
    marks: Sequence[Mark]


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """A decision space of the leaderboard, or a board. people: what they have in each column, the first row; plain:
    columns of facts, and whether they are shown unless asked for; lines: what stands under the table."""

    key: str
    title: str
    columns: Sequence[PageColumn]
    rows: Sequence[PageRow]
    people: PageRow | None
    plain: Sequence[tuple[str, bool]]
    data: str
    lines: Sequence[str] = ()
    figure: PlacedFigure | None = None
    verdict: str = ""


def column_of(
    key: str, column: Column, cells: Sequence[Cell], names: Sequence[str], people: PeopleScore | None, *,
    drawn: bool = True, title: str = "", page: str = "", where: str = "",
) -> tuple[PageColumn, list[Mark]]:  # fmt: skip
    """A column with its cells as marks. What is to be said of several numbers is said once, below the table."""
    axis = axis_of(cells, column, people.cell if people else None) if drawn else None
    said: dict[str, list[str]] = {}
    for name, cell in zip(names, cells, strict=True):
        for text in remarks(cell):
            said.setdefault(text, []).append(name)
    measured = sum(cell.value is not None and cell.source is not None for cell in cells)
    common = {text for text, who in said.items() if len(who) == measured > 1}
    near = shades(cells, people.cell if people else None)
    marks = [
        mark(cell, axis, bool(set(remarks(cell)) - common), shade) for cell, shade in zip(cells, near, strict=True)
    ]
    lines = [f"{column.title}{f' on {where}' if where else ''}; {about(cells)}", *(f"every row: {t}" for t in common)]
    if people:
        lines.append(f"{people.called}: {people.how}")
    more = " and {} more (the CSV has all)"
    apart = [
        f"{', '.join(who[:NAMED])}{more.format(len(who) - NAMED) if len(who) > NAMED else ''}: {text}"
        for text, who in said.items()
        if text not in common
    ]
    better = BETTER[column.direction]
    small = f"{column.title}, {better}" if title else better
    return PageColumn(
        key=key,
        title=title or column.title,
        small=small,
        direction=column.direction,
        axis=axis,
        about="; ".join(lines),
        remarks=apart,
        page=page,
    ), marks


def row_of(line: Row, contents: Contents, marks: Sequence[Mark], rank: str, place: int, *, aside: bool) -> PageRow:
    """An observer's row, of a summary or of a board. aside: below the ranked ones; what others report has hollow
    dots."""
    known = contents.observers.get(line.observer)
    card, count = known.card if known else {}, parameters(known)
    facts = {
        "recipe": ", ".join(line.training),
        "parameters": millions(count),
        "family": family(known),
        "kind": line.kind,
        "source": source(known),
        "paper": str(card.get("year") or ("paper" if card.get("paper") else "")),
        "address": address(str(card.get("paper") or "")),
        "count": str(count or ""),
    }
    ranked = "network reported" if line.kind == "reported" else "network"
    group = "person" if line.kind in ("human", "simulated") else "reference" if aside else ranked
    page = f"observers/{slug(line.observer)}.html" if known else ""
    return PageRow(name=line.observer, page=page, group=group, rank=rank, place=place, facts=facts, marks=marks)


def people_row(columns: Sequence[PageColumn], people: Sequence[PeopleScore | None]) -> PageRow | None:
    """What people have in each column, as the first row of a table; None where they have nothing."""
    called = dict.fromkeys(who.called for who in people if who)
    if not called:
        return None
    cells = zip(columns, people, strict=True)
    marks = [mark(who.cell if who else Cell(), column.axis) for column, who in cells]
    return PageRow(name=" and ".join(called), page="", group="people", rank="", place=0, facts={}, marks=marks)


def address(paper: str) -> str:
    """Where a card's paper is on the web: an address, an arXiv number or a DOI; "" where it says none."""
    matches = ((re.search(pattern, paper, re.IGNORECASE), to) for pattern, to in PAPERS.items())
    return next((to + match[1] for match, to in matches if match), "")


# --- the leaderboard: models by suites, one table per decision space


def leaderboard_page(site: Site, contents: Contents, figures: Mapping[str, Sequence[PlacedFigure]]) -> None:
    """index.html and the tables' numbers as CSV. figures: by suite, the overviews under ""."""
    tables, overviews = [], {figure.name: figure for figure in figures.get("", ())}
    for summary in contents.summaries:
        data, records = f"data/leaderboard-{slug(summary.space)}.csv", list(wide_records(summary_table(summary)))
        for record in records:
            known = contents.observers.get(record["observer"])
            record |= {"parameters": parameters(known), "family": family(known), "source": source(known)}
        site.table(data, records)
        tables.append(_summary_table(summary, contents, data, overviews.get(f"overview-{slug(summary.space)}")))
    facts = [row.facts for table in tables for row in table.rows]
    choices = {name: sorted({held[name] for held in facts if held[name]}) for name in FILTERS}
    site.page("index.html", "leaderboard.html", title="Leaderboard", tables=tables, choices=choices)


def verdict_of(summary: Summary, contents: Contents) -> str:
    """The leaderboard in one sentence: what people have, and the nearest network. Whether one reaches them is a test:
    `bench compare NAME people`."""
    at, count = likeness(contents, summary), len(summary.lines)
    if at is None:
        first = summary.lines[0].observer if summary.lines else "nobody"
        return f"Nobody to hold {count} networks against: no people here. First by mean rank: {first}."
    people, head = contents.people_at(summary, at), summary.headlines[at]
    lines = [line for line in summary.lines if line.cells[head.suite].value is not None]
    if people is None or people.cell.value is None or not lines:
        return ""
    goal = people.cell.value
    nearest = min(lines, key=lambda line: abs((line.cells[head.suite].value or 0.0) - goal))
    text = f"{head.title} of {people.called}: {estimate(*people.cell[:3])}"
    return f"{text}; nearest of {len(lines)} networks: {nearest.observer}, {estimate(*nearest.cells[head.suite][:3])}."


def places(summary: Summary) -> dict[str, str]:
    """Observer -> "1-4": below whoever is better by its mean of worst ranks than this one by that of its best ones."""
    ranked = [line for line in summary.lines if line.rank is not None]
    means = {line.observer: (line.rank_low or 0, line.rank_high or 0) for line in ranked}
    lows, highs = ([ends[at] for ends in means.values()] for at in (0, 1))
    return {
        name: rank_range(1 + sum(other < low for other in highs), len(means) - sum(other > high for other in lows))
        for name, (low, high) in means.items()
    }


def rank_range(best: float | None, worst: float | None) -> str:
    """ "1-4", "2", "" where there is no rank."""
    return "" if best is None else f"{best}" if best == worst else f"{best}\N{EN DASH}{worst}"


def _summary_table(summary: Summary, contents: Contents, data: str, figure: PlacedFigure | None) -> PageTable:
    lines = [*summary.lines, *(line for line in summary.references if line.kind != "group")]
    names = [line.observer for line in lines]
    columns, drawn, people = [], [], []
    for at, head in enumerate([*summary.headlines, *([summary.clean] if summary.clean else [])]):
        clean = at == len(summary.headlines)
        cells = [line.cells[CLEAN if clean else head.suite] for line in lines]
        if clean and len({cell.value for cell in cells if cell.value is not None}) < 2:
            continue  # equal in all: nothing to tell
        who = contents.people_at(summary, at)
        column, marks = column_of(
            "clean" if clean else slug(head.suite), head, cells, names, who,
            title="clean accuracy" if clean else head.suite, page=f"suites/{slug(head.suite)}.html", where=head.stimuli,
        )  # fmt: skip
        columns.append(column)
        drawn.append(marks)
        people.append(who)
    ranges = places(summary)
    rows = [
        row_of(line, contents, marks, ranges.get(line.observer, ""), at, aside=at > len(summary.lines))
        for at, (line, *marks) in enumerate(zip(lines, *drawn, strict=True), 1)
    ]
    shown = {
        name: len({row.facts[name] for row in rows if row.facts[name]}) for name in ("recipe", "parameters", "paper")
    }
    plain = [("recipe", shown["recipe"] > 0), ("parameters", shown["parameters"] > 1), ("paper", shown["paper"] > 0)]
    plain += [("family", False), ("kind", False), ("source", False)]
    first = people_row(columns, people)
    return PageTable(
        key=slug(summary.space),
        title=summary.space,
        columns=columns,
        rows=rows,
        people=first,
        plain=plain,
        data=data,
        figure=figure,
        verdict=verdict_of(summary, contents),
        lines=(RANKED, *summary.notes),
    )


# --- suites


def suite_pages(site: Site, contents: Contents, figures: Mapping[str, Sequence[PlacedFigure]]) -> None:
    """suites/NAME.html for every suite with scores: its main figure and largest board, other figures, other boards;
    reported.html, where anybody's published scores are in the leaderboard."""
    kept = None
    for suite in contents.suites:
        boards = [board for board in contents.boards if board.suite == suite.name]
        boards = [board for board in boards if board.rows] or boards
        gallery = next((figure for figure in suite.figures if figure.kind == "gallery"), None)
        if gallery and kept is None:
            kept = galleries(site, contents.observers)
        usual = [  # by decision space: the role of each usual set, and the set in words
            (space, [(role or "together", describe(digest, contents.sets)) for role, digest in roles.items()])
            for (name, space), roles in contents.usual.items()
            if name == suite.name
        ]
        more = {"galleries": kept if gallery else (), "gallery": gallery, "usual": usual}
        terms = [(m.title, m.definition) for m in suite.metrics if m.shown and m.definition]
        _suite_page(site, contents, suite, boards, figures.get(suite.name, ()), terms, **more)
    if contents.reported:
        drawn = [figure for part in figures.values() for figure in part if figure.name.startswith("reported-")]
        columns = [column for board in contents.reported for column in board.columns]
        terms = list(dict.fromkeys((column.title, column.definition) for column in columns))
        _suite_page(site, contents, REPORTED, contents.reported, drawn, terms, galleries=(), gallery=None, usual=())


def _suite_page(
    site: Site, contents: Contents, suite: Any, boards: Sequence[Board], figures: Sequence[PlacedFigure],
    terms: Sequence[tuple[str, str]], **more: Any,
) -> None:  # fmt: skip
    """suite: with a name and a summary."""
    path = "reported.html" if suite is REPORTED else f"suites/{slug(suite.name)}.html"
    tables = [_table(site, contents, board, at) for at, board in enumerate(boards, 1)]
    site.page(path, "suite.html", title=suite.name, suite=suite, tables=tables, figures=figures, terms=terms, **more)


def drawn_by_suite(site: Site, contents: Contents) -> dict[str, list[PlacedFigure]]:
    """Every figure but links and training runs, put into the report, by suite, in the order in which they come. What
    another figure shows as a panel is left to `bench plot`."""
    by_suite: dict[str, list[PlacedFigure]] = {}
    together: set[str] = set()
    for suite, figure in every_figure(contents):
        together.update(figure.panels)
        if suite not in (LINKS, TRAINING) and figure.name not in together:
            by_suite.setdefault(suite, []).append(put(site, figure))
    return by_suite


def _table(site: Site, contents: Contents, board: Board, at: int) -> PageTable:
    key = f"{slug(board.suite)}-{slug(board.space)}-{at}"
    data = f"data/board-{key}.csv"
    table = board_table(board)
    site.table(data, wide_records(table))
    rows = [*board.rows, *(row for row in board.references if row.kind != "group")]
    names = [row.observer for row in rows]
    people = [contents.people(board, column.metric) for column in board.columns]
    pairs = [
        column_of(slug(column.metric), column, [row.cells[column.metric] for row in rows], names, who, drawn=not place)
        for place, (column, who) in enumerate(zip(board.columns, people, strict=True))
    ]
    columns = [column for column, _ in pairs]
    drawn = [
        row_of(row, contents, marks, rank_range(*row[1:3]), at, aside=at > len(board.rows))
        for at, (row, *marks) in enumerate(zip(rows, *(marks for _, marks in pairs), strict=True), 1)
    ]
    lines = [*dict.fromkeys(board.sets.values()), table.intervals, *table.notes]
    first = people_row(columns, people)
    return PageTable(
        key=key,
        title=board.title,
        columns=columns,
        rows=drawn,
        people=first,
        plain=[("recipe", True)],
        data=data,
        lines=lines,
    )


# --- links between the suites


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
    recipes = contrast_table(compared, name)
    tables = [f"data/{table}-{slug(name)}.csv" for table in ("links", "contrasts")]
    for place, table in zip(tables, (pair_table(pairs, name), recipes), strict=True):
        site.table(place, table_records(table))
    drawn = [
        (link, put(site, link_scatter(contents, summary, link), inline=bool(link.question)) if link.observers else None)
        for link in by_question(pairs)
    ]
    return {"name": name, "pairs": drawn, "contrasts": compared, "recipes": html(recipes), "tables": tables}


def measures_page(site: Site, contents: Contents) -> None:
    """measures.html, where a suite has a measure of shape or texture: all of them side by side, and how they agree."""
    spaces = []
    for cue in contents.cue_measures:
        names = {row.observer for row in (*cue.summary.lines, *cue.summary.references)}
        pages = {name: f"observers/{slug(name)}.html" for name in names if name in contents.scores}
        tables = measure_tables(cue)
        for at, table in enumerate(tables):  # of the first a row for each observer: a seventh of the size
            records = table_records(table) if at else wide_records(table)
            site.table(f"data/measures-{slug(cue.summary.space)}-{at}.csv", records)
        spaces.append((cue.summary.space, [html(table, pages) for table in tables]))
    if spaces:
        site.page("measures.html", "measures.html", title="Which shape bias?", measured=spaces, caution=CAUTION)


# --- training runs


def training_page(site: Site, contents: Contents) -> None:
    """training.html, where there is a training run: every headline over its checkpoints."""
    drawn = [put(site, figure, inline=True) for figure in training(contents)]
    runs = []
    for (run, space), part in groupby(contents.curves, key=lambda curve: (curve.run, curve.space)):
        curves = list(part)
        names = {point.observer for curve in curves for point in curve.points}
        pages = {name: f"observers/{slug(name)}.html" for name in names}
        table = replace(checkpoint_table(curves), title="", caption="")
        runs.append((f"{run}, {space}", html(table, pages)))
    if drawn:
        site.page("training.html", "training.html", title="Training", figures=drawn, runs=runs)
