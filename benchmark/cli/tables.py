"""`bench rank`, `show` and `compare`: tables of the leaderboard."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click
from rich.table import Table

from benchmark import api
from benchmark.api.options import Option, SuiteName
from benchmark.cli.derive import command
from benchmark.cli.printing import (
    print_details,
    put_in,
    put_out,
    say,
    table_console,
    table_width,
)
from benchmark.display import printable
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.contracts import Trials
    from benchmark.leaderboard.consistency import Answered
    from benchmark.stats.agreement import Agreement

LIMIT = 50  # rows of a table that are shown unless all are asked for
Form = Annotated[Literal["csv", "json", "markdown"] | None, Option("As text.", "--format")]
Output = Annotated[Path | None, Option("File to write.", "--output", "-o", kind="new file")]


@command(api.rank)
def rank(
    *,
    suite: str | None = None,
    also_suite: SuiteName = None,
    all: Annotated[
        bool,
        Option(
            "Every row: each person, each published network, and tables of reference rows alone.",
            "--all",
        ),
    ] = False,
    summary: Annotated[
        bool, Option("Models by suites: every headline side by side.", "--summary")
    ] = False,
    baseline: Annotated[
        str | None,
        Option(
            "With --summary: mark better, worse, inconclusive against it.",
            "--baseline",
            metavar="NAME",
        ),
    ] = None,
    explain: Annotated[bool, Option("What each column is, in a line.", "--explain")] = False,
    **asked: Any,
) -> int:
    if suite and also_suite and suite != also_suite:
        raise click.UsageError(f"the suite is given twice: '{suite}' and --suite '{also_suite}'.")
    suite, limit = suite or also_suite, None if all else LIMIT
    if not (summary or baseline):
        shown = print_boards(suite, limit=limit, explain=explain, **asked)
    elif suite or asked["by"] or asked["unseen_only"]:
        raise click.UsageError("--summary is of all suites, each by its headline.")
    else:
        how = {name: asked[name] for name in ("models", "flagged_last", "db")}
        shown = print_summary(limit=limit, baseline=baseline, explain=explain, **how)
    if shown:
        return 0
    missing = ", ".join(map(printable, api.suites_not_installed(db=asked["db"])))
    if missing:
        say(f"not shown: scores of suites that are not installed here: {missing}.", err=True)
    if models := asked["models"]:
        say(f"no scores of observers like '{models}'; `bench rank --summary` lists all.", err=True)
    elif not missing:
        say("no scores yet: `bench run` makes them, `bench db merge` those of shards.", err=True)
    return 0


def print_summary(
    *,
    limit: int | None = LIMIT,
    baseline: str | None = None,
    explain: bool = False,
    db: str | None = None,
    **asked: Any,
) -> int:
    """Print models by suites, one table per decision space; returns how many there were."""
    from benchmark.leaderboard.summary_text import explain_lines, summary_detail

    summaries, sizes = api.summary_with_sizes(limit=limit, db=db, **asked)
    marks = api.against(summaries, baseline, db=db) if baseline else {}
    for at, summary in enumerate(summaries):
        table = summary_detail(
            summary,
            table_width(),
            limit,
            baseline=baseline if summary.space in marks else None,
            marks=marks.get(summary.space),
            parameters=sizes,
        )
        print_details([table], apart=at > 0)
        if explain:
            say("\n".join(explain_lines(summary)))
    return len(summaries)


def print_boards(
    suite: str | None, *, limit: int | None = LIMIT, explain: bool = False, **asked: Any
) -> int:
    """Print every board of a suite, and published scores in tables apart unless the order is one that they do not
    have; returns how many there were."""
    from benchmark.leaderboard.folding import fold
    from benchmark.leaderboard.formatting import definitions
    from benchmark.leaderboard.render import board_detail

    plain = not (asked.get("by") or asked.get("unseen_only"))
    boards, reported, families = api.tables(suite, published=plain, **asked)
    if limit is None:
        shown = [*boards, *reported]
    else:
        ranked = [board for board in boards if board.rows]
        shown = [fold(board, families) for board in [*(ranked or boards), *reported]]
    if shown:
        print_details([board_detail(board, table_width(), limit) for board in shown])
    if explain:
        for line in dict.fromkeys(line for board in shown for line in definitions(board)):
            say(line)
    return len(shown)


@command(api.provenance)
def show(
    observer: Annotated[str, Option("An observer, or a training run.", metavar="MODEL")],
    suite: str | None = None,
    metric: str | None = None,
    condition: str | None = None,
    *,
    provenance: Annotated[
        bool,
        Option("Everything behind its headlines, those of SUITE, or one number.", "--provenance"),
    ] = False,
    as_json: Annotated[
        bool, Option("With --provenance: a JSON list, one object per number.", "--json")
    ] = False,
    db: str | None = None,
) -> int:
    """Every score of one observer, with intervals, reasons and where the numbers come from; of a training run its
    curves.

    With --provenance what is behind a number: weights, card, stimuli, seed, precision, device, versions, runs, n,
    method, interval, and the command that makes it again. MODEL alone: the headline of each of its suites; MODEL SUITE:
    that suite's headline; CONDITION as `bench show` prints it (none: the number over all conditions).
    """
    from benchmark.leaderboard.provenance import provenance_record, provenance_text

    if not provenance:
        if suite or as_json:
            raise click.UsageError("SUITE, METRIC, CONDITION and --json are for --provenance.")
        return _show(observer, db)
    behind = api.provenance(observer, suite, metric, condition, db=db)
    if as_json:
        put_out(json.dumps([provenance_record(number) for number in behind], indent=1))
        return 0
    for at, number in enumerate(behind):
        say("\n".join([*([""] if at else []), *provenance_text(number)]))
    if not behind:
        hint = f"`bench show {shlex.quote(observer)}` lists all."
        say(f"'{observer}' has no headline score yet: {hint}", err=True)
    return 0


def _show(observer: str, db: str | None) -> int:
    from benchmark.leaderboard.detail import (
        card_line,
        headline_detail,
        reported_lines,
        show_details,
    )

    if api.is_run(observer, db=db):
        print_curves(observer, db)
        return 0
    rows, sets = api.show(observer, db=db), api.stimuli_notes(db=db)
    suites = api.known_suites(db=db)
    for line in (card_line(known := api.who(observer, db=db)), *reported_lines(known)):
        say(line)
    if heads := headline_detail(rows, suites):
        print_details([heads], apart=True)
        say("")
    print_details(show_details(rows, sets, table_width(), suites))
    for line in api.provenance_lines(rows, db=db):
        say(line)
    return 0


def print_curves(run: str, db: str | None) -> None:
    """The curves of a training run."""
    from benchmark.leaderboard.render import render_details
    from benchmark.leaderboard.training_text import training_details

    console = table_console()
    if curves := api.training_curves(run, db=db):
        console.print(render_details(training_details(curves, console.width)))


@command(api.consistency)
def consistency(
    observers: tuple[str, ...],
    experiment: str | None,
    db: str | None,
    matrix: Annotated[
        bool, Option("All pairs of the observers named, or of everybody.", "--matrix")
    ] = False,
    ranks: Annotated[
        bool,
        Option(
            "The two published rankings, one table per board: networks by human-likeness (mean of their ranks by "
            "accuracy difference, observed and error consistency) and by OOD accuracy.",
            "--ranks",
        ),
    ] = False,
) -> int:
    console = table_console()
    if ranks:
        for table in _rank_tables(db):
            console.print(table)
        return 0
    if not matrix and len(observers) != 2:
        raise click.UsageError("name two observers, or use --matrix.")
    answered = api.consistency(observers, experiment=experiment, db=db)
    if not matrix:
        console.print(_pair_table(observers[0], observers[1], answered))
        return 0
    for role, who in answered.items():
        console.print(_matrix_table(role, who))
    return 0


def _table(title: str, caption: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=name not in {"kappa", "both right"})
    return table


def _rank_tables(db: str | None) -> Iterable[Table]:
    from benchmark.stats.ranks import HUMAN_METRICS, human_likeness

    boards = [
        board
        for board in api.rank(None, db=db)
        if board.rows and HUMAN_METRICS.keys() <= {column.metric for column in board.columns}
    ]
    if not boards:
        raise BenchError("no network is compared with people here: `bench run` does it.")
    metrics = (*HUMAN_METRICS, "ood_accuracy")
    for board in boards:
        title = f"Human-likeness on {'; '.join(dict.fromkeys(board.sets.values()))}"
        caption = "ranks hold among these networks only: another one can make two trade places"
        places = ("mean rank", "place", "place by OOD accuracy")
        table = _table(title, caption, ("observer",), places)
        values = {
            row.observer: {m: row.cells[m].value if m in row.cells else None for m in metrics}
            for row in board.rows
        }
        for place in human_likeness(values):
            numbers = (place.mean_rank, place.place, place.accuracy_place)
            table.add_row(place.name, *("-" if v is None else f"{v:.3g}" for v in numbers))
        yield table


def _pair_table(a: str, b: str, answered: Answered) -> Table:
    from benchmark.leaderboard.consistency import by_condition

    rows: list[list[str]] = []
    apart = []
    for role, who in answered.items():
        conditions = list(by_condition(who[a], who[b]))
        if all(not agreement.table.n for _, agreement in conditions):
            apart.append(role)
        else:
            rows += [[role, name, *_cells(agreement)] for name, agreement in conditions]
    none = f"; no image in common: {', '.join(apart)}" if apart else ""
    about = "interval: other images, or other shapes and textures where images share them"
    table = _table(
        f"Error consistency of a = {a} and b = {b}",
        f"{about}{none}{made_again(answered.values())}",
        ("experiment", "condition"),
        ("n", "both right", "only a", "only b", "both wrong", "c_obs", "c_exp", "kappa", "95 % interval"),
    )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    return table


def _cells(agreement: Agreement) -> list[str]:
    counts = agreement.table
    numbers = [counts.n, counts.both, counts.only_a, counts.only_b, counts.neither]
    if agreement.kappa is None or agreement.observed is None or agreement.expected is None:
        return [*map(str, numbers), "", "", agreement.reason, ""]
    low, high = agreement.low, agreement.high
    bounds = "" if low is None or high is None else f"[{_fixed(low)}, {_fixed(high)}]"
    shares = [f"{agreement.observed:.3f}", f"{agreement.expected:.3f}"]
    return [*map(str, numbers), *shares, _fixed(agreement.kappa), bounds]


def _fixed(value: float) -> str:
    """Three digits; nothing is "-0.000"."""
    text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _matrix_table(role: str, who: Mapping[str, Trials]) -> Table:
    """Kappa of all pairs on the images that both of a pair answered, all conditions together."""
    from benchmark.leaderboard.consistency import matched
    from benchmark.stats.agreement import pairwise

    names = sorted(who)
    answers = matched([who[name] for name in names], every=False)
    matrix = pairwise(answers.right, answers.present)
    caption = f"all conditions together; -: no image in common{made_again([who])}"
    numbers = [str(number) for number, _ in enumerate(names, 1)]
    table = _table(f"Error consistency: {role}", caption, ("",), numbers)
    for i, name in enumerate(names):
        kappas = [f"{matrix.kappa[i, j]:.2f}" if matrix.n[i, j] else "-" for j in range(len(names))]
        kappas[i] = ""
        table.add_row(f"{i + 1} {name}", *kappas)
    return table


def made_again(answered: Iterable[Mapping[str, Trials]]) -> str:
    """A warning where somebody saw images made again from their sources: same names, other pixels."""
    columns = [trials.columns.get("made") for who in answered for trials in who.values()]
    ways = {text.split()[0] for made in columns if made is not None for text in set(made) - {""}}
    saw = " and ".join(sorted(ways))  # "regenerated", "stylised"
    return f"; some observers saw {saw} images, not the published files" if saw else ""


@command(api.transfer)
def transfer(form: Form = None, output: Output = None, **asked: Any) -> int:
    from benchmark.leaderboard.transfer_text import export_transfer, render_transfer

    matrices = api.transfer(**asked)
    if not matrices:
        say(
            "no trials under degradations yet: `bench run --suite corruption` makes them.", err=True
        )
    elif form or output:
        put_in(export_transfer(matrices, form or "csv"), output)
    else:
        console = table_console()
        console.print(render_transfer(matrices, console.width))
    return 0


@command(api.correlate)
def correlate(
    contrasts: Annotated[
        bool, Option("csv: the contrasts of recipes, not the pairs.", "--contrasts")
    ] = False,
    form: Form = None,
    output: Output = None,
    **asked: Any,
) -> int:
    from benchmark.leaderboard.export import export_records
    from benchmark.leaderboard.links import contrast_records, link_details, link_records
    from benchmark.leaderboard.render import render_details

    spaces = api.correlate(**asked)
    if not any(links for _, links, _ in spaces):
        say(
            "no source has two published scores: `bench import scores` brings them in."
            if asked["reported"]
            else "two suites with scores are needed: `bench run --suite all` makes them.",
            err=True,
        )
    elif form or output:
        records = [
            record
            for summary, links, pairs in spaces
            for record in (
                contrast_records(pairs, summary.space)
                if contrasts
                else link_records(links, summary.space)
            )
        ]
        put_in(export_records(records, form or "csv"), output)
    else:
        for summary, links, pairs in spaces:
            table_console().print(render_details(link_details(links, pairs, summary.space)), "")
    return 0


@command(api.compare, parts=(consistency, transfer, correlate))
def compare(
    a: str,
    b: str,
    suite: str | None,
    db: str | None,
    images: Annotated[
        bool,
        Option("List the images of the headlines that one of the two gets alone.", "--images"),
    ] = False,
) -> int:
    from benchmark.leaderboard.comparison import (
        comparison_details,
        discordant_details,
        each_details,
    )

    if set(b) & set("*?[,"):
        if images:
            raise click.UsageError("--images is for two observers: name one as B.")
        print_details(each_details(api.compare_each(a, b, suite=suite, db=db), table_width()))
        return 0
    tests = api.compare(a, b, suite=suite, db=db)
    print_details(comparison_details(tests, table_width()))
    if images:
        differing = api.discordant(a, b, suite=suite, db=db)
        print_details(discordant_details(differing, tests.a, tests.b), apart=True)
    return 0
