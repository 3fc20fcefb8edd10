"""`bench show`, `compare`: one observer, and two of them, without torch."""

from __future__ import annotations

import click

from benchmark.cli.options import db_option, suite_option
from benchmark.cli.printing import print_details, say, table_width


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
    from benchmark.leaderboard.detail import (
        card_line,
        headline_detail,
        reported_lines,
        show_details,
    )

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
    found = api.compare(a, b, suite=suite, db=db)
    print_details(comparison_details(found, table_width()))
    if images:
        differing = api.discordant(a, b, suite=suite, db=db)
        print_details(discordant_details(differing, found.a, found.b), apart=True)
    return 0
