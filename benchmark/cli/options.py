"""Options that several commands share."""

import math
from collections.abc import Callable
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


class StatedPlace(click.types.StringParamType):
    """A file, folder or URL. An empty text is a variable of the shell that is not set, and stands for no default."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuses an empty text."""
        if not str(value).strip():
            self.fail("expected a place, got '' (a variable that is not set?).", param, ctx)
        return str(value)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Several options as one, in their order."""

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return added


db_option = click.option(
    "--db",
    type=StatedPlace(),
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
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), help="Show only this many stimuli of each set."
)
precision_option = click.option(
    "--precision", default="fp32", show_default=True, type=click.Choice(["fp32", "tf32", "bf16"])
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Start at once, whatever it costs.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress.")
_CHOICES = {
    "kind": "Only these: model, published, reported, human, group, simulated, ideal.",
    "source": "Only observers of this published collection.",
    "recipe": "Only observers with this recipe tag: 'stylised', 'adversarial*'.",
    "family": "Only this family of networks: resnet, vit, clip.",
}
#: Which observers: patterns, several separated by commas.
filter_options = together(
    *(
        click.option(f"--{name}", default="", metavar="PATTERN", help=text)
        for name, text in _CHOICES.items()
    )
)
