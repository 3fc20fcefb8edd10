"""`bench sweep` and `bench watch`: the checkpoints of a training run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.model_input import given_options, input_options
from benchmark.cli.options import (
    FiniteRange,
    StatedPlace,
    db_option,
    limit_option,
    precision_option,
    quiet_option,
    together,
    yes_option,
)
from benchmark.cli.printing import as_typed, say, table_console
from benchmark.errors import BenchError
from registry.files import expanded

if TYPE_CHECKING:
    from benchmark.api import Sweep, Swept


_checkpoint_options = together(
    click.argument(
        "folder", type=StatedPlace(), callback=lambda _context, _argument, text: expanded(text)
    ),
    click.option(
        "--arch", default="", metavar="SOURCE:NAME", help="As of `bench register`; of all of them."
    ),
    click.option(
        "--pattern", default="", metavar="GLOB", help="Which files, e.g. '*.pt' or '*/model.pt'."
    ),
    click.option(
        "--every", type=click.IntRange(min=1), default=1, metavar="N", help="Each N-th checkpoint."
    ),
    click.option("--name", default="", help="Of the run (default: the folder's name)."),
    click.option("--labels", metavar="SPACE|FILE", help="As of `bench register`."),
    click.option("--key", metavar="NAME", help="Which weights of a file that holds several."),
    click.option("--training", multiple=True, metavar="TAG", help="Recipe tag; repeatable."),
    click.option("--suite", "-s", default="all", show_default=True, metavar="NAME[:VARIANT]|all"),
    limit_option,
    click.option("--device", default="auto", show_default=True),
    precision_option,
    click.option("--seed", default=0, show_default=True),
    quiet_option,
    input_options,
    db_option,
)


@click.command()
@_checkpoint_options
@yes_option
def sweep(folder: Path, quiet: bool, yes: bool, db: str | None, **options: Any) -> int:
    """Register and run every checkpoint of FOLDER as one training run, under the cheapest suite first, and draw every
    headline over training.

    Step or epoch are read from the names (step_1000.pt, epoch=3.ckpt), else from the files. A second time computes what
    is missing. Exit code 3 where a file could not be used.
    """
    from benchmark import api
    from benchmark.cli.asking import agreed
    from benchmark.cli.progress import reporting
    from benchmark.variables import read_settings

    settings = read_settings(db)
    say(f"writing to {settings.db}", err=True)
    with reporting(quiet=quiet) as reporter:
        done = api.sweep(
            _wanted(folder, options),
            settings,
            reporter,
            say=_told if quiet else reporter.note,
            agreed=lambda prepared: agreed(prepared, yes=yes),
            command=as_typed(),
        )
    if done is None:
        say("not started.", err=True)
        return 1
    return _ended(done, db)


@click.command()
@_checkpoint_options
@click.option(
    "--poll",
    type=FiniteRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks: a file is read once it was the same at two.",
)
@click.option(
    "--until",
    type=click.IntRange(min=0),
    metavar="STEP",
    help="End once this step was run, or its file does not load.",
)
def watch(
    folder: Path, quiet: bool, poll: float, until: int | None, db: str | None, **options: Any
) -> int:
    """Run the checkpoints of FOLDER as they appear, each under the cheapest suite first. Ctrl-C ends it.

    A file that is still being written is waited for, and said. Write checkpoints under another name and rename them
    where you can: then there is nothing to wait for.
    """
    from benchmark import api
    from benchmark.cli.progress import reporting
    from benchmark.variables import read_settings

    settings = read_settings(db)
    say(f"writing to {settings.db}; looking every {poll:g} s, Ctrl-C ends it", err=True)

    wanted = _wanted(folder, options)
    try:
        with reporting(quiet=quiet) as reporter:
            done = api.watch(
                wanted,
                settings,
                reporter,
                api.sleeping(poll),
                until=until,
                say=_told if quiet else reporter.note,
                command=as_typed(),
            )
    except KeyboardInterrupt:  # in the middle of a run: what is known by then, and the usual end
        with suppress(BenchError):
            print_curves(wanted.run, db)
        raise
    return _ended(done, db)


def print_curves(run: str, db: str | None) -> None:
    """The curves of a training run."""
    from benchmark import api
    from benchmark.leaderboard.render import render_details
    from benchmark.leaderboard.training_text import training_details

    console = table_console()
    if curves := api.training_curves(run, db=db):
        console.print(render_details(training_details(curves, console.width)))


def _wanted(folder: Path, options: dict[str, Any]) -> Sweep:
    from benchmark import api

    run = {name: options.pop(name) for name in ("limit", "device", "precision", "seed")}
    request = api.RunRequest(suites=options.pop("suite"), **run)
    sweep = {name: options.pop(name) for name in ("arch", "pattern", "every", "name")}
    return api.Sweep(folder, given=given_options(options), request=request, **sweep)


def _told(line: str) -> None:
    say(line, err=True)


def _ended(done: Swept, db: str | None) -> int:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(done.counts.items()))
    say(f"{len(done.models)} checkpoints of '{done.run}': {counts or 'nothing to do'}", err=True)
    for name, reason in done.failed.items():
        say(f"failed: {name}: {reason}", err=True)
    if done.counts["done"] + done.counts["cached"]:
        print_curves(done.run, db)
    return done.exit_code
