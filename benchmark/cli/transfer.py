"""`bench transfer`: trained on the row, tested on the column."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import (
    db_option,
    format_option,
    models_option,
    output_option,
    suite_option,
)
from benchmark.cli.printing import put_in, say, table_console


@click.command()
@suite_option
@click.option(
    "--conditions",
    "-c",
    default="default",
    show_default=True,
    metavar="WAY|PATTERN,...",
    help="Columns: the published test levels (default), levels (each), mean (over levels), half (where people are "
    "nearest to half right), or patterns such as 'uniform-noise/*'.",
)
@click.option("--by-model", is_flag=True, help="One row per observer, not per recipe.")
@models_option
@click.option(
    "--claim",
    "claims",
    nargs=2,
    multiple=True,
    metavar="TRAIN TEST",
    help="Does training on TRAIN help on TEST? (Default: every noise against every other.)",
)
@format_option
@output_option
@db_option
def transfer(
    suite: str | None,
    conditions: str,
    by_model: bool,
    models: str | None,
    claims: tuple[tuple[str, str], ...],
    form: str | None,
    output: Path | None,
    db: str | None,
) -> int:
    """The transfer matrix of Geirhos et al. 2018: accuracy of each training recipe under each degradation.

    Rows are the recipes that cards state (`bench import trials --training` for published networks); cells that a
    recipe trains on are marked. Below: how much of what training against one noise gains carries over to another.
    """
    from benchmark import api
    from benchmark.leaderboard.transfer_text import export_transfer, render_transfer

    told = api.transfer(
        suite, conditions=conditions, by_model=by_model, models=models, claims=claims, db=db
    )
    if not told:
        say(
            "no trials under degradations yet: `bench run --suite corruption` makes them.", err=True
        )
    elif form or output:
        text = export_transfer(told, form or "csv")
        put_in(text, output)
    else:
        console = table_console()
        console.print(render_transfer(told, console.width))
    return 0
