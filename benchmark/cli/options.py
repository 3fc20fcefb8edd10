"""Options that several commands share."""

import math
from pathlib import Path
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A number within bounds; NaN, which no bound stops, and infinity are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuses what is not finite."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


db_option = click.option(
    "--db",
    metavar="FILE|URL",
    help="Leaderboard: an SQLite file or a database URL (default: BENCH_DB, else results.db here).",
)
suite_option = click.option(
    "--suite", "-s", metavar="NAME", help="One suite, or several separated by commas."
)
by_option = click.option(
    "--by", metavar="METRIC|SUITE", help="Rank by this metric, or by a suite's headline."
)
unseen_option = click.option(
    "--unseen-only",
    is_flag=True,
    help="Without the conditions that any of the observers was trained on.",
)
models_option = click.option(
    "--model", "-m", "models", metavar="PATTERN", help="Only these observers."
)
format_option = click.option("--format", "form", type=click.Choice(["csv", "json", "markdown"]))
output_option = click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write."
)
