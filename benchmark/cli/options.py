"""Options that several commands share."""

import click

db_option = click.option(
    "--db",
    metavar="FILE|URL",
    help="Leaderboard: an SQLite file or a database URL (default: BENCH_DB, else results.db here).",
)
suite_option = click.option(
    "--suite", "-s", metavar="NAME", help="One suite, or several separated by commas."
)
