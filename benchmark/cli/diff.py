"""`bench diff`: a verdict on a new model, for a pull request and for CI."""

from __future__ import annotations

import click

from benchmark.cli.options import db_option, suite_option
from benchmark.cli.printing import put_out


@click.command()
@click.argument("base")
@click.argument("new")
@click.option(
    "--noninferior",
    type=click.FloatRange(0, min_open=True),
    metavar="X",
    help="Show that NEW is at most X worse, in units of each metric (0.01: a percentage point).",
)
@suite_option
@click.option(
    "--images",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Flipped images listed per suite.",
)
@db_option
def diff(
    base: str, new: str, noninferior: float | None, suite: str | None, images: int, db: str | None
) -> int:
    """Whether NEW is worse than BASE: each suite's headline, paired, with the images that flipped, as Markdown.

    Exit codes: 0 no change for the worse (with --noninferior: shown to be not inferior), 1 worse, 3 inconclusive.
    """
    from benchmark import api
    from benchmark.leaderboard.verdicts import diff_markdown

    found = api.diff(base, new, noninferior=noninferior, suite=suite, db=db)
    put_out(diff_markdown(found, images))
    return found.exit_code
