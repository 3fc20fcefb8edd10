"""`bench board`: leaderboards that are made as a whole."""

from __future__ import annotations

import shlex

import click

from benchmark.cli.options import db_option
from benchmark.cli.printing import safe_console, say


@click.group()
def board() -> None:
    """Leaderboards that are made as a whole."""


@board.command()
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Only this collection (repeatable): human-trials, error-consistency, ... (default: all).",
)
@db_option
def reference(sources: tuple[str, ...], db: str | None) -> int:
    """Published networks and people in one leaderboard, so that your network stands among them.

    Gets what is not on this disk (from BENCH_MIRROR first, where it is set) and brings it in. Default leaderboard:
    reference.db in BENCH_HOME. A second time adds nothing. Exit code 3 where a part could not be got or read.
    """
    from benchmark import api
    from benchmark.cli.progress import Bars

    console = safe_console(stderr=True)
    with Bars(console) as bars:
        shown = bars if console.is_terminal else None
        made = api.reference(
            sources, db=db, report=lambda line: say(line, err=True), progress=shown
        )
    for line in (*made.notes, *made.failed):
        say(line, err=True)
    alone = f", scores alone of {made.reported} more" if made.reported else ""
    say(
        f"{made.observers} networks and {made.people} people in {made.db}{alone}: {made.trials} new trials"
    )
    place = shlex.quote(made.db)
    say(f"your network among them: bench run -m MODEL --suite cue-conflict --db {place}")
    say(f"the table: bench rank cue-conflict --db {place}")
    return 3 if made.failed else 0
