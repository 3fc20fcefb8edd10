"""The commands that run networks: `bench run`, `sweep`, `diff` and `reproduce`."""

import shlex
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import click

from benchmark import api
from benchmark.api.options import Option
from benchmark.api.sweeps import run_name
from benchmark.cli import NEXT
from benchmark.cli.derive import command
from benchmark.cli.models import print_checks
from benchmark.cli.printing import as_typed, corrected, echo_data, echo_line, echo_lines, prose_width, table_console
from benchmark.cli.progress import DownloadReport, agreed, estimate_table, reporting
from benchmark.cli.ranked_boards import own_boards, print_boards, print_summary
from benchmark.cli.tables import print_curves
from benchmark.display import counted, printable
from benchmark.engine.score_shards import RunReport
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard.comparison import diff_markdown
from benchmark.leaderboard.leaderboard_document import ATTESTATIONS, SURE
from benchmark.variables import read_settings
from registry.cards import builtin_cards
from registry.user_errors import some_of

VERDICTS = 3  # networks of a run that get one
MANY = 20  # lines on numbers
Images = Annotated[int, Option("List so many flipped images a suite.", least=0)]
Yes = Annotated[bool, Option("Start a long run without asking.", "--yes", "-y")]
Quiet = Annotated[bool, Option("Show no progress.", "--quiet", "-q")]


@command(api.run)
def run(
    what: Annotated[Sequence[str], Option("Names, checkpoints, or folders of timm.", metavar="[PATH_OR_NAME]...")] = (),
    *,
    models: str,
    arch: Annotated[str, Option("Use this architecture for a path.", "--arch", metavar="SOURCE:NAME")] = "",
    labels: Annotated[str | None, Option("Use these labels for a path.", "--labels", metavar="SPACE|FILE")] = None,
    convert: Annotated[bool, Option("Write a readable file beside one of another format.")] = False,
    dry_run: Annotated[bool, Option("Show the plan and its cost; run nothing.")] = False,
    print_array: Annotated[Literal["slurm"] | None, Option("Print a script that submits the plan.")] = None,
    tasks: Annotated[int, Option("Split it into this many tasks (with --print-array).", least=1, most=10_000)] = 8,
    fetch: Annotated[bool, Option("Fetch missing stimuli that may be fetched, without asking.")] = False,
    strict: Annotated[bool, Option("End with exit code 3 if a suite does not apply to a model.")] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    db: str | None = None,
    **asked: Any,
) -> int:
    """Run suites on models, store trials, print the ranking.

    A checkpoint's path (with --arch) or a folder of timm is registered first. Without a model, everything runs that
    needs no download: the built-in world's networks and observers, and weights of installed packages. Repeat the
    command to resume an interrupted run."""
    from benchmark.engine.costs import total_line

    named = []
    for word in what:
        if not word.strip(" ,"):
            raise click.BadParameter("expected a name or a pattern, got ''")
        name, checks = api.registered(word, arch, labels, convert=convert)
        named.append(name)
        print_checks(checks, err=True)
    if not (named and models == api.DEFAULT_MODELS):
        named.append(models)
    request, settings, own = api.RunRequest(models=named, **asked), read_settings(db), named != [api.DEFAULT_MODELS]
    prepared = api.prepare(request, settings)
    if print_array:
        click.echo(api.array_script(request, settings.db, tasks), nl=False)
        return 0
    for name, reason in prepared.suites.broken.items():
        echo_line(f"warning: suite '{name}' is skipped: {reason}", err=True)
    problems = _get_data(prepared, fetch=fetch, ask=not (dry_run or yes or quiet)) if fetch or own else None
    if problems is not None:
        prepared = api.prepare(request, settings)
    if dry_run:
        lines = api.estimates(prepared)
        table_console().print(estimate_table(lines, f"plan (leaderboard: {settings.db})"))
        echo_line(total_line(lines))
        for how in ("not applicable", "waiting for data"):
            left = (task for task in prepared.tasks if not task.plan.blocks and task.unplanned == how)
            _say_skipped({f"{task.card.name} under {task.suite.name}": task.reason for task in left}, how, err=False)
        return 0
    if not agreed(prepared, yes=yes):
        echo_line("not started; --limit N makes the run smaller.", err=True)
        return 1
    prepared = prepared.on_all_cores()
    # A user's own network is shown among its neighbours, not on the whole board.
    near = {card.name for card in prepared.cards} if own else None
    report = _carry_out(prepared, near, quiet=quiet)
    if not prepared.part:
        _show_standing(prepared, near)
    elif prepared.tasks:
        echo_line("nothing is scored yet: `bench db merge` joins and scores the leaderboards of all shards", err=True)
    else:
        echo_line(f"{prepared.part} is empty: the plan has fewer blocks", err=True)
        return 0
    waiting, code = report.ended("waiting for data"), report.exit_code
    if code == 1 and not report.failed:
        why = "the suites wait for data" if waiting else "these suites do not apply to these models"
        echo_line(f"nothing ran: {why}.", err=True)
    strictly = strict and not report.failed and bool(report.ended("not applicable") or waiting)
    return 3 if strictly or (problems and not code) else code


def _get_data(prepared: api.RunPlan, *, fetch: bool, ask: bool) -> list[str] | None:
    """Fetch what may be fetched: with `fetch`, or if a terminal agrees. Return the problems; None: nothing fetched."""
    needs = api.data_needs(prepared)
    echo_lines(["waiting for data:", *(f"  {need}" for need in needs)] if needs else (), err=True)
    able = [need for need in needs if need.fetchable]
    if able and not fetch and ask and sys.stdin.isatty() and sys.stderr.isatty():
        fetch = click.confirm("Fetch what may be fetched?", default=False, err=True)
    elif able and not fetch:
        echo_line("--fetch gets what may be fetched", err=True)
    if not (able and fetch):
        return None
    with DownloadReport() as report:
        problems = api.fetch_needs(able, prepared.settings, report)
    echo_lines(problems, "not fetched: ", err=True)
    return problems


def _carry_out(prepared: api.RunPlan, near: Collection[str] | None, *, quiet: bool) -> RunReport:
    db, planned = prepared.settings.db, [task for task in prepared.tasks if task.plan.blocks]
    if planned:
        under = ", ".join(dict.fromkeys(task.suite.name for task in planned))
        what = f"{counted(len({task.card.name for task in planned}), 'observer')} under {under}"
        answers = f"{sum(task.trials for task in planned):,} answers if none is stored"
        echo_line(f"{prepared.part and f'{prepared.part}: '}writing to {db}: {what}: {answers}", err=True)
    started, report, steps = time.monotonic(), RunReport(), prepared.steps() if planned else [prepared]
    for at, step in enumerate(steps, 1):
        if len(steps) > 1:
            echo_line(f"suite {at} of {len(steps)}: {step.only[0]}", err=True)
        # A cluster reports its own progress.
        passes = step.passes("card.name") if step.request.executor == "local" else {}
        with reporting(quiet=quiet, planned=passes) as reporter:
            report.join(api.execute(step, reporter, as_typed()))
        if len(steps) > 1 and not quiet:
            print_boards(api.Selection(db), own_boards(api.Selection(db), step.only[0], near, brief=True))
    pairs = f"{len(report.tasks)} pairs of observer and suite: " if len(report.tasks) > 1 else ""
    echo_line(f"{pairs}{_counts(report.counts)} in {time.monotonic() - started:.0f} s", err=True)
    echo_lines((f"{name}: {why}" for name, why in report.failed.items()), "failed: ", err=True)
    _say_skipped(report.ended("not applicable"))
    waiting: dict[str, list[str]] = {}
    for name, _, suite in (text.partition(" under ") for text in report.ended("waiting for data")):
        waiting.setdefault(name, []).append(suite)
    for suites in dict.fromkeys(map(tuple, waiting.values())):
        names = [name for name, own in waiting.items() if tuple(own) == suites]
        line = "" if near else f"; `bench run -m {names[0]}` lists what it needs"
        echo_line(f"waiting for data: {some_of(names, 3)} under {', '.join(suites)}{line}", err=True)
    return report


def _show_standing(prepared: api.RunPlan, near: Collection[str] | None) -> None:
    db = prepared.settings.db
    suites = list(dict.fromkeys(task.suite.name for task in prepared.tasks))
    if len(suites) == 1:
        print_boards(api.Selection(db), own_boards(api.Selection(db), suites[0], near))
    elif near is None or len(near) > 1:
        print_summary(api.Selection(db).where(models=sorted(near or ()) or None), paged=False)
    if near is None:
        pages = "bench report" + ("" if db == read_settings().db else f" --db {shlex.quote(db)}")
        echo_lines((*NEXT, f"      {pages:<58} all of it as pages (extra 'report'); pairs: bench compare"), err=True)
        return
    own = [card.name for card in prepared.cards if card.name not in builtin_cards()]
    shown = own or [card.name for card in prepared.cards if card.source != "ideal" and not card.simulated]
    answering = {task.card.name for task in prepared.tasks if task.plan.blocks}
    shown = [name for name in shown if name in answering]
    for name in shown[:VERDICTS]:
        try:
            echo_data("\n" + api.verdict(api.Selection(db), name).to("text", prose_width()))
        except BenchError as error:  # the run itself has ended well, or has said why not
            echo_line(f"no verdict on {name}: {error}", err=True)
    if len(shown) > VERDICTS:
        echo_line(f"and {len(shown) - VERDICTS} more: bench verdict NAME", err=True)


def _counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "nothing to do"


def _say_skipped(skipped: Mapping[str, str], how: str = "not applicable", *, err: bool = True) -> None:
    for reason in dict.fromkeys(skipped.values()):
        names = [name for name, why in skipped.items() if why == reason]
        echo_line(f"{how}: {some_of(names, 3)}: {reason}", err=err)


@command(api.sweep)
def sweep(*, yes: Yes = False, quiet: Quiet = False, **asked: Any) -> int:
    echo_line(f"writing to {read_settings(asked['db']).db}", err=True)
    leaderboard = api.Selection(asked["db"])
    asked |= {"command": as_typed(), "agreed": partial(agreed, yes=yes)}
    try:
        with reporting(quiet=quiet) as reporter:
            say = partial(echo_line, err=True) if quiet else reporter.note
            done = api.sweep(**asked, reporter=reporter, say=say)
    except KeyboardInterrupt:
        with suppress(BenchError):
            print_curves(leaderboard, run_name(asked["folder"], asked["name"]))
        raise
    if done is None:
        echo_line("not started.", err=True)
        return 1
    echo_line(f"{counted(len(done.models), 'checkpoint')} of '{done.run}': {_counts(done.counts)}", err=True)
    echo_lines((f"{name}: {why}" for name, why in done.failed.items()), "failed: ", err=True)
    if done.counts["done"] + done.counts["cached"]:
        print_curves(leaderboard, done.run)
    if done.left_out and (line := corrected(done.remedy)):
        echo_line(f"to use what was left out: {line}", err=True)
    return done.exit_code


@command(api.diff)
def diff(*, images: Images = 20, yes: Yes = False, quiet: Quiet = False, **asked: Any) -> int:
    try:
        with reporting(quiet=quiet) as reporter:
            verdict = api.diff(**asked, reporter=reporter, agreed=partial(agreed, yes=yes), command=as_typed())
        if verdict is None:
            echo_line("not started.", err=True)
            return 3
        echo_data(diff_markdown(verdict, images))
    except BrokenPipeError:
        raise
    except (BenchError, OSError) as error:  # exit code 1 means that the new model is worse
        raise UsageError(str(error)) from error
    return verdict.exit_code


@command(api.reproduce)
def reproduce(
    observer: Annotated[str | None, Option("An observer.")] = None,
    suite: Annotated[str | None, Option("A suite.")] = None,
    *,
    submission: Annotated[
        Path | None, Option("Answer a sample of a submission's trials again.", kind="folder", without=("observer",))
    ] = None,
    by: Annotated[str | None, Option("Attest as NAME (with --submission).", metavar="NAME")] = None,
    yes: Yes = False,
    quiet: Quiet = False,
    **asked: Any,
) -> int:
    if submission is not None:
        from benchmark.api import submissions

        found = submissions.attest(submission, by)
        shares = f"{found.agreeing} of {found.n} answers are those stored [{found.low:.3f}, {found.high:.3f}]"
        echo_line(f"{shares}: {submission / ATTESTATIONS / found.by}.json")
        return 0 if found.low >= SURE else 1
    if observer is None or suite is None:
        raise UsageError("`bench reproduce OBSERVER SUITE`, or --submission FOLDER.")
    asked |= {"observer": observer, "suite": suite}
    with reporting(quiet=quiet) as reporter:
        again = api.reproduce(**asked, reporter=reporter, agreed=partial(agreed, yes=yes))
    if again is None:
        echo_line("not started.", err=True)
        return 1
    told: dict[str, list[str]] = {}  # text -> the numbers that it is about
    for number in again.numbers:
        rows = [row for row in (number.stored, number.again) if row is not None]
        texts = [f"{r.value!r} [{r.low!r}, {r.high!r}] (n {r.n}{r.reason and f', {r.reason}'})" for r in rows]
        text = " is now ".join(texts) if number.again else f"not reproduced: {number.reason}"
        if number.equal:
            text = f"{number.stored.value!r}, " * (len(again.numbers) == 1) + "equal bit for bit"
        told.setdefault(text, []).append(f"{number.stored.metric} {number.stored.condition}".strip())
    echo_line(f"ran: {again.command}")
    echo_lines(f"{printable(some_of(names, 3))}: {printable(text)}" for text, names in [*told.items()][:MANY])
    if len(told) > MANY:
        echo_line(f"and {len(told) - MANY} more")
    return again.exit_code
