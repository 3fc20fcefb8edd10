"""`bench rank`, `show` and `compare`: tables of the leaderboard."""

import json
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import click

from benchmark import api
from benchmark.api.leaderboards import COMMA, Selection
from benchmark.api.options import Option, SuiteName
from benchmark.cli.derive import command
from benchmark.cli.printing import (
    echo_data,
    echo_line,
    echo_lines,
    print_tables,
    prose_width,
    table_console,
    write_data,
)
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard import Board
from benchmark.leaderboard.board_tables import (
    board_table,
    card_line,
    collapse_rows,
    headline_board,
    headline_table,
    near_rows,
    observer_tables,
    reported_lines,
)
from benchmark.leaderboard.comparison import (
    comparison_tables,
    discordant_tables,
    each_tables,
    measure_comparison,
    power_table,
)
from benchmark.leaderboard.consistency import HUMAN_METRICS, comparison_of, kappa_table, likeness_table
from benchmark.leaderboard.cue_measures import measure_tables
from benchmark.leaderboard.forms import rendered
from benchmark.leaderboard.lineage import STANDARD
from benchmark.leaderboard.links import correlation_table, link_tables
from benchmark.leaderboard.provenance import provenance_record, provenance_text
from benchmark.leaderboard.recipe_claims import claims_table
from benchmark.leaderboard.recipe_effects import GroupedBy, recipe_comparison_table, recipe_table
from benchmark.leaderboard.summary import leaders_sentence, summary_table
from benchmark.leaderboard.table import Table
from benchmark.leaderboard.training_curves import training_tables
from benchmark.leaderboard.transfer import matrix_table
from benchmark.leaderboard.verdict_forms import VerdictForm
from benchmark.plugins import suite_entries, suite_of_metric
from registry.user_errors import Remedy

LIMIT = 50  # rows of a table without --all
#: What asks for a table of single networks.
OF_NETWORKS = ("by", "unseen_only", "flagged_last", "among_shown", "summary", "explain", "wide")
Form = Annotated[Literal["csv", "json", "markdown"] | None, Option("Print in this format.", "--format")]
Output = Annotated[Path | None, Option("Write to this file.", "--output", "-o", kind="new file")]


@command(api.rank)
def rank(
    leaderboard: Selection,
    *,
    suite: str | None = None,
    also_suite: SuiteName = None,
    all: Annotated[bool, Option("Show every row: each person, each published network.")] = False,
    summary: Annotated[bool, Option("Show models by suites: every headline side by side.", "--summary")] = False,
    explain: Annotated[bool, Option("Explain each column in a line.", "--explain")] = False,
    wide: Annotated[bool, Option("Show every table and column, also without room beside.", "--wide")] = False,
    by_recipe: Annotated[bool, Option("Show means over the networks of a recipe.", without=OF_NETWORKS)] = False,
    by_family: Annotated[bool, Option("Show means over families.", without=OF_NETWORKS)] = False,
    by_architecture: Annotated[bool, Option("Show means over architectures.", without=OF_NETWORKS)] = False,
    **asked: Any,
) -> int:
    if suite and also_suite and suite != also_suite:
        raise click.UsageError(f"the suite is given twice: '{suite}' and --suite '{also_suite}'.")
    suite, limit = suite or also_suite, None if all else LIMIT
    by: dict[GroupedBy, bool] = {"recipe": by_recipe, "family": by_family, "architecture": by_architecture}
    if chosen := [name for name, wanted in by.items() if wanted]:
        tables = [recipe_table(samples, name) for samples in api.recipes(leaderboard, suite) for name in chosen]
        print_tables(tables, limit, paged=True)
        shown = len(tables)
    elif not summary:
        shown = print_boards(leaderboard, suite, limit=limit, explain=explain, wide=wide, paged=True, **asked)
    elif suite or asked.pop("by") or asked.pop("unseen_only"):
        raise click.UsageError("--summary shows the headlines of all suites: leave out SUITE, --by and --unseen-only.")
    else:
        shown = print_summary(leaderboard, limit=limit, explain=explain, **asked)
    if shown:
        return 0
    if missing := api.suites_not_installed(leaderboard):
        echo_line(f"not shown: scores of suites that are not installed: {', '.join(missing)}.", err=True)
    if filters := [*filter(None, leaderboard.filters.lists.values())]:
        echo_line(f"'{' '.join(filters)}' fits no observer with scores; `bench rank --summary` lists all.", err=True)
    elif not missing:
        echo_line(
            "there are no scores yet: compute them with `bench run`, those of shards with `bench db merge`.", err=True
        )
    return 0


def print_summary(
    leaderboard: Selection, *, limit: int | None = LIMIT, explain: bool = False, leaders: bool = False, **asked: Any
) -> int:
    """Print models by suites, one table per label space; return the number of tables. leaders: also name them in a
    sentence."""
    summaries, sizes = api.summary(leaderboard, **asked), api.parameter_counts(leaderboard)
    sentences = map(leaders_sentence, summaries if leaders else ())
    for at, summary in enumerate(summaries):
        table = summary_table(summary, sizes)
        print_tables([table], limit, apart=at > 0, paged=not leaders)
        if explain:
            echo_line("\n".join(table.explained()))
    echo_lines(filter(None, sentences), "seen: ", err=True)
    return len(summaries)


def print_boards(
    leaderboard: Selection,
    suite: str | None,
    *,
    limit: int | None = LIMIT,
    explain: bool = False,
    near: Collection[str] | None = None,
    brief: bool = False,
    wide: bool = False,
    paged: bool = False,
    **asked: Any,
) -> int:
    """Print every board of a suite, and published scores unless the order excludes them. Return the number of tables.
    near: show only the neighbourhood of these observers; brief: show only headlines; wide: in a terminal, too, show
    every column, and every table of all suites; paged: use the pager."""
    boards = api.rank(leaderboard, suite, **asked)
    if near is not None:
        boards = [near_rows(board, near) for board in boards]
        boards = [board for board in boards if board.rows or board.references]
    if brief:
        boards = [headline_board(board) for board in boards]
    if not (near or brief or asked.get("by") or asked.get("unseen_only")):
        boards = [*boards, *api.reported(leaderboard, suite)]
    if limit is not None:
        families = api.families(leaderboard)
        ranked = any(board.rows for board in boards)
        boards = [collapse_rows(board, families) for board in boards if board.rows or not ranked]
    below: list[str] = []
    if paged and suite is None and limit is not None and not wide and table_console().is_terminal:
        boards, below = _main_boards(boards)
    tables = list(map(board_table, boards))
    if tables:
        print_tables(tables, limit, narrow=not wide, paged=paged, below=below)
    if explain:
        echo_lines(dict.fromkeys(line for table in tables for line in table.explained()))
    return len(tables)


def _main_boards(boards: Sequence[Board]) -> tuple[list[Board], list[str]]:
    """Return the board of each suite that ranks most of the user's networks, then most rows; and a line on others."""
    ranked = [board for board in boards if any(row.rank is not None for row in board.rows)]
    main: dict[str, Board] = {}
    for board in sorted(ranked, key=lambda b: ([row.kind for row in b.rows].count("network"), len(b.rows))):
        main[board.suite] = board
    shown = [board for board in boards if board is main.get(board.suite)]
    left = Counter(board.suite for board in boards) - Counter(board.suite for board in shown)
    others = ", ".join(f"{suite} ({n})" for suite, n in left.items())
    return (shown, [f"... more tables: bench rank {others}; all: --wide"]) if shown and others else ([*boards], [])


@command(api.verdict)
def verdict(
    leaderboard: Selection,
    observer: str,
    form: Annotated[VerdictForm, Option("Print in this format.", "--format")] = "text",
    output: Output = None,
) -> int:
    write_data([api.verdict(leaderboard, observer).to(form, prose_width())], output)
    return 0


@command(api.provenance)
def show(
    leaderboard: Selection,
    observer: Annotated[str, Option("An observer, or a training run.", metavar="MODEL")],
    suite: str | None = None,
    metric: str | None = None,
    condition: str | None = None,
    *,
    provenance: Annotated[bool, Option("Show the provenance of its headlines, or of one number.")] = False,
    as_json: Annotated[bool, Option("Print a JSON list, one object per number (with --provenance).", "--json")] = False,
) -> int:
    """Show one observer's scores, or a number's provenance.

    Scores have intervals, reasons and their origin; a training run has curves.

    --provenance prints the weights, card, stimuli, seed, precision, device, versions, runs, n, method and interval of a
    number, and the command that reproduces it. Without METRIC, it prints headlines: of all suites, or of SUITE. Give
    CONDITION as `bench show` prints it (default: all conditions)."""
    if not provenance:
        if suite or as_json:
            raise _needs_provenance(suite)
        if api.is_run(leaderboard, observer):
            print_curves(leaderboard, observer)
            return 0
        rows = api.show(leaderboard, observer)
        echo_lines((card_line(rows.observer), *reported_lines(rows.observer)))
        if (heads := headline_table(rows, rows.suites)).rows:
            print_tables([heads], apart=True)
            echo_line("")
        print_tables(observer_tables(rows, rows.stimuli, rows.suites))
        echo_lines(rows.origins)
        return 0
    behind = api.provenance(leaderboard, observer, suite, metric, condition)
    if as_json:
        echo_data(json.dumps([provenance_record(number) for number in behind], indent=1))
        return 0
    for at, number in enumerate(behind):
        echo_line("\n".join([*([""] if at else []), *provenance_text(number)]))
    if not behind:
        hint = f"`bench show {shlex.quote(observer)}` lists all."
        echo_line(f"'{observer}' has no headline score yet: {hint}", err=True)
    return 0


def _needs_provenance(suite: str | None) -> UsageError:
    """Return the error for a suite or a metric beside a name, with the command that was meant."""
    meant: tuple[str, ...] = (suite, "--provenance") if suite else ("--json", "--provenance")
    if suite and suite not in suite_entries() and (owner := suite_of_metric(suite)):
        meant = (owner, suite.replace("-", "_"), "--provenance")
    remedy = Remedy(wrong=suite or "--json", instead=meant)
    return UsageError("SUITE, METRIC, CONDITION and --json need --provenance.", remedy)


def print_curves(leaderboard: Selection, run: str) -> None:
    """Print the curves of a training run."""
    if curves := api.training_curves(leaderboard, run):
        print_tables(training_tables(curves))


@command(api.consistency)
def consistency(
    leaderboard: Selection,
    observers: tuple[str, ...],
    experiment: str | None,
    *,
    matrix: Annotated[
        bool, Option("Show all pairs of the observers named, or of all observers.", without=("ranks",))
    ] = False,
    ranks: Annotated[
        bool,
        Option("Show the published rankings by human-likeness and OOD accuracy.", without=("observers", "experiment")),
    ] = False,
) -> int:
    if ranks:
        boards = [b for b in api.rank(leaderboard) if b.rows and HUMAN_METRICS.keys() <= {c.metric for c in b.columns}]
        if not boards:
            raise BenchError("this leaderboard does not compare networks with people yet: `bench run` does.")
        print_tables(map(likeness_table, boards))
        return 0
    if not matrix and len(observers) != 2:
        raise click.UsageError("name two observers, or use --matrix.")
    answered = api.consistency(leaderboard, observers, experiment=experiment)
    if matrix:
        print_tables(kappa_table(role, who) for role, who in answered.items())
    else:
        print_tables([comparison_of(observers[0], observers[1], answered)])
    return 0


@command(api.transfer)
def transfer(form: Form = None, output: Output = None, **asked: Any) -> int:
    if tables := [matrix_table(matrix) for matrix in api.transfer(**asked)]:
        _give(tables, form, output)
    else:
        echo_line("there are no trials under degradations yet: `bench run --suite corruption` computes them.", err=True)
    return 0


def _give(tables: Sequence[Table], form: str | None, output: Path | None) -> int:
    """Print tables, or write them as text or to a file."""
    if form or output:
        write_data(rendered(tables, form or "csv"), output)
    else:
        print_tables(tables)
    return 0


@command(api.correlate)
def correlate(form: Form = None, output: Output = None, **asked: Any) -> int:
    spaces = api.correlate(**asked)
    if not any(links for _, links in spaces):
        echo_line(
            "a source needs two published scores: import them with `bench import scores`."
            if asked["reported"]
            else "two suites need scores: compute them with `bench run --suite all`.",
            err=True,
        )
        return 0
    if form or output:
        _give([correlation_table(links, summary.space) for summary, links in spaces], form, output)
    else:
        print_tables(table for summary, links in spaces for table in link_tables(links, summary.space))
    return 0


@command(api.measures)
def measures(form: Form = None, output: Output = None, **asked: Any) -> int:
    tables = [table for cue in api.measures(**asked) for table in measure_tables(cue)]
    if not tables:
        raise BenchError("measures of shape and texture have no scores yet: `bench run -s cue-conflict` computes them.")
    return _give(tables, form, output)


@command(api.doses)
def doses(form: Form = None, output: Output = None, **asked: Any) -> int:
    tables = [api.doses(**asked)]
    if not tables[0].rows:
        raise BenchError("no recipe here has a number: tags such as 'adversarial(l2,3)' or 'epochs(30)' state one.")
    return _give(tables, form, output)


@command(api.compare, parts=(consistency, transfer, correlate, measures, doses))
def compare(
    leaderboard: Selection,
    a: str,
    b: Annotated[str, Option("Another observer, people, or a pattern.")] = "",
    suite: str | None = None,
    *,
    images: Annotated[bool, Option("Print the images that only one of them answers correctly.", "--images")] = False,
    measures: Annotated[bool, Option("Test only the measures of shape and texture.", "--measures")] = False,
    recipes: Annotated[
        bool, Option("Compare recipes A and B over networks and images.", without=("images", "measures"))
    ] = False,
    mixed: Annotated[bool, Option("Ask a mixed model for a second opinion (with --recipes).", "--mixed")] = False,
) -> int:
    if recipes:
        found = api.compare_recipes(leaderboard, a, b or STANDARD, suite=suite, mixed=mixed)
        print_tables([recipe_comparison_table(found)])
        return 0
    if not b:
        both = tuple(part.strip() for part in COMMA.split(a) if part.strip())
        text = f"compare '{a}' with a second observer, with people, or with a pattern such as '*'."
        raise UsageError(text, Remedy(wrong=a, instead=both if len(both) > 1 else (a, "*")))
    if set(b) & set("*?[,"):
        if images or measures:
            raise click.UsageError("--images and --measures need two observers: name one as B.")
        print_tables(each_tables(api.compare_each(leaderboard, a, b, suite=suite)))
        return 0
    tests = api.compare(leaderboard, a, b, suite=suite)
    print_tables([measure_comparison(tests)] if measures else comparison_tables(tests))
    if images:
        differing = api.discordant(leaderboard, a, b, suite=suite)
        print_tables(discordant_tables(differing, tests.a, tests.b), apart=True)
    return 0


@command(api.power, api.recipe_power)
def power(
    form: Form = None,
    output: Output = None,
    *,
    train_hours: float = 0.0,
    networks: Annotated[bool, Option("Plan networks of two recipes, A and B.", without=("discordant",))] = False,
    **asked: Any,
) -> int:
    if networks and not (asked["a"] and asked["b"]):
        raise UsageError("--networks plans two recipes: bench power stylised standard --networks.")
    if networks:
        del asked["discordant"]
        return _give([api.recipe_power(**asked, train_hours=train_hours)], form, output)
    return _give([power_table(api.power(**asked))], form, output)


@command(api.claims)
def claims(leaderboard: Selection, file: Path | None, form: Form = None, output: Output = None) -> int:
    return _give([claims_table(api.claims(leaderboard, file))], form, output)
