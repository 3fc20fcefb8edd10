"""Pages of tables: the leaderboard, one page for each suite, published scores, links between suites, training runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import ceil
from typing import Any

from benchmark.contracts import Direction, distrust_flags
from benchmark.display import counted
from benchmark.leaderboard.board_model import CLEAN, Board, Cell, Column
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.links import CAUTION, by_question, correlation_table, link_result, measure_tables
from benchmark.leaderboard.summary import Summary, millions, summary_table
from benchmark.leaderboard.table import Table, remarks, wide_records
from benchmark.leaderboard.table import records as table_records
from benchmark.leaderboard.training_curves import checkpoint_table
from benchmark.report.contents import Contents, PeopleScore, about, facts_of
from benchmark.report.drawing import round_ends
from benchmark.report.figures import PlacedFigure, correlation_text, link_scatter, put, training
from benchmark.report.image_pages import galleries
from benchmark.report.strips import strips_of
from benchmark.report.writing import Site, slug
from registry.user_errors import some_of

BETTER: dict[Direction, str] = {"higher": "higher is better", "lower": "lower is better", "none": "no better end"}
#: Columns of facts -> of how many different texts there must be more to show them unasked.
PLAIN = {"recipe": 0, "parameters": 1, "paper": 0, "family": 99_999, "kind": 99_999, "source": 99_999}
FILTERS = ("recipe", "family", "kind", "source")
NOBODY = "No network has a headline yet."
RANKED = "Rank: the places by mean rank that the suites' rank intervals do not rule out."
#: Shades of how near to people a number is; observers that a remark names.
SHADES, NAMED = 5, 4


def axis_of(cells: Iterable[Cell], column: Column, band: tuple[float, float] | None = None) -> dict[str, Any]:
    """Return the axis of a column's marks: the metric's bounds, or round numbers around 0 and its values; 1 for shares.
    band: both ends of people's interval; chance: the score of guessing."""
    ends = [v for c in cells for v in (c.value, c.low, c.high) if v is not None] + [*(band or ())]
    most = [1.0] if min(ends, default=0.0) >= 0 and 0.5 < max(ends, default=1.0) <= 1 else []
    low, high = column.bounds or round_ends([0.0, *ends, *most])
    return {"low": low, "high": high, "chance": column.chance, "band": band}


def page_column(
    column: Column, cells: Mapping[str, Cell], people: PeopleScore | None, *, drawn: bool = True, **more: Any
) -> dict[str, Any]:
    """Return a column of numbers as the template draws it."""
    who, band = people.cell if people else Cell(), None
    if who.value is not None:
        low, high = (who.value if end is None else end for end in (who.low, who.high))
        band = low, high
    noted: dict[str, list[str]] = {}
    for name, text in ((name, text) for name, cell in cells.items() for text in remarks(cell)):
        noted.setdefault(text, []).append(name)
    measured = sum(cell.value is not None and cell.source is not None for cell in cells.values())
    common = [text for text, names in noted.items() if len(names) == measured > 1]
    where = f" on {column.stimuli}" if column.stimuli else ""
    lines = [f"{column.title}{where}; {about(cells.values())}", *(f"every row: {text}" for text in common)]
    lines += [f"{people.called}: {people.how}"] if people else []
    apart = [(names, text) for text, names in noted.items() if text not in common]
    better, shown = BETTER[column.direction], [*cells.values()]
    # How near to people a number is: `SHADES` within their interval, 1 for the farthest.
    away = [max(band[0] - c.value, c.value - band[1], 0.0) if band and c.value is not None else None for c in shown]
    most = max(filter(None, away), default=1.0)
    nearness = [0 if distance is None else SHADES - ceil((SHADES - 1) * distance / most) for distance in away]
    return {
        "key": slug(column.metric),
        "title": column.title,
        "small": f"{column.title}, {better}" if more else better,
        "direction": column.direction,
        "axis": axis_of(shown, column, band) if drawn else None,
        "marks": [
            (cell, bool({*remarks(cell)} - {*common}), shade) for cell, shade in zip(shown, nearness, strict=True)
        ],
        "people": who,
        "about": "; ".join(lines),
        "remarks": [
            f"{some_of(names, NAMED)}{' (the CSV has all)' * (len(names) > NAMED)}: {text}" for names, text in apart
        ],
        "page": "",
    } | more


def page_table(
    table: Table, contents: Contents, people: Sequence[PeopleScore | None], ranks: Mapping[str, str],
    plain: Sequence[str], *, summary: bool = False, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return a table for the template. people: by column of numbers; ranks: by observer; plain: columns of facts."""
    at = {column.key: i for i, column in enumerate(table.fields) if column.key}
    lines: list[tuple[Any, ...]] = [row for row in table.rows if row[at["kind"]] != "group"]
    columns: list[dict[str, Any]] = []
    measured = [(i, field) for i, field in enumerate(table.fields) if field.measure]
    for (i, field), who in zip(measured, people, strict=True):
        column, clean = field.measure, summary and field.title == CLEAN
        cells: dict[str, Cell] = {str(row[at["observer"]]): row[i] for row in lines}
        if column is None or (clean and len({c.value for c in cells.values() if c.value is not None}) < 2):
            continue  # equal for all observers
        title, key = ("clean accuracy", "clean") if clean else (column.suite, slug(column.suite))
        own = {"key": key, "title": title, "page": f"suites/{slug(column.suite)}.html"} if summary else {}
        columns.append(page_column(column, cells, who, drawn=summary or not columns, **own))
    named = ({key: row[i] for key, i in at.items()} for row in lines)
    rows = [page_row(row, contents, ranks) | {"place": place} for place, row in enumerate(named, 1)]
    texts = {name: len({row["facts"][name] for row in rows} - {""}) for name in plain}
    shown = [(name, len(plain) == 1 or texts[name] > PLAIN[name]) for name in plain]
    called = " and ".join(dict.fromkeys(who.called for who in people if who))
    return {"columns": columns, "rows": rows, "people": called, "plain": shown, **more}


def page_row(row: Mapping[str, Any], contents: Contents, ranks: Mapping[str, str]) -> dict[str, Any]:
    """Return an observer's row as the template draws it, without its numbers. Reported scores have hollow dots."""
    name, kind = row["observer"], row["kind"]
    known = contents.observers.get(name)
    group = "person" if kind in ("human", "simulated") else "network reported" if kind == "reported" else "network"
    group = "reference" if row["section"] == "reference" and group != "person" else group
    card, about_it = known.card if known else {}, facts_of(known)
    paper, count = str(card.get("paper") or ""), about_it["parameters"]
    facts = about_it | {
        "recipe": ", ".join(row["training"]),
        "kind": kind,
        "parameters": millions(count),
        "paper": str(card.get("year") or ("paper" if paper else "")),
        "count": str(count or ""),
        "cited": paper,
    }
    page, own, rank = f"observers/{slug(name)}.html" if known else "", name in contents.own, ranks.get(name, "")
    return {"name": name, "page": page, "group": group, "own": own, "rank": rank, "facts": facts}


def leaderboard_page(site: Site, contents: Contents) -> None:
    """Write index.html and the tables' numbers as CSV."""
    tables = []
    for summary in contents.summaries:
        data, table = f"data/leaderboard-{slug(summary.space)}.csv", summary_table(summary)
        site.table(data, (row | facts_of(contents.observers.get(row["observer"])) for row in wide_records(table)))
        strips = list(strips_of(contents, summary, contents.labelled))
        # of the first headline in which people have a value, or the first one
        first = next((one.sentence for one in sorted(strips, key=lambda one: not one.people)), NOBODY)
        who = [contents.people_at(summary, i) for i in range(len(summary.headlines) + bool(summary.clean))]
        cells = {line.observer: [*line.cells.values()] for line in summary.lines}
        doubtful = [name for name, own in cells.items() if any(distrust_flags(cell.flags) for cell in own)]
        tables.append(page_table(
            table, contents, who, places(summary), tuple(PLAIN), summary=True, key=slug(summary.space),
            title=summary.space, data=data, figure=f"overview-{slug(summary.space)}" if strips else "", strips=strips,
            headline=first, lines=(RANKED, *summary.notes), networks=counted(len(cells), "network"),
            spread=about(cell for own in cells.values() for cell in own), doubtful=some_of(doubtful, NAMED),
            told=dict.fromkeys(f"{one.called}: {one.how}" for one in who if one),
        ))  # fmt: skip
    facts = [row["facts"] for table in tables for row in table["rows"]]
    choices = {name: sorted({held[name] for held in facts if held[name]}) for name in FILTERS}
    said = tables[0]["headline"] if tables else "Published scores"
    site.page("index.html", "leaderboard.html", title="Leaderboard", about=said, tables=tables, choices=choices)


def places(summary: Summary) -> dict[str, str]:
    """Return observer -> "1-4". Another one is above if its mean of worst ranks beats this one's mean of best ranks."""
    ranked = [line for line in summary.lines if line.rank is not None]
    means = {line.observer: (line.rank_low or 0, line.rank_high or 0) for line in ranked}
    lows, highs = ([ends[at] for ends in means.values()] for at in (0, 1))
    return {
        name: rank_range(1 + sum(other < low for other in highs), len(means) - sum(other > high for other in lows))
        for name, (low, high) in means.items()
    }


def rank_range(best: float | None, worst: float | None) -> str:
    """Return "1-4", "2", "" without a rank."""
    return "" if best is None else f"{best}" if best == worst else f"{best}\N{EN DASH}{worst}"


def suite_pages(site: Site, contents: Contents, figures: Mapping[str, Sequence[PlacedFigure]]) -> None:
    """Write suites/NAME.html for every suite with scores, and reported.html if there are published scores."""
    for suite in contents.suites:
        boards = [board for board in contents.boards if board.suite == suite.name]
        gallery = next((figure for figure in suite.figures if figure.kind == "gallery"), None)
        site.page(
            f"suites/{slug(suite.name)}.html", "suite.html", title=suite.name, summary=suite.summary,
            tables=_board_tables(site, contents, [board for board in boards if board.rows] or boards),
            figures=figures.get(suite.name, ()),
            terms=[(m.title, m.definition) for m in suite.metrics if m.shown and m.definition],
            galleries=galleries(site, contents.observers) if gallery else (), gallery=gallery,
        )  # fmt: skip
    if contents.reported:
        columns = [column for board in contents.reported for column in board.columns]
        site.page(
            "reported.html", "suite.html", title="Reported scores",
            summary="Publishers report these scores without trials: ordered, not ranked, and in no paired test.",
            tables=_board_tables(site, contents, contents.reported),
            figures=[one for part in figures.values() for one in part if one.figure.name.startswith("reported-")],
            terms=list(dict.fromkeys((column.title, column.definition) for column in columns)),
            galleries=(), gallery=None,
        )  # fmt: skip


def _board_tables(site: Site, contents: Contents, boards: Sequence[Board]) -> list[dict[str, Any]]:
    tables = []
    for i, board in enumerate(boards, 1):
        key = f"{slug(board.suite)}-{slug(board.space)}-{i}"
        data, table = f"data/board-{key}.csv", board_table(board)
        site.table(data, wide_records(table))
        people = [contents.people(board, column.metric) for column in board.columns]
        ranks = {row.observer: rank_range(row.rank_low, row.rank_high) for row in (*board.rows, *board.references)}
        lines = [*dict.fromkeys(board.sets.values()), table.intervals, *table.notes]
        tables.append(
            page_table(table, contents, people, ranks, ("recipe",), key=key, title=board.title, data=data, lines=lines)
        )
    return tables


def links_page(site: Site, contents: Contents, recipes: Mapping[str, Table]) -> None:
    """Write links.html, if two headlines share an observer; questions of the suites come first. recipes: by space."""
    shown = []
    for summary in (summary for summary in contents.linked if contents.links[summary.space]):
        name, pairs, beside = summary.space, contents.links[summary.space], recipes.get(summary.space)
        tables = [f"data/{table}-{slug(name)}.csv" for table in ("links", "recipes")]
        for place, table in zip(tables, (correlation_table(pairs, name), beside or Table()), strict=True):
            site.table(place, table_records(table))
        scatters = (
            (link, link_scatter(contents, summary, link) if link.observers else None) for link in by_question(pairs)
        )
        drawn = [(link, one and put(site, one, inline=bool(link.question))) for link, one in scatters]
        shown.append({"name": name, "pairs": drawn, "recipes": beside and html(beside), "tables": tables})
    if shown:
        words = {"caution": CAUTION, "verdict": link_result, "told": correlation_text}
        site.page("links.html", "links.html", title="Links", spaces_=shown, **words)


def measures_page(site: Site, contents: Contents) -> None:
    """Write measures.html, if a suite has a measure of shape or texture: the measures side by side, their agreement."""
    spaces = []
    for cue in contents.cue_measures:
        names = {row.observer for row in (*cue.summary.lines, *cue.summary.references)}
        pages = {name: f"observers/{slug(name)}.html" for name in names if name in contents.scores}
        tables = [*measure_tables([cue])]
        for at, table in enumerate(tables):  # of the first a row for each observer: a seventh of the size
            records = table_records(table) if at else wide_records(table)
            site.table(f"data/measures-{slug(cue.summary.space)}-{at}.csv", records)
        spaces.append((cue.summary.space, [html(table, pages) for table in tables]))
    if spaces:
        site.page("measures.html", "measures.html", title="Which shape bias?", measured=spaces, caution=CAUTION)


def training_page(site: Site, contents: Contents) -> None:
    """Write training.html, if there is a training run: every headline over its checkpoints."""
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
