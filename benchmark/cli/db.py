"""`bench db`."""

from __future__ import annotations

import click

from benchmark.cli.options import StatedPlace, db_option
from benchmark.cli.printing import say

_COUNTED = (
    "runs",
    "observers",
    "stimuli",
    "observations",
    "chunks",
    "trials",
    "score_sets",
    "scores",
    "outcomes",
)


@click.group()
def db() -> None:
    """Leaderboards as data bases: SQLite files, or PostgreSQL for a team.

    A leaderboard is a file path or a URL (postgresql://USER@HOST/NAME).
    """


@db.command()
@click.argument("leaderboards", type=StatedPlace(), metavar="[FILE|URL]...", nargs=-1)
@click.option(
    "--into",
    type=StatedPlace(),
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
        say(
            f"{one.place}: {one.observations} new observations with {one.trials} new trials, "
            f"{one.known} trials were here"
        )
    for line in report.conflicts:
        say(f"conflict: {line}", err=True)
    for name, why in report.waiting.items():
        say(f"not scored: {name}: {why}", err=True)
    for part in report.lacking:
        say(f"{part} has not come to its end here: run it, and merge again", err=True)
    say(f"{report.scored} score sets written to {report.into}")
    return report.exit_code


@db.command()
@db_option
def status(db: str | None) -> int:
    """Schema version, size on disk, and what is in it. Nothing is changed."""
    from benchmark import api

    found = api.db_status(db)
    say(f"{found.place}: {found.server}, {_bytes(found.size)}")
    older = found.revision < found.newest
    what = "bench db upgrade" if older else "pip install --upgrade gestaltbench"
    other = f", this program's is {found.newest}: `{what}`"
    say(f"schema {found.revision}{'' if found.revision == found.newest else other}")
    for name in _COUNTED:
        if name in found.counts:
            say(f"{found.counts[name]:>12} {name.replace('_', ' ')}")
    if found.open_runs:
        say(f"runs without an end, which go on or were killed: {found.open_runs}")
    if found.incomplete:
        say(f"{found.incomplete} observations lack trials: the run's own command goes on with them")
    return 0


@db.command()
@db_option
def upgrade(db: str | None) -> int:
    """Bring an older leaderboard's schema up to date. Cut short, it leaves the old one."""
    from benchmark import api

    before, after = api.upgrade(db)
    say(f"schema {after}: nothing to do" if before == after else f"schema {before} -> {after}")
    return 0


@db.command()
@click.option("--rescore", is_flag=True, help="Compute scores again from the stored trials, too.")
@db_option
def check(rescore: bool, db: str | None) -> int:
    """Read all of it and say what is wrong: pages, keys, references, checksums. Exit code 1 if anything is.

    With --rescore, scores that today's code made are computed again from the trials, and those that differ are named.
    """
    from benchmark import api

    found = api.check_db(db, rescore=rescore)
    for line in found:
        say(line, err=True)
    say(f"{len(found)} problems" if found else "sound: every row was read")
    return 1 if found else 0


@db.command()
@db_option
def vacuum(db: str | None) -> int:
    """Give unused room back to the disk, and refresh what queries are planned by. No one else may be writing."""
    from benchmark import api

    before, after = api.vacuum(db)
    say(f"{_bytes(before)} -> {_bytes(after)}")
    return 0


def _bytes(number: int) -> str:
    """1234567 -> "1.2 MB"."""
    size, units = float(number), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 1000 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{number} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
