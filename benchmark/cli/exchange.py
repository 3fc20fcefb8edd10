"""What comes into a leaderboard and out of it: `bench import`, `export` and `db`."""

import shlex
from typing import Any

import click
from rich.filesize import decimal

from benchmark import api
from benchmark.api.options import Db
from benchmark.cli.derive import command
from benchmark.cli.printing import put_out, say, say_each
from benchmark.display import counted
from benchmark.store import open_store
from benchmark.variables import read_settings

_COUNTED = ("runs", "observers", "stimuli", "observations", "chunks", "trials", "score_sets", "scores", "outcomes")


@command(api.export)
def export(**asked: Any) -> int:
    put_out(api.export(**asked))
    return 0


@command(api.import_trials, name="trials")
def import_trials(**asked: Any) -> int:
    report = api.import_trials(**asked)
    say(f"from {', '.join(report.sources)} (another name: --source NAME)")
    for experiment, observers in report.observers.items():
        say(f"{experiment}: {counted(len(observers), 'observer')}")
    say_each(report.notes)
    say(f"{counted(report.trials, 'trial')} imported, {counted(report.known, 'observation')} were already there")
    say_each(report.unfit, "left out: ", err=True)
    return 3 if report.unfit else 0


@command(api.import_scores, name="scores")
def import_scores(**asked: Any) -> int:
    report = api.import_scores(**asked)
    say_each(report.notes)
    changed = f", {report.changed} have another value now" if report.changed else ""
    say(
        f"{counted(report.scores, 'score')} of {counted(len(report.observers), 'observer')} imported "
        f"from {', '.join(report.sources)}, {report.known} were already there{changed}"
    )
    return 0


@command(api.import_leaderboard, name="leaderboard")
def import_leaderboard(**asked: Any) -> int:
    report = api.import_leaderboard(**asked)
    say_each(report.notes)
    say_each(report.left_out, "left out: ", err=True)
    say_each(report.different, "differs: ", err=True)
    say_each(report.refused, "refused: ", err=True)
    say_each(report.conflicts, "conflict: ", err=True)
    if report.conflicts:
        say("nothing was imported: ask which number is right, or keep both with another --source NAME", err=True)
        return 3
    if report.trials or not (report.observers or report.known):
        trials, sets = counted(sum(report.trials.values()), "trial"), counted(report.scored, "score set")
        say(f"{trials} of {counted(len(report.trials), 'observer')} imported and scored: {sets}")
    if report.observers or report.known:
        say(
            f"{counted(report.scores, 'score')} of {counted(len(report.observers), 'network')} imported as reported "
            f"from {report.source} (another name: --source NAME), {report.known} were already here"
        )
    return 3 if report.left_out or report.different or report.refused else 0


@click.group("import", commands=[import_trials, import_scores, import_leaderboard])
def import_group() -> None:
    """Import trials of people and networks, or scores."""


@command(api.merge)
def merge(**asked: Any) -> int:
    report = api.merge(**asked)
    for merged in report.merged:
        say(
            f"{merged.place}: {merged.observations} new observations with {merged.trials} new trials, "
            f"{merged.known} trials were here"
        )
    say_each(report.conflicts, "conflict: ", err=True)
    for name, why in report.waiting.items():
        say(f"not scored: {name}: {why}", err=True)
    for part in report.lacking:
        say(f"{part} has not come to its end here: run it, and merge again", err=True)
    say(f"{report.scored} score sets written to {report.into}")
    return report.exit_code


@command(api.db_status)
def status(**asked: Any) -> int:
    state = api.db_status(**asked)
    say(f"{state.place}: {state.server}, {decimal(state.size)}")
    older = state.revision < state.newest
    what = "bench db upgrade" if older else "pip install --upgrade gestaltbench"
    other = f", this program's is {state.newest}: `{what}`"
    say(f"schema {state.revision}{'' if state.revision == state.newest else other}")
    for name in _COUNTED:
        if name in state.counts:
            say(f"{state.counts[name]:>12} {name.replace('_', ' ')}")
    if state.open_runs:
        say(f"runs without an end, which go on or were killed: {state.open_runs}")
    if state.incomplete:
        say(f"{state.incomplete} observations lack trials: the run's own command goes on with them")
    return 0


@command()
def upgrade(*, db: Db = None) -> int:
    """Upgrade an older leaderboard's schema.

    An interrupted upgrade leaves the old schema."""
    before = api.db_status(db).revision
    with open_store(read_settings(db).db, create=False):
        after = api.db_status(db).revision
    say(f"schema {after}: nothing to do" if before == after else f"schema {before} -> {after}")
    return 0


@command(api.check_db)
def check(**asked: Any) -> int:
    problems = api.check_db(**asked)
    say_each(problems, err=True)
    say(f"{len(problems)} problems" if problems else "sound: every row was read")
    return 1 if problems else 0


@command()
def vacuum(*, db: Db = None) -> int:
    """Return unused space to the disk; update query statistics.

    No other process may be writing."""
    with open_store(read_settings(db).db, create=False) as store:
        before, after = store.vacuum()
    say(f"{decimal(before)} -> {decimal(after)}")
    return 0


@command(api.rescore)
def rescore(**asked: Any) -> int:
    say(f"{api.rescore(**asked)} score sets written")
    return 0


@command(api.reference)
def reference(**asked: Any) -> int:
    from benchmark.cli.progress import reporting

    with reporting() as reporter:
        report = api.reference(**asked, reporter=reporter)
    say_each((*report.notes, *report.failed), err=True)
    alone = f", scores alone of {report.reported} more" if report.reported else ""
    say(
        f"{counted(report.observers, 'network')} and {report.people} people in {report.db}{alone}: "
        f"{counted(report.trials, 'new trial')}"
    )
    place = shlex.quote(report.db)
    say(f"your network among them: bench run -m MODEL --suite {','.join(report.suites)} --db {place}")
    say(f"the tables: bench rank --db {place}")
    return 3 if report.failed else 0


@click.group(commands=[merge, status, check, rescore, reference, upgrade, vacuum])
def db() -> None:
    """Merge, check and upgrade leaderboards.

    A leaderboard is a file path or a URL (postgresql://USER@HOST/NAME)."""
