"""All figures of a leaderboard: overview, figures declared by suites, links, training runs, published scores."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Annotated, Any, NamedTuple

from benchmark.api.leaderboards import COMMA
from benchmark.api.options import Db, Names, Option, joined
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard.board_model import REPORTED, Board
from benchmark.leaderboard.citations import short_citations, works_of
from benchmark.leaderboard.comparison import better
from benchmark.leaderboard.links import Link, link_result, observed_networks
from benchmark.leaderboard.recipe_effects import doses_of
from benchmark.leaderboard.summary import Summary
from benchmark.leaderboard.table import records as table_records
from benchmark.leaderboard.table import short_interval
from benchmark.leaderboard.training_curves import TrainingCurve, checkpoint_table
from benchmark.report import drawing
from benchmark.report.contents import Contents, PeopleScore, about, featured, read_contents
from benchmark.report.drawing import NAMED, Figure, Records, Spec, chart, look
from benchmark.report.strips import levelled, strips_of
from benchmark.report.suite_figures import MOST, VALUES, agreement_figures, of_suite, row_records, share_shown
from benchmark.report.writing import Site, slug
from benchmark.stats.comparisons import Compared
from benchmark.stats.rankings import Correlation
from benchmark.variables import read_settings
from registry.user_errors import some_of

#: What stands for a suite where a figure is about two, or about training runs.
LINKS, TRAINING = "links", "training"
#: Of published scores: metrics side by side, remarks in the caption.
REPORTED_PANELS, REMARKS = 4, 4
#: Columns of the training figures' CSV.
TRAINING_FIELDS = ("run", "space", "suite", "metric", "title", "unit", "step", "observer", *VALUES, "set")
_SOURCE = re.compile(r" \([^()]*, reported\)$")


class PlacedFigure(NamedTuple):
    """A figure in the report: figures/NAME.svg, figures/NAME-narrow.svg and data/NAME.csv."""

    figure: Figure
    wide: tuple[int, int]  # px
    narrow: tuple[int, int]  # px
    inline: str  # the wide drawing as an element of the page, or ""


def put(site: Site, figure: Figure, *, inline: bool = False) -> PlacedFigure:
    """Write the files of a figure. inline: also in the page, with the names of marks under the pointer."""
    sizes, element = [], ""
    for width, ending in (("single", "-narrow"), ("half" if figure.half else "page", "")):
        drawn = drawing.svg(figure, drawing.WIDTHS[width], named=inline)
        file, element, size = drawing.for_page(drawn)
        site.file(f"figures/{figure.name}{ending}.svg", file)
        sizes.append(size)
    site.table(f"data/{figure.name}.csv", figure.records)
    return PlacedFigure(figure=figure, narrow=sizes[0], wide=sizes[1], inline=element if inline else "")


def every_figure(contents: Contents) -> Iterator[tuple[str, Figure]]:
    """Yield (suite, "", `LINKS` or `TRAINING`; figure) for all that has data; captions end in the publications."""
    works = [(board, works_of([board], contents.observers, contents.suites)) for board in contents.boards]
    theirs = [(b.title.partition(", ")[2], works_of([b], contents.observers, ())) for b in contents.reported]
    found = [("", one) for summary in contents.summaries if (one := overview(contents, summary))]
    suites = {suite.name: suite for suite in contents.suites}
    largest: dict[tuple[str, str], Board] = {}
    for board in contents.boards:
        largest.setdefault((board.suite, board.space), board)
    for (name, _), board in largest.items():
        drawn = of_suite(contents, board, suites[name])
        found += [(name, replace(one, name=f"{one.name}-{slug(name)}") if ":" in name else one) for one in drawn]
    found += [(board.suite, reported_figure(board)) for board in contents.reported]
    for summary in contents.linked:
        known = (link for link in contents.links[summary.space] if link.observers)
        found += [(LINKS, link_scatter(contents, summary, link)) for link in known]
    found += [(LINKS, one) for summary in contents.summaries for one in dose_figures(contents, summary)]
    found += [(TRAINING, one) for one in training(contents)]
    for suite in contents.suites:
        for declared in (declared for declared in suite.figures if declared.kind == "agreement"):
            found += [(suite.name, one) for one in agreement_figures(declared, contents.answers, contents.own)]
    for name, figure in found:
        of_them = [held for source, held in theirs if source.replace(" ", "-") in figure.name]
        ours = [
            held for board, held in works if name in ("", TRAINING, board.suite) or slug(board.suite) in figure.name
        ]
        sources = short_citations({text: rests for held in of_them or ours for text, rests in held.items()})
        yield name, replace(figure, caption=f"{figure.caption.rstrip('.')}.{f' Sources: {sources}.' * bool(sources)}")


def plot(
    figure: Annotated[str | None, Option("Draw this figure. Without a name, the figures are listed.")] = None,
    *,
    models: Annotated[Names | None, Option("Draw only these models.", "--models", "-m", metavar="NAME,...")] = None,
    db: Db = None,
) -> list[Figure]:
    """Draw one figure, or without a name all of a leaderboard.

    People and other reference rows are drawn beside the chosen networks. The caption names those that are not drawn."""
    every = read_contents(read_settings(db))
    contents = every.only(COMMA.split(joined(models))) if models else every
    found = [(suite, known) for suite, known in every_figure(contents) if figure in (None, known.name)]
    if figure and not found:
        names = {known.name for _, known in every_figure(every)}
        if figure not in names:
            raise unknown_name("figure", figure, names, "`bench plot` without a name lists them.")
        who = some_of(sorted(contents.own), 3)
        raise BenchError(f"'{figure}' has no number of {who}: leave out -m, or choose others.")
    if not models:
        return [known for _, known in found]
    usual, shown = ({(board.suite, board.space): board for board in reversed(c.boards)} for c in (every, contents))
    drawn = []
    for suite, known in found:  # captions say which networks are missing, and whose stimuli differ from all networks'
        inside = {record.get(name) for record in known.records for name in ("observer", "a", "b")}
        absent = sorted(contents.own - inside)
        notes = [
            f"Of all networks: {'; '.join(usual[place].sets.values())}."
            for place, board in shown.items()
            if place[0] == suite and slug(place[1]) in known.name and board.digests != usual[place].digests
        ]
        notes += [f"Not drawn: {some_of(absent, 3)}."] if absent else []
        drawn.append(replace(known, caption=" ".join([known.caption, *notes])))
    return drawn


def overview(contents: Contents, summary: Summary) -> Figure | None:
    """Return the leaderboard in one figure, or None without a value. Each headline is a row, from chance to people or
    the best possible value. Networks are dots, people a band, and own networks are named."""
    strips = list(strips_of(contents, summary, contents.labelled))
    suites, dots = [one.head.suite for one in strips], [(one.head, dot) for one in strips for dot in one.dots]
    records = [
        {"suite": head.suite, "headline": head.title, "observer": dot.line.observer, "own": dot.own, "place": dot.at}
        | {"reference": dot.reference, **dict(zip(VALUES, dot.cell[:4], strict=True))}
        for head, dot in dots
    ]
    bands = [{"suite": one.head.suite, "low": one.band[0], "high": one.band[1]} for one in strips if one.band]
    chances = [{"suite": one.head.suite, "place": one.chance} for one in strips if one.chance is not None]
    goals = [{"suite": one.head.suite, "place": 1, "observer": one.goal} for one in strips]

    def drawn(width: int) -> Spec:
        left = min(260, width // 3)
        labels = [
            {"suite": suite, "start": dot.start, "place": dot.at, "observer": dot.name, "level": dot.level}
            for suite, one in zip(suites, strips, strict=True)
            for dot in levelled(one.dots, drawing.LETTER / (width - left - 20))
            if dot.own
        ]
        step = 40 + drawing.TEXT * (1 + max((int(str(label["level"])) for label in labels), default=0))
        return chart(
            "overview", records=records, width=width - left - 20, step=step, suites=suites, left=left, labels=labels,
            bands=bands, chances=chances, goals=goals,
        )  # fmt: skip

    numbers = (about(dot.cell for dot in one.dots if not dot.reference) for one in strips)
    told = (
        filter(None, (f"{one.head.title} ({one.head.suite}): {one.head.stimuli}", sizes, one.told))
        for one, sizes in zip(strips, numbers, strict=True)
    )
    spread = "; ".join(map(", ".join, told))
    caption = "A dot for each network, better to the right, with people or the best possible value at the right end"
    caption += f"{'; tick: chance' * bool(chances)}{'; band: people' * bool(bands)}. {spread}."
    name, title = f"overview-{slug(summary.space)}", f"All headlines, {summary.space}"
    return Figure(name=name, title=title, caption=caption, drawn=drawn, records=records) if records else None


def reported_figure(board: Board) -> Figure:
    """Return published scores as marks of another kind; they are not tested or ranked."""
    columns = board.columns[:REPORTED_PANELS]
    shown = set(featured([row.observer for row in board.rows], MOST))
    rows = [row for row in board.rows if row.observer in shown]
    rows = [row._replace(observer=_SOURCE.sub("", row.observer)) for row in rows]  # the title says whose they are
    records = row_records(rows, columns)
    sizes = about(row.cells[column.metric] for row in rows for column in columns) or "n not stated"
    flags = list(dict.fromkeys(f for row in rows for column in columns for f in row.cells[column.metric].flags))
    few = share_shown(len(board.rows), len(rows), "observers", "evenly spaced over the order")
    order, panels = [row.observer for row in rows], [(column.title, None) for column in columns]
    return Figure(
        name=f"reported-{slug(board.title)}",
        title=f"{board.title[:1].upper()}{board.title[1:]}",
        caption=f"Diamonds: {'; '.join((*board.notes, *flags[:REMARKS]))}. {sizes}.{few}"
        f"{share_shown(len(board.columns), len(columns), 'columns; the CSV of the table has all')}",
        drawn=lambda width: drawing.dot_panels(records, order, panels, width=width),
        records=records,
    )


def link_scatter(contents: Contents, summary: Summary, link: Link) -> Figure:
    """Return two headlines against each other, with what people have in them. Marks' labels have observers' names."""
    records: list[dict[str, Any]] = [
        {"observer": one.name, "family": one.lineage.family, "recipe": one.lineage.recipe, "x": x, "y": y}
        for one, x, y in zip(link.observers, link.xs, link.ys, strict=True)
    ]
    records.sort(key=lambda record: (record["family"], record["observer"]))
    apart = all(observer.kind == REPORTED for observer in link.observers)
    families = list(dict.fromkeys(record["family"] for record in records))
    many = len(families) > NAMED
    partial_ = f"; given clean accuracy {correlation_text(link.partial)}" if link.partial else ""
    places = {head.suite: i for i, head in enumerate(summary.headlines)}
    at = [places.get(end.suite) for end in (link.x, link.y)]
    people = [None if i is None or apart else contents.people_at(summary, i) for i in at]
    heads = [summary.headlines[i] for i in at if i is not None]
    stimuli = "".join(f" {head.title}: {head.stimuli}." for head in heads if head.stimuli)

    def drawn(width: int) -> Spec:
        titles, looks = (link.x.title, link.y.title), look("family", families, 0 if many else width)
        return drawing.scatter(records, titles, looks, people, filled=not apart, width=width, named=contents.labelled)

    return Figure(
        name=f"link-{slug(link.x.suite)}-{slug(link.y.suite)}-{slug(summary.space)}",
        title=f"{link.x.title} and {link.y.title}",
        caption=f"{f'Scores {summary.space}, not measured here. ' if apart else ''}A point for each network, "
        f"{link.spearman.n} in {link.spearman.families} families: {link_result(link)}. Spearman "
        f"{correlation_text(link.spearman)}; Pearson {correlation_text(link.pearson)}{partial_}. 95 % intervals are "
        f"over families.{stimuli}{' Line and band: people.' if any(people) else ''}"
        f"{' Families are in the CSV: too many for a legend.' if many else ''}",
        drawn=drawn,
        records=records,
        half=True,
    )


def dose_figures(contents: Contents, summary: Summary) -> Iterator[Figure]:
    """Yield each headline against each number on recipes: a point for each network, a line for each recipe."""

    def drawn(records: Records, titles: tuple[str, str], lines: Sequence[str], width: int) -> Spec:
        return drawing.scatter(records, titles, look("recipe", lines, width), width=width, joined=True)

    networks, rows = observed_networks(summary, contents.cards), {row.observer: row for row in summary.lines}
    for head, (dose, levels) in product(summary.headlines, doses_of(networks).items()):
        records: list[dict[str, Any]] = []
        for at, level in levels.items():
            own, cell = networks[at], rows[networks[at].name].cells[head.suite]
            if head.suite in own.values:
                ends = {"y": cell.value, "y_low": cell.low, "y_high": cell.high}
                records.append({"observer": own.name, "recipe": f"{own.lineage.line}, {dose}", "x": level, **ends})
        lines = list(dict.fromkeys(record["recipe"] for record in records))
        if len({record["x"] for record in records}) > 1:
            yield Figure(
                name=f"dose-{slug(dose)}-{slug(head.suite)}-{slug(summary.space)}",
                title=f"{head.title} by {dose}",
                caption="A point for each network, with its interval over images; a line for each recipe and line of "
                "architectures, through the means. `bench compare doses` has slopes over networks.",
                drawn=partial(drawn, records, (dose, head.title), lines),
                records=records,
                half=True,
            )


def correlation_text(correlation: Correlation) -> str:
    """Return ".80 [.21, .97]", or the reason of a missing number."""
    shown = short_interval(correlation.value, correlation.low, correlation.high)
    return correlation.reason if correlation.value is None else shown


def training(contents: Contents, run: str = "") -> Iterator[Figure]:
    """Yield headlines over training, a figure for each label space; the first is called "training". run: only this."""
    spaces: dict[str, list[TrainingCurve]] = {}
    for curve in contents.curves:
        if run in ("", curve.run):
            spaces.setdefault(curve.space, []).append(curve)
    for i, (space, inside) in enumerate(spaces.items()):
        summary = next(summary for summary in contents.summaries if summary.space == space)
        known = ((head.suite, contents.people_at(summary, place)) for place, head in enumerate(summary.headlines))
        people = {suite: who for suite, who in known if who}
        name = f"{TRAINING}-{slug(space)}" if i else TRAINING
        yield over_training(inside, space, f"{name}-{slug(run)}" if run else name, people)


def over_training(
    curves: Sequence[TrainingCurve], space: str, name: str = TRAINING, people: Mapping[str, PeopleScore] | None = None
) -> Figure:
    """Return the runs of one label space: a panel for each headline, a line for each run."""
    rows = (record for curve in curves for record in table_records(checkpoint_table([curve])))
    records = [{key: row[key] for key in TRAINING_FIELDS} for row in rows]
    runs = list(dict.fromkeys(curve.run for curve in curves))
    shared = {(curve.title, curve.column.stimuli, curve.unit): curve for curve in curves}
    titles = Counter(curve.title for curve in shared.values())

    def panel(place: tuple[str, str, str], width: int) -> Spec:
        curve, unit = shared[place], [int(record["step"]) for record in records if record["unit"] == place[2]]
        inside = [record for record in records if (record["title"], record["set"], record["unit"]) == place]
        hue, form = look("run", runs, width if len(runs) > 1 else 0)
        bands = drawing.guides("y", curve.column.chance, (people or {}).get(curve.suite))
        title = {"text": curve.title, "subtitle": curve.column.stimuli} if titles[curve.title] > 1 else curve.title
        return chart(
            "training", records=inside, width=width - 50, title=title, guides=bands, unit=curve.unit,
            ends=[min(unit), max(unit)], colour=hue, shape=form,
        )  # fmt: skip

    def drawn(width: int) -> Spec:
        room = width - (drawing.legend_room(runs, width) if len(runs) > 1 else 0)
        columns = max(1, min(len(shared), room // 290))
        parts = [{"title": place[0], **panel(place, room // columns - 12)} for place in shared]
        return {"concat": parts, "columns": columns, "spacing": 16}

    stimuli = "; ".join(dict.fromkeys(f"{curve.title}: {curve.column.stimuli}" for curve in shared.values()))
    who = " line and dark band: people;" if people else ""
    return Figure(
        name=name,
        title=f"Over training, {space}",
        caption=f"A dot for each checkpoint of {', '.join(runs)}; band: 95 % interval of each checkpoint separately"
        f";{who} dashed: chance. {stimuli}.",
        drawn=drawn,
        records=records,
    )


def forest(compared: Compared) -> Figure | None:
    """Return the difference of two observers in every headline, with intervals; None where none could be compared."""
    records = [
        {"suite": row.suite, "metric": row.title, "a": test.a, "b": test.b, "difference": test.difference,
         "low": test.low, "high": test.high, "level": test.level, "p_holm": test.p_holm, "verdict": better(row),
         "n": test.n, "method": test.method}
        for row in compared.headlines
        if (test := row.comparison).difference is not None
    ]  # fmt: skip
    if not records:
        return None
    counts = ", ".join(f"{record['n']} ({record['suite']})" for record in records)
    levels = sorted({100 * float(str(record["level"])) for record in records})
    holm = " to ".join(dict.fromkeys(f"{level:.4g}" for level in (levels[0], levels[-1])))
    axis, names = "A - B (share)", [f"{record['metric']} ({record['suite']})" for record in records]
    rows = [
        {**record, "observer": name, "group": drawing.GROUPS[0], "metric": axis, "value": record["difference"]}
        for name, record in zip(names, records, strict=True)
    ]
    return Figure(
        name="forest-" + slug(f"{compared.a} {compared.b}"),
        title=f"{compared.a} (A) minus {compared.b} (B)",
        caption="Difference of each suite's headline on the stimuli that both answered, paired; bar: interval at the "
        f"level at which Holm's procedure tests it ({holm} %), so that it leaves out 0 exactly where p is below .05. "
        f"n: {counts}. To the right A is higher.",
        drawn=lambda width: drawing.dot_panels(rows, names, [(axis, 0.0)], width=width),
        records=records,
    )
