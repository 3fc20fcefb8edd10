"""`bench report`, `plot`, `serve`: the leaderboard to look at."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import db_option
from benchmark.cli.printing import say


@click.command()
@click.option(
    "--out",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    metavar="DIR",
    help="Folder to write; a report that is there is written over.",
)
@db_option
def report(out: Path, db: str | None) -> int:
    """The leaderboard as pages that open from disk: tables, figures, observers, comparisons, links, stimuli.

    Everything is drawn now: the pages need no connection and no JavaScript, and nothing is run.
    """
    from benchmark.report.building import build
    from benchmark.settings import read_settings

    site = build(read_settings(db), out)
    say(f"{out / 'index.html'}: {site.pages} pages, {site.written / 1e6:.1f} MB")
    return 0
