"""`bench correlate`: how the suites hang together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from benchmark.cli.options import db_option, format_option, models_option, output_option
from benchmark.cli.printing import put_in, say, table_console


@click.command()
@models_option
@click.option(
    "--method",
    type=click.Choice(["spearman", "pearson"]),
    default="spearman",
    show_default=True,
    help="Of the partial correlation, and where a family is left out.",
)
@click.option("--reported", is_flag=True, help="Published scores instead, each source by itself.")
@click.option("--contrasts", is_flag=True, help="csv: the contrasts of recipes, not the pairs.")
@format_option
@output_option
@db_option
def correlate(
    models: str | None,
    method: Literal["spearman", "pearson"],
    reported: bool,
    contrasts: bool,
    form: str | None,
    output: Path | None,
    db: str | None,
) -> int:
    """Every suite's headline against every other, over all networks: rank and linear correlation, and the rank
    correlation that is left given clean accuracy, each with an interval over families of networks. Two headlines that
    are made of the same answers are never correlated: one of them is taken without the experiment that they share.

    Below: recipes (stylised, adversarial, noise, ...) minus the standard one, paired by source, architecture and seed.
    """
    from benchmark import api
    from benchmark.leaderboard.export import export_records
    from benchmark.leaderboard.links import contrast_records, link_details, link_records
    from benchmark.leaderboard.render import render_details

    found = api.correlate(models=models, method=method, reported=reported, db=db)
    if not any(links for _, links, _ in found):
        say(
            "no source has two published scores: `bench import scores` brings them in."
            if reported
            else "two suites with scores are needed: `bench run --suite all` makes them.",
            err=True,
        )
        return 0
    if form or output:
        records = [
            record
            for summary, links, pairs in found
            for record in (
                contrast_records(pairs, summary.space)
                if contrasts
                else link_records(links, summary.space)
            )
        ]
        text = export_records(records, form or "csv")
        put_in(text, output)
        return 0
    console = table_console()
    for summary, links, pairs in found:
        console.print(render_details(link_details(links, pairs, summary.space)), "")
    return 0
