"""`bench run`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.asking import agreed, estimate_table
from benchmark.cli.options import FiniteRange, db_option, limit_option, precision_option
from benchmark.cli.printing import as_typed, say, table_console
from registry.errors import some_of

if TYPE_CHECKING:
    from benchmark.api import Prepared
    from benchmark.engine.score_shards import RunReport


def _old_slurm(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> None:
    if given:
        raise click.UsageError(
            "--slurm is now an option of sbatch, given to the script of --print-array slurm: "
            "bash array.sh --partition=gpu --time=4:00:00"
        )


@click.command()
@click.argument("what", metavar="[PATH_OR_NAME]...", nargs=-1)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="PATTERN",
    help="Model names, globs or comma lists; repeatable.",
)
@click.option("--arch", default="", metavar="SOURCE:NAME", help="Of checkpoints given by path.")
@click.option("--labels", metavar="SPACE|FILE", help="Of checkpoints given by path.")
@click.option(
    "--suite", "-s", "suites", default="all", show_default=True, metavar="NAME[:VARIANT]|all"
)
@limit_option
@click.option(
    "--stimuli", default="", metavar="SET", help="Sets that play their role before all others."
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, cuda:1, mps; several, a process each: cuda:all, or cuda:0,cuda:2, or cpu,cpu.",
)
@precision_option
@click.option("--batch-size", default="auto", show_default=True, metavar="auto|N")
@click.option("--compile", is_flag=True, help="torch.compile the networks.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of everything random; one stream per stimulus.",
)
@click.option(
    "--precision-target",
    type=FiniteRange(0, 0.5, min_open=True, max_open=True),
    metavar="X",
    help="Stop sampling a condition when its interval is at most +-X wide (suites that can).",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the plan, what is cached and what it would cost; run nothing.",
)
@click.option(
    "--shard",
    default=None,
    metavar="I/N",
    help="Part I of N of the plan, with a leaderboard of its own (--db); `bench db merge` joins and scores them.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="local|ray",
    help="local: the devices of this machine; ray: those of a Ray cluster.",
)
@click.option("--address", metavar="ADDRESS", help="Of the Ray cluster; without it, this machine.")
@click.option(
    "--gpus-per-task",
    default=1.0,
    show_default=True,
    type=FiniteRange(min=0, max=64, min_open=True),
    help="GPUs that each Ray task asks for; 0.5: two of them on one.",
)
@click.option(
    "--print-array",
    type=click.Choice(["slurm"]),
    help="Run nothing; print a script that submits the plan as a job array, and its merge.",
)
@click.option(
    "--tasks",
    default=8,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Of --print-array.",
)
@click.option("--slurm", multiple=True, hidden=True, expose_value=False, callback=_old_slurm)
@click.option("--strict", is_flag=True, help="Exit 3 where a suite does not apply to a model.")
@click.option(
    "--yes", "-y", is_flag=True, help="Start at once, whatever it costs; else a terminal is asked."
)
@click.option("--quiet", "-q", is_flag=True, help="No progress bars, and no line a minute.")
@db_option
def run(
    what: tuple[str, ...],
    models: tuple[str, ...],
    arch: str,
    labels: str | None,
    batch_size: str,
    shard: str | None,
    print_array: str | None,
    tasks: int,
    dry_run: bool,
    strict: bool,
    yes: bool,
    quiet: bool,
    db: str | None,
    **options: Any,
) -> int:
    """Run suites on models, store every trial, and print the ranking.

    A path of a checkpoint (with --arch) or of a folder of timm registers it on the way. Without a model: all that needs
    no download (the built-in world's networks and observers, weights of installed packages). An interrupted run resumes
    by the same command.
    """
    from benchmark import api
    from benchmark.variables import read_settings

    request = api.RunRequest(
        models=_patterns((*models, *(_named(one, arch, labels) for one in what))),
        batch=_batch(batch_size),
        shard=_shard(shard),
        **options,
    )
    settings = read_settings(db)
    prepared = api.prepare(request, settings)
    _broken(prepared)
    if print_array:
        click.echo(api.array_script(request, settings.db, tasks), nl=False)
        return 0
    if dry_run:
        _print_plan(prepared)
        return 0
    if not agreed(prepared, yes=yes):
        say("not started; with --limit N it is a smaller run.", err=True)
        return 1
    return _ended(prepared, _carry_out(prepared, quiet), strict)


def _ended(prepared: Prepared, report: RunReport, strict: bool) -> int:
    """The exit code, with a line on a run that did nothing."""
    if prepared.part and not prepared.tasks:
        say(f"nothing of the plan is left for {prepared.part}: it has fewer blocks", err=True)
        return 0
    if report.exit_code == 1 and not report.failed:
        say("nothing ran: none of these suites applies to these models.", err=True)
    lacking = strict and report.skipped and not report.failed
    return 3 if lacking else report.exit_code


def _patterns(models: tuple[str, ...]) -> str:
    """The patterns as one; without any, what needs no download."""
    from benchmark.api import DEFAULT_MODELS

    if any(not pattern.strip(" ,") for pattern in models):
        raise click.BadParameter("expected a name or a pattern, got ''", param_hint="--model")
    return ",".join(models) or DEFAULT_MODELS


def _named(what: str, arch: str, labels: str | None) -> str:
    """A model's name or pattern; a checkpoint or folder given by its path is registered first, under its own name."""
    from benchmark import api

    card, checks = api.named_or_registered(what, arch, labels)
    for check in checks:
        say(f"ok    {check.name}: {check.detail}", err=True)
    return card


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,6}", text):
        raise click.BadParameter(
            f"expected 'auto' or a number of at least 1, got '{text}'", param_hint="--batch-size"
        )
    return int(text)


def _shard(text: str | None) -> str:
    """The part as given, checked before anything is planned."""
    from benchmark.engine.plan import parse_shard
    from benchmark.errors import BenchError

    try:
        return "" if text is None else str(parse_shard(text))
    except BenchError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from error


def _broken(prepared: Prepared) -> None:
    for name, reason in prepared.suites.broken.items():
        say(f"warning: suite '{name}' is left out: {reason}", err=True)


def _carry_out(prepared: Prepared, quiet: bool) -> RunReport:
    from benchmark import api
    from benchmark.cli.progress import reporting

    part = f"{prepared.part}: " if prepared.part else ""
    say(f"{part}writing to {prepared.settings.db}", err=True)
    command = as_typed()
    started = time.monotonic()
    with reporting(quiet=quiet, planned=api.planned_passes(prepared)) as reporter:
        report = api.execute(prepared, reporter, command)
    _print_report(report, time.monotonic() - started)
    if prepared.part:
        say(
            "nothing is scored yet: `bench db merge` joins the leaderboards of all shards and scores them",
            err=True,
        )
        return report
    _print_ranking(prepared)
    if offer := api.offer_reference(prepared):
        say(offer, err=True)
    return report


def _print_report(report: RunReport, seconds: float) -> None:
    counts = (
        ", ".join(f"{number} {status}" for status, number in sorted(report.counts.items()))
        or "nothing to do"
    )
    say(f"{counts} in {seconds:.0f} s", err=True)
    for name, reason in report.failed.items():
        say(f"failed: {name}: {reason}", err=True)
    for line in _not_applicable(report.skipped):
        say(line, err=True)


def _not_applicable(skipped: Mapping[str, str]) -> Iterator[str]:
    """A line per reason, with the first of those that it keeps out. skipped: "MODEL under SUITE" -> reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield f"not applicable: {some_of(names, 3)}: {reason}"


def _print_ranking(prepared: Prepared) -> None:
    """The board of the suite that was run; of several suites their headlines side by side."""
    from benchmark.cli.board import print_boards, print_summary

    names = list(dict.fromkeys(task.suite.name for task in prepared.tasks))
    if len(names) == 1:
        print_boards(names[0], db=prepared.settings.db)
    elif print_summary(db=prepared.settings.db):
        say("every column of a suite: bench rank SUITE; two models: bench compare A B")


def _print_plan(prepared: Prepared) -> None:
    from benchmark import api
    from benchmark.engine.estimating import total

    lines = api.estimates(prepared)
    table_console().print(estimate_table(lines, f"plan (leaderboard: {prepared.settings.db})"))
    say(total(lines))
    rest = [task for task in prepared.tasks if not task.plan.blocks]
    for line in _not_applicable({f"{t.card.name} under {t.suite.name}": t.reason for t in rest}):
        say(line)
