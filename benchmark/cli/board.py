"""`bench rank`: tables of the leaderboard, without torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import by_option, db_option, filter_options, suite_option, unseen_option
from benchmark.cli.printing import print_details, say, table_width
from benchmark.display import printable

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
        return 0 if shown else _nothing(models, db)
    with _no_garbage():
        from benchmark.api.chosen_observers import Wanted

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
    return 0 if shown else _nothing(models, db)


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


def _nothing(models: str | None, db: str | None) -> int:
    from benchmark import api

    missing = ", ".join(map(printable, api.suites_not_installed(db=db)))
    if missing:
        say(f"not shown: scores of suites that are not installed here: {missing}.", err=True)
    if models:
        say(f"no scores of observers like '{models}'; `bench rank --summary` lists all.", err=True)
    elif not missing:
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
    from benchmark.leaderboard.summary_text import explain_lines, summary_detail

    found, sizes = api.summary_with_sizes(
        models=models, flagged_last=flagged_last, limit=limit, db=db
    )
    marks = api.against(found, baseline, db=db) if baseline else {}
    width = table_width()
    for at, one in enumerate(found):
        table = summary_detail(
            one,
            width,
            limit,
            baseline=baseline if one.space in marks else None,
            marks=marks.get(one.space),
            parameters=sizes,
        )
        print_details([table], apart=at > 0)
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
    from benchmark.leaderboard.render import board_detail

    how = Ranked(suite, by, unseen_only, flagged_last)
    chosen = Chosen(wanted or Wanted(), hide)
    found, apart, families = tables(how, chosen, published=reported, db=db)
    width = table_width()
    ranked = [board for board in found if board.rows]
    found = (
        [fold(board, families) for board in [*(ranked or found), *apart]]
        if limit is not None
        else [*found, *apart]
    )
    if found:
        print_details([board_detail(board, width, limit) for board in found])
    if explain:
        from benchmark.leaderboard.formatting import definitions

        for line in dict.fromkeys(line for board in found for line in definitions(board)):
            say(line)
    return len(found)
