"""`bench diff`: a verdict on a new model, for a pull request and for CI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import FiniteRange, db_option, suite_option
from benchmark.cli.printing import as_typed, put_out, say
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.api import RunRequest
    from benchmark.leaderboard.comparison import Diff, Margin


@click.command()
@click.argument("base")
@click.argument("new")
@click.option(
    "--noninferior",
    type=FiniteRange(0, min_open=True),
    metavar="X",
    help="Show that NEW is at most X worse, in units of each metric (0.01: a percentage point).",
)
@click.option(
    "--equivalent",
    type=FiniteRange(0, min_open=True),
    metavar="X",
    help="Show that NEW is within X of BASE either way, in units of each metric.",
)
@click.option(
    "--precision-target",
    type=FiniteRange(0, 0.5, min_open=True, max_open=True),
    metavar="X",
    help="Run both on images in random order until the answer is clear, or the difference is known to +-X.",
)
@suite_option
@click.option(
    "--images",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Flipped images listed per suite.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="With --precision-target: images at most."
)
@click.option("--device", default="auto", show_default=True, help="With --precision-target.")
@click.option("--yes", "-y", is_flag=True, help="With --precision-target: start at once.")
@click.option("--quiet", "-q", is_flag=True, help="With --precision-target: no progress.")
@db_option
def diff(
    base: str,
    new: str,
    noninferior: float | None,
    equivalent: float | None,
    precision_target: float | None,
    suite: str | None,
    images: int,
    limit: int | None,
    device: str,
    yes: bool,
    quiet: bool,
    db: str | None,
) -> int:
    """Whether NEW is worse than BASE: each suite's headline, paired, with the images that flipped, as Markdown.

    From stored trials; with --precision-target both are run, and only as far as the answer needs. BASE may be "people":
    all people as a group. Exit codes: 0 no change for the worse (with --noninferior or --equivalent: shown to be so),
    1 worse or not equivalent, 2 an error, 3 inconclusive.
    """
    from benchmark import api
    from benchmark.leaderboard.comparison import diff_markdown

    found: Diff | None
    with _no_verdict():
        if precision_target is None:
            if limit is not None or device != "auto":
                raise click.UsageError(
                    "--limit and --device need --precision-target, which runs both."
                )
            found = api.diff(
                base, new, noninferior=noninferior, equivalent=equivalent, suite=suite, db=db
            )
        else:
            request = api.RunRequest(suites=suite or "all", limit=limit, device=device)
            margin = api.asked_margin(noninferior, equivalent)
            found = _run(base, new, precision_target, margin, request, yes, quiet, db)
        if found is None:
            say("not started.", err=True)
            return 3
        put_out(diff_markdown(found, images))
    return found.exit_code


@contextmanager
def _no_verdict() -> Iterator[None]:
    """An error ends with 2: 1 says that the new one is worse."""
    try:
        yield
    except BrokenPipeError:  # the reader has enough
        raise
    except (BenchError, OSError) as error:
        refused = BenchError(str(error))
        refused.exit_code = 2
        raise refused from error


def _run(
    base: str,
    new: str,
    target: float,
    margin: Margin | None,
    request: RunRequest,
    yes: bool,
    quiet: bool,
    db: str | None,
) -> Diff | None:
    from benchmark import api
    from benchmark.cli.asking import agreed
    from benchmark.cli.progress import reporting
    from benchmark.variables import read_settings

    with reporting(quiet=quiet) as reporter:
        return api.decide(
            base,
            new,
            target,
            read_settings(db),
            reporter,
            margin=margin,
            request=request,
            agreed=lambda prepared: agreed(prepared, yes=yes),
            command=as_typed(),
        )
