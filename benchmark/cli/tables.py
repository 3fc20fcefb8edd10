"""`bench show`, `compare` and others: tables of the leaderboard."""

import json
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, starmap
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import click

from benchmark import api
from benchmark.api.leaderboards import COMMA, Selection
from benchmark.api.options import Option
from benchmark.cli.derive import Command, command
from benchmark.cli.printing import echo_data, echo_line, echo_lines, print_tables, prose_width
from benchmark.failures import BenchError, UnknownName, UsageError
from benchmark.leaderboard import comparison
from benchmark.leaderboard.board_tables import card_lines, headline_table, observer_tables
from benchmark.leaderboard.consistency import HUMAN_METRICS, comparison_of, kappa_table, likeness_table
from benchmark.leaderboard.forms import rendered, written
from benchmark.leaderboard.lineage import STANDARD
from benchmark.leaderboard.links import correlation_table, link_tables, measure_tables
from benchmark.leaderboard.provenance import provenance_record, provenance_text
from benchmark.leaderboard.recipe_effects import claims_table, recipe_comparison_table
from benchmark.leaderboard.table import Table
from benchmark.leaderboard.training_curves import training_tables
from benchmark.leaderboard.verdict import VerdictForm
from benchmark.plugins import suite_entries, suite_of_metric
from registry.user_errors import Remedy

R = TypeVar("R")
Form = Annotated[Literal["csv", "json", "markdown"] | None, Option("Print in this format.", "--format")]
Output = Annotated[Path | None, Option("Write to this file.", "--output", "-o", kind="new file")]


@command(api.verdict)
def verdict(
    leaderboard: Selection,
    observer: str,
    form: Annotated[VerdictForm, Option("Print in this format.", "--format")] = "text",
    output: Output = None,
) -> None:
    echo_data(written([api.verdict(leaderboard, observer).to(form, prose_width())], output))


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
) -> None:
    """Show one observer's scores, or a number's provenance.

    Scores have intervals and reasons; a training run has curves.

    --provenance prints the weights, card, stimuli, seed, precision, device, versions, runs, n, method and interval of a
    number, and the command that reproduces it. Without METRIC, it prints headlines: of all suites, or of SUITE. Give
    CONDITION as `bench show` prints it (default: all conditions)."""
    if not provenance:
        if suite:
            meant: tuple[str, ...] = (suite, "--provenance")
            if suite not in suite_entries() and (owner := suite_of_metric(suite)):
                meant = (owner, suite.replace("-", "_"), "--provenance")
            raise UsageError("SUITE, METRIC and CONDITION need --provenance.", Remedy(wrong=suite, instead=meant))
        try:
            rows = api.show(leaderboard, observer)
        except UnknownName:
            with suppress(UnknownName):  # the name of a training run
                print_curves(leaderboard, observer)
                return
            raise
        echo_lines(card_lines(rows.observer))
        if (heads := headline_table(rows, rows.suites)).rows:
            echo_line("")
            print_tables([heads])
            echo_line("")
        print_tables(observer_tables(rows, rows.stimuli, rows.suites))
        echo_line(f"runs, versions and commands behind them: bench show {shlex.quote(observer)} --provenance")
        return
    behind = api.provenance(leaderboard, observer, suite, metric, condition)
    if as_json:
        echo_data(json.dumps([provenance_record(number) for number in behind], indent=1))
    elif behind:
        echo_line("\n\n".join("\n".join(provenance_text(number)) for number in behind))
    else:
        hint = f"`bench show {shlex.quote(observer)}` lists all."
        echo_line(f"'{observer}' has no headline score yet: {hint}", err=True)


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
    matrix: Annotated[bool, Option("Show all pairs of those named, or of all.", without=("ranks",))] = False,
    ranks: Annotated[bool, Option("Rank by likeness and OOD accuracy.", without=("observers", "experiment"))] = False,
) -> None:
    if ranks:
        boards = [b for b in api.rank(leaderboard) if b.rows and HUMAN_METRICS.keys() <= {c.metric for c in b.columns}]
        _give(map(likeness_table, boards), empty="no networks are compared with people here yet: `bench run` does.")
        return
    if not matrix and len(observers) != 2:
        raise click.UsageError("name two observers, or use --matrix.")
    answered = api.consistency(leaderboard, observers, experiment=experiment)
    if matrix:
        print_tables(kappa_table(role, who) for role, who in answered.items())
    else:
        print_tables([comparison_of(observers[0], observers[1], answered)])


def _give(tables: Iterable[Table], form: str | None = None, output: Path | None = None, empty: str = "") -> None:
    shown = [table for table in tables if table.rows or table.notes]
    if empty and not any(table.rows for table in shown):
        raise BenchError(empty)
    if form or output:
        echo_data(written(rendered(shown, form or "csv"), output))
    else:
        print_tables(shown)


def _tables_of(verb: Callable[..., R], draw: Callable[[R], Iterable[Table]], empty: str = "") -> Command:
    """Make a command that shows the tables of a verb's result. empty: the error without rows."""

    def show(form: Form = None, output: Output = None, **asked: Any) -> None:
        _give(draw(verb(**asked)), form, output, empty)

    return command(verb, name=verb.__name__)(show)


NO_TRIALS = "there are no trials under degradations yet: `bench run --suite corruption` computes them."
NO_SCORES = "measures of shape and texture have no scores yet: `bench run -s cue-conflict` computes them."
NO_DOSE = "no recipe here has a number: tags such as 'epochs(30)' state one."
transfer = _tables_of(api.transfer, list, NO_TRIALS)
measures = _tables_of(api.measures, measure_tables, NO_SCORES)
doses = _tables_of(api.doses, lambda table: [table], NO_DOSE)
claims = _tables_of(api.claims, lambda rows: [claims_table(rows)])


@command(api.correlate)
def correlate(form: Form = None, output: Output = None, **asked: Any) -> None:
    empty = "two suites need scores: compute them with `bench run --suite all`."
    if asked["reported"]:
        empty = "a source needs two published scores: import them with `bench import scores`."
    spaces = [(links, summary.space) for summary, links in api.correlate(**asked) if links]
    drawn = starmap(correlation_table, spaces) if form or output else chain.from_iterable(starmap(link_tables, spaces))
    _give(drawn, form, output, empty)


@command(api.compare, parts=(consistency, transfer, correlate, measures, doses))
def compare(
    leaderboard: Selection,
    a: str,
    b: Annotated[str, Option("Another observer, people, or a pattern.")] = "",
    suite: str | None = None,
    *,
    images: Annotated[bool, Option("Print the images that only one of them answers correctly.", "--images")] = False,
    measures: Annotated[bool, Option("Test only the measures of shape and texture.", "--measures")] = False,
    recipes: Annotated[bool, Option("Compare recipes A and B over networks.", without=("images", "measures"))] = False,
) -> None:
    if recipes:
        _give([recipe_comparison_table(api.compare_recipes(leaderboard, a, b or STANDARD, suite=suite))])
        return
    if not b:
        both = tuple(part.strip() for part in COMMA.split(a) if part.strip())
        text = f"compare '{a}' with a second observer, with people, or with a pattern such as '*'."
        raise UsageError(text, Remedy(wrong=a, instead=both if len(both) > 1 else (a, "*")))
    if set(b) & set("*?[,"):
        if images or measures:
            raise click.UsageError("--images and --measures need two observers: name one as B.")
        print_tables(comparison.each_tables(api.compare_each(leaderboard, a, b, suite=suite)))
        return
    tests = api.compare(leaderboard, a, b, suite=suite)
    print_tables([comparison.measure_comparison(tests)] if measures else comparison.comparison_tables(tests))
    if images:
        differing = api.discordant(leaderboard, a, b, suite=suite)
        echo_line("")
        print_tables(comparison.discordant_tables(differing, tests.a, tests.b))


@command(api.power, api.recipe_power)
def power(
    form: Form = None,
    output: Output = None,
    *,
    train_hours: float = 0.0,
    networks: Annotated[bool, Option("Plan networks of two recipes, A and B.", without=("discordant",))] = False,
    **asked: Any,
) -> None:
    if not networks:
        _give([comparison.power_table(api.power(**asked))], form, output)
        return
    if not (asked["a"] and asked["b"]):
        raise UsageError("--networks plans two recipes: bench power stylised standard --networks.")
    del asked["discordant"]
    _give([api.recipe_power(**asked, train_hours=train_hours)], form, output)
