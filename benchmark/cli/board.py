"""`bench rank`, `show`, `compare`: reading the leaderboard, without torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from benchmark.cli.filters import filter_options
from benchmark.cli.options import by_option, db_option, suite_option, unseen_option
from benchmark.cli.printing import say, table_console

if TYPE_CHECKING:
    from benchmark.api.chosen_observers import Wanted


@click.command()
@click.argument("name", metavar="[SUITE]", required=False)
@suite_option
@by_option
@unseen_option
@click.option(
    "--flagged-last",
    is_flag=True,
    help="Scores with a flag of distrust ('trust: ...') rank below all others.",
)
@click.option("--only", "--model", "-m", "models", metavar="PATTERN", help="Only these observers.")
@click.option("--hide", metavar="PATTERN", help="Without these observers.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every row: each person, each published network, and tables of reference rows alone.",
)
@click.option("--summary", is_flag=True, help="Models by suites: every headline side by side.")
@click.option(
    "--baseline",
    metavar="NAME",
    help="With --summary: mark better, worse, inconclusive against it.",
)
@click.option("--explain", is_flag=True, help="What each column is, in a line.")
@filter_options
@db_option
def rank(
    name: str | None,
    suite: str | None,
    by: str | None,
    unseen_only: bool,
    flagged_last: bool,
    models: str | None,
    hide: str | None,
    everything: bool,
    summary: bool,
    baseline: str | None,
    explain: bool,
    db: str | None,
    **filters: str,
) -> int:
    """Ranked tables: value, interval, rank interval, n and flags; people and chance as reference rows.

    One table per stimulus set: rows of different stimuli are never ranked together.
    """
    if name and suite and name != suite:
        raise click.UsageError(f"the suite is given twice: '{name}' and --suite '{suite}'.")
    suite, limit = suite or name, None if everything else 50
    if summary or baseline:
        if suite or by or unseen_only:
            raise click.UsageError("--summary is of all suites, each by its headline.")
        with _no_garbage():
            shown = print_summary(
                models=models,
                db=db,
                limit=limit,
                flagged_last=flagged_last,
                baseline=baseline,
                explain=explain,
            )
        return 0 if shown else _nothing(models)
    from benchmark.api.chosen_observers import Wanted

    with _no_garbage():
        shown = print_boards(
            suite,
            by=by,
            wanted=Wanted(models or "", **filters),
            hide=hide,
            db=db,
            limit=limit,
            unseen_only=unseen_only,
            flagged_last=flagged_last,
            explain=explain,
            reported=not (by or unseen_only),
        )
    return 0 if shown else _nothing(models)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """No search for cycles meanwhile: it goes through every row of a big table again and again, and finds none."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _nothing(models: str | None) -> int:
    if models:
        say(f"no scores of observers like '{models}'; `bench rank --summary` lists all.", err=True)
    else:
        say("no scores yet: `bench run` makes them, `bench db merge` those of shards.", err=True)
    return 0


def print_summary(
    *,
    models: str | None = None,
    db: str | None = None,
    limit: int | None = 50,
    flagged_last: bool = False,
    baseline: str | None = None,
    explain: bool = False,
) -> int:
    """Print models by suites, one table per decision space; returns how many there were."""
    from benchmark import api
    from benchmark.leaderboard.render import render_details
    from benchmark.leaderboard.summary_text import explain_lines, summary_detail

    found = api.summary(models=models, flagged_last=flagged_last, db=db)
    marks = api.against(found, baseline, db=db) if baseline else {}
    sizes = api.parameters(db=db) if found else {}
    console = table_console()
    for at, one in enumerate(found):
        table = summary_detail(
            one,
            console.width,
            limit,
            baseline=baseline if one.space in marks else None,
            marks=marks.get(one.space),
            parameters=sizes,
        )
        console.print(*([""] if at else []), render_details([table]), sep="\n")
        if explain:
            for line in explain_lines(one):
                say(line)
    return len(found)


def print_boards(
    suite: str | None,
    *,
    by: str | None = None,
    wanted: Wanted | None = None,
    hide: str | None = None,
    db: str | None = None,
    limit: int | None = 50,
    unseen_only: bool = False,
    flagged_last: bool = False,
    explain: bool = False,
    reported: bool = False,
) -> int:
    """Print every board of a suite; returns how many there were. reported: then published scores, in tables apart."""
    from benchmark.api.chosen_observers import Chosen, Wanted
    from benchmark.api.ranking import Ranked, tables
    from benchmark.leaderboard.folding import fold
    from benchmark.leaderboard.render import render_boards

    how = Ranked(suite, by, unseen_only, flagged_last)
    chosen = Chosen(wanted or Wanted(), hide)
    found, apart, families = tables(how, chosen, published=reported, db=db)
    console = table_console()
    ranked = [board for board in found if board.rows]
    found = (
        [fold(board, families) for board in [*(ranked or found), *apart]]
        if limit is not None
        else [*found, *apart]
    )
    if found:
        console.print(render_boards(found, console.width, limit))
    if explain:
        from benchmark.leaderboard.formatting import definitions

        for line in dict.fromkeys(line for board in found for line in definitions(board)):
            say(line)
    return len(found)


@click.command()
@click.argument("observer")
@db_option
def show(observer: str, db: str | None) -> int:
    """Every score of one observer, with intervals, reasons and where the numbers come from; of a training run its
    curves."""
    from benchmark import api

    if api.is_run(observer, db=db):
        from benchmark.cli.sweep import print_curves

        print_curves(observer, db)
        return 0
    from benchmark.leaderboard.detail import card_line, headline_detail, reported_lines
    from benchmark.leaderboard.render import render_details, render_show

    console = table_console()
    rows, sets = api.show(observer, db=db), api.stimuli_notes(db=db)
    suites = api.known_suites(db=db)
    for line in (card_line(known := api.who(observer, db=db)), *reported_lines(known)):
        say(line)
    if heads := headline_detail(rows, suites):
        console.print("", render_details([heads]), "", sep="\n")
    console.print(render_show(rows, sets, console.width, suites))
    for line in api.provenance_lines(rows, db=db):
        say(line)
    return 0


@click.command()
@click.argument("a")
@click.argument("b")
@suite_option
@click.option(
    "--images",
    is_flag=True,
    help="List the images of the headlines that one of the two gets alone.",
)
@db_option
def compare(a: str, b: str, suite: str | None, images: bool, db: str | None) -> int:
    """Paired tests of A against B on the stimuli that both answered; "people": all people as a group.

    First the suites' headlines, then all other metrics: two families of tests, each Holm-adjusted. Where B is a pattern
    ('net-*', or names with commas), A against each of them by the headlines alone: one family.
    """
    from benchmark import api
    from benchmark.leaderboard.render import render_comparison, render_discordant, render_each

    if set(b) & set("*?[,"):
        if images:
            raise click.UsageError("--images is for two observers: name one as B.")
        table_console().print(render_each(api.compare_each(a, b, suite=suite, db=db)))
        return 0
    found = api.compare(a, b, suite=suite, db=db)
    console = table_console()
    console.print(render_comparison(found))
    if images:
        differing = api.discordant(a, b, suite=suite, db=db)
        console.print("", render_discordant(differing, found.a, found.b), sep="\n")
    return 0
