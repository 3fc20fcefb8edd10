"""`bench db`."""

from __future__ import annotations

import click

from benchmark.cli.printing import say


@click.group()
def db() -> None:
    """Leaderboards as data bases: SQLite files, or PostgreSQL for a team.

    A leaderboard is a file path or a URL (postgresql://USER@HOST/NAME).
    """


@db.command()
@click.argument("leaderboards", metavar="[FILE|URL]...", nargs=-1)
@click.option(
    "--into",
    metavar="FILE|URL",
    help="Where they come together, made if missing (default: BENCH_DB, else results.db here).",
)
def merge(leaderboards: tuple[str, ...], into: str | None) -> int:
    """Join leaderboards, and score what is whole now.

    \b
    bench run --shard 1/2 --db part-1.db     # on one machine
    bench run --shard 2/2 --db part-2.db     # on another
    bench db merge part-1.db part-2.db --into results.db

    Those that are merged are only read. What two of them have is stored once; every run comes with its command, host
    and versions. Answers or weights that differ under one name are named and left out. Without leaderboards, parts
    that wrote into one data base are scored. Merging again changes nothing.

    Exit codes: 0 all is in and scored, 3 something was left out or is not there yet, 1 nothing was done.
    """
    from benchmark import api

    report = api.merge(leaderboards, into)
    for one in report.merged:
        counted = one.counted
        say(
            f"{one.place}: {counted.observations} new observations with {counted.trials} new trials, "
            f"{counted.known} trials were here"
        )
    for line in report.conflicts:
        say(f"conflict: {line}", err=True)
    for name, why in report.waiting.items():
        say(f"not scored: {name}: {why}", err=True)
    for part in report.lacking:
        say(f"nothing of {part} is here: run it, and merge again", err=True)
    say(f"{report.scored} score sets written to {report.into}")
    return report.exit_code
