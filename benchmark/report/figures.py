"""All figures of a leaderboard: the overview, what each suite declares, links, training runs, published scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmark.errors import unknown_name
from benchmark.leaderboard.comparison import better
from benchmark.leaderboard.links import Link, verdict
from benchmark.leaderboard.model import REPORTED, Board
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import records as table_records
from benchmark.leaderboard.training_curves import TrainingCurve, checkpoint_table, shared_steps
from benchmark.report import drawing
from benchmark.report.contents import Contents, about
from benchmark.report.drawing import NAMED, Figure
from benchmark.report.suite_figures import (
    IMPORTED,
    MOST,
    VALUES,
    agreement,
    featured,
    group_of,
    legend,
    of_suite,
    row_records,
    some_of,
)
from benchmark.report.writing import Site, short, slug

if TYPE_CHECKING:
    from benchmark.stats.comparisons import Compared
    from benchmark.stats.correlations import Correlation

#: What stands for a suite where a figure is about two, or about training runs.
LINKS, TRAINING = "links", "training"
#: Of published scores: metrics side by side, measured networks beside them, remarks in the caption.
REPORTED_PANELS, MEASURED, REMARKS = 4, 20, 4
_SOURCE = re.compile(r" \([^()]*, reported\)$")


@dataclass(frozen=True)
class PlacedFigure:
    """A figure as a page shows it; width, height: pixels; data: its numbers as CSV; inline: the drawing itself."""

    name: str
    title: str
    caption: str
    width: int
    height: int
    data: str
    inline: str = ""


def put(site: Site, figure: Figure, *, inline: bool = False, data: str = "") -> PlacedFigure:
    """figures/NAME.svg and data/NAME.csv. inline: in the page, too, where the names of marks show under the pointer;
    data: a table that is there already and has the figure's numbers."""
    file, element, width, height = drawing.svg(figure)
    site.file(f"figures/{figure.name}.svg", file)
    if not data:
        data = f"data/{figure.name}.csv"
        site.table(data, figure.records, figure.names)
    within = element if inline else ""
    return PlacedFigure(figure.name, figure.title, figure.caption, width, height, data, within)


def every_figure(contents: Contents) -> Iterator[tuple[str, Figure]]:
    """(suite, "" for the leaderboard, `LINKS`, `TRAINING`; figure) for all that there is data for."""
    for summary in contents.summaries:
        yield "", overview(summary)
    suites = {suite.name: suite for suite in contents.suites}
    largest: dict[tuple[str, str], Board] = {}
    for board in contents.boards:
        largest.setdefault((board.suite, board.space), board)
    for (name, _), board in largest.items():
        for figure in of_suite(contents, board, suites[name]):
            variant = ":" in name
            yield name, replace(figure, name=f"{figure.name}-{slug(name)}") if variant else figure
    for board in contents.reported:
        yield board.suite, reported(board, contents.boards)
    for space, links in contents.links.items():
        for link in links:
            if link.observers:
                yield LINKS, link_scatter(link, space)
    for figure in training(contents.curves):
        yield TRAINING, figure
    for suite in contents.suites:
        for declared in suite.figures:
            if declared.kind == "agreement":
                for figure in agreement(declared, contents.answers):
                    yield suite.name, figure


def find_figure(contents: Contents, name: str) -> Figure:
    """The figure of that name; UnknownName with close ones."""
    known = {figure.name: figure for _, figure in every_figure(contents)}
    if name not in known:
        raise unknown_name("figure", name, known, "`bench plot` without a name lists them.")
    return known[name]


def overview(summary: Summary) -> Figure:
    """The leaderboard: networks in the table's order, then people as a group, ideal observers and references."""
    aside = [line for line in summary.references if line.kind not in ("human", "chance")]
    few = aside[: MOST // 3]
    lines = [*summary.lines[:MOST], *few]
    titles = [f"{head.column.title} ({head.suite})" for head in summary.headlines]
    records = [
        {"observer": line.observer, "group": group_of(line.kind), "suite": head.suite, "metric": title,
         "value": cell.value, "low": cell.low, "high": cell.high, "n": cell.n}
        for line in lines
        for head, title, cell in zip(summary.headlines, titles, line.cells, strict=True)
        if cell.value is not None
    ]  # fmt: skip
    captions = (
        f"{head.suite}: {head.column.title}, {head.stimuli}; {about(line.cells[at] for line in summary.lines)}"
        for at, head in enumerate(summary.headlines)
    )
    chances = [head.column.chance for head in summary.headlines]
    imported = IMPORTED if any(line.kind == REPORTED for line in lines) else ""
    return Figure(
        f"overview-{slug(summary.space)}",
        f"Models by suites, {summary.space}",
        f"{legend([head.column for head in summary.headlines])} {'. '.join(captions)}.{imported}"
        + some_of(len(summary.lines), min(MOST, len(summary.lines)), "networks")
        + some_of(len(aside), len(few), "reference rows"),
        drawing.dots(records, [line.observer for line in lines], list(zip(titles, chances, strict=True))),
        records,
        ("observer", "group", "suite", "metric", *VALUES),
    )


def reported(board: Board, measured: Sequence[Board]) -> Figure:
    """Published scores as marks of another kind, beside what a suite measures; in no test and in no rank."""
    columns = board.columns[:REPORTED_PANELS]
    shown = set(featured([row.observer for row in board.rows], MOST))
    rows = [row for row in board.rows if row.observer in shown]
    # networks with a number of the very metric that a publisher reports, from the suite's largest board
    largest = next((other for other in measured if other.suite == board.suite), None)
    known = {column.metric for column in largest.columns} if largest else set()
    same = [column for column in columns if column.metric in known]
    own = largest.rows[:MEASURED] if largest and same else ()
    if not own:  # the title says whose they are, and no other of that name is shown
        rows = [row._replace(observer=_SOURCE.sub("", row.observer)) for row in rows]
    records = [record for row in rows for record in row_records(row, columns)]
    records += [record for row in own for record in row_records(row, same)]
    by_size: dict[str, list[str]] = {}
    for column in columns:
        size = about(row.cells[column.metric] for row in rows) or "n not stated"
        by_size.setdefault(size, []).append(column.title)
    counts = (f"{', '.join(t)}: {n}" if len(by_size) > 1 else n for n, t in by_size.items())
    flags = list(dict.fromkeys(f for row in rows for column in columns for f in row.cells[column.metric].flags))
    more = [f"{len(flags) - REMARKS} more remarks are in the table"] if len(flags) > REMARKS else []
    few = some_of(len(board.rows), len(rows), "observers", "evenly spaced over the order")
    beside = f" Beside them {len(own)} networks that were measured here." if own else ""
    return Figure(
        f"reported-{slug(board.title)}",
        f"{board.title[:1].upper()}{board.title[1:]}",
        f"Diamonds: {'; '.join((*board.notes, *flags[:REMARKS], *more))}. {'; '.join(counts)}.{few}"
        f"{some_of(len(board.columns), len(columns), 'columns; the CSV of the table has all')}{beside}",
        drawing.dots(records, [row.observer for row in (*rows, *own)], [(column.title, None) for column in columns]),
        records,
        ("observer", "group", "metric", *VALUES),
    )


def link_scatter(link: Link, space: str) -> Figure:
    """Two headlines against each other. The observers' names are in the marks' labels."""
    records: list[dict[str, Any]] = [
        {"observer": network.name, "family": network.lineage.family, "recipe": network.lineage.recipe, "x": x, "y": y}
        for network, x, y in zip(link.observers, link.xs, link.ys, strict=True)
    ]  # fmt: skip
    records.sort(key=lambda record: (record["family"], record["observer"]))
    apart = bool(link.observers) and all(observer.kind == REPORTED for observer in link.observers)
    many = len({record["family"] for record in records}) > NAMED
    partial = f"; given clean accuracy {correlation_text(link.partial)}" if link.partial else ""
    return Figure(
        f"link-{slug(link.x.name)}-{slug(link.y.name)}-{slug(space)}",
        f"{link.x.title} and {link.y.title}",
        f"{f'Scores {space}, not measured here. ' if apart else ''}A point for each network, {link.spearman.n} in "
        f"{link.spearman.families} families: {verdict(link)}. Spearman {correlation_text(link.spearman)}; Pearson "
        f"{correlation_text(link.pearson)}{partial}. 95 % intervals are over families."
        f"{' Families are in the CSV: too many for a legend.' if many else ''}",
        drawing.scatter(records, (link.x.title, link.y.title), filled=not apart),
        records,
        ("observer", "family", "recipe", "x", "y"),
    )


def correlation_text(correlation: Correlation) -> str:
    """ ".80 [.21, .97]", or why there is no number."""
    if correlation.value is None:
        return correlation.reason
    if correlation.low is None or correlation.high is None:
        return short(correlation.value)
    return f"{short(correlation.value)} [{short(correlation.low)}, {short(correlation.high)}]"


def training(curves: Sequence[TrainingCurve]) -> Iterator[Figure]:
    """Headlines over training, a figure for each decision space; the first is called "training"."""
    spaces: dict[str, list[TrainingCurve]] = {}
    for curve in curves:
        spaces.setdefault(curve.space, []).append(curve)
    for at, (space, inside) in enumerate(spaces.items()):
        yield over_training(inside, space, f"{TRAINING}-{slug(space)}" if at else TRAINING)


def over_training(curves: Sequence[TrainingCurve], space: str, name: str = TRAINING) -> Figure:
    """The runs of one decision space: a panel for each headline, a line for each run. Runs share a panel where they
    share the stimuli and count alike (steps or epochs)."""
    records = [record for curve in curves for record in table_records(checkpoint_table([curve]))]
    runs = list(dict.fromkeys(curve.run for curve in curves))
    shared = {(curve.title, curve.stimuli, curve.unit): curve for curve in curves}
    titles = Counter(curve.title for curve in shared.values())
    steps: dict[str, list[int]] = {}
    for record in records:
        steps.setdefault(record["unit"], []).append(int(record["step"]))
    numbers = {key: at for at, key in enumerate(shared)}
    values = [{**r, "panel": numbers[r["title"], r["set"], r["unit"]]} for r in records]
    panels = [
        drawing.training_panel(
            at,
            {"text": curve.title, "subtitle": curve.stimuli} if titles[curve.title] > 1 else curve.title,
            curve.unit,
            (min(steps[curve.unit]), max(steps[curve.unit])),
            runs,
            curve.column.chance,
        )
        for at, curve in enumerate(shared.values())
    ]
    stimuli = "; ".join(dict.fromkeys(f"{curve.title}: {curve.stimuli}" for curve in shared.values()))
    notes = "".join(f" {line}." for line in shared_steps(curves))
    return Figure(
        name,
        f"Over training, {space}",
        f"A dot for each checkpoint of {', '.join(runs)}; band: 95 % interval of each checkpoint by itself; dashed: "
        f"chance. {stimuli}.{notes}",
        {"data": {"values": values}, "columns": 2, "concat": panels},
        records,
        ("run", "space", "suite", "metric", "title", "unit", "step", "observer", *VALUES, "set"),
    )


def forest(compared: Compared) -> Figure | None:
    """The difference of two observers in every headline, with intervals; None where no headline could be compared."""
    records = [
        {"suite": row.suite, "metric": row.title, "label": f"{row.title} ({row.suite})", "a": test.a, "b": test.b,
         "difference": test.difference, "low": test.low, "high": test.high, "level": test.level, "p_holm": test.p_holm,
         "verdict": better(row), "n": test.n, "method": test.method}
        for row in compared.headlines
        if (test := row.comparison).difference is not None
    ]  # fmt: skip
    if not records:
        return None
    counts = ", ".join(f"{record['n']} ({record['suite']})" for record in records)
    levels = sorted({100 * float(str(record["level"])) for record in records})
    at = " to ".join(dict.fromkeys(f"{level:.4g}" for level in (levels[0], levels[-1])))
    return Figure(
        "forest-" + slug(f"{compared.a} {compared.b}"),
        f"{compared.a} (A) minus {compared.b} (B)",
        "Difference of each suite's headline on the stimuli that both answered, paired; bar: interval at the level at "
        f"which Holm's procedure tests it ({at} %), so that it leaves out 0 exactly where p is below .05. "
        f"n: {counts}. To the right A is higher.",
        drawing.forest(records, "label", "difference", "A - B (share)"),
        records,
        [name for name in records[0] if name != "label"],
    )
