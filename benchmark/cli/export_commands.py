"""`bench import`, `export` and `db`."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import click
from rich.filesize import decimal

from benchmark import api
from benchmark.api.databases import MergeReport
from benchmark.api.leaderboard_import import LeaderboardReport
from benchmark.api.options import Db, Option
from benchmark.cli.derive import command, result_of
from benchmark.cli.printing import echo_data, echo_line, echo_lines
from benchmark.display import counted
from benchmark.engine.trial_import import ImportReport, ScoresReport
from benchmark.failures import UsageError
from benchmark.store import Status, open_store
from benchmark.variables import read_settings

#: What asks for tables.
OF_TABLES = ("by", "unseen_only", "format", "every_score", "trials_of", "output")
_COUNTED = ("runs", "observers", "stimuli", "observations", "chunks", "trials", "score_sets", "scores", "outcomes")


@command(api.export)
def export(
    *,
    bundle: Annotated[
        Path | None, Option("Write page, scores with trials and cards in one zip.", kind="new file", without=OF_TABLES)
    ] = None,
    experiment: Annotated[str | None, Option("Write an experiment to the .tar.gz of --output.", metavar="NAME")] = None,
    **asked: Any,
) -> None:
    if experiment is not None:
        from benchmark.api.experiment_archives import export_experiment

        if asked["output"] is None:
            raise UsageError(f"--experiment needs a file: -o {experiment}.tar.gz.")
        images, answers = export_experiment(asked["leaderboard"], experiment, Path(asked["output"]))
        echo_line(f"{asked['output']}: {counted(images, 'image')}, {counted(answers, 'trial')} of {experiment}")
    elif bundle is None:
        echo_data(api.export(**asked))
    else:
        from benchmark.report.bundles import bundle as write

        held = write(asked["leaderboard"], bundle, asked["suite"])
        trials = counted(sum(row.n for row in held.observations), "trial")
        contents = f"{counted(len(held.observers), 'observer')}, {counted(len(held.scores), 'score')}, {trials}"
        echo_line(f"{bundle}: {contents}")


badge = result_of(api.badge)(echo_data)
cite = result_of(api.cite)(echo_data)


@result_of(api.import_trials, "trials")
def import_trials(report: ImportReport) -> int:
    echo_line(f"from {', '.join(report.sources)} (another name: --source NAME)")
    for experiment, observers in report.observers.items():
        echo_line(f"{experiment}: {counted(len(observers), 'observer')}")
    echo_lines(report.notes)
    echo_line(f"{counted(report.trials, 'trial')} imported, {counted(report.known, 'observation')} were already stored")
    echo_lines(report.unfit, "left out: ", err=True)
    return 3 if report.unfit else 0


def _say_scores(report: ScoresReport) -> None:
    echo_lines(report.notes)
    changed = f", {report.changed} have another value now" if report.changed else ""
    echo_line(
        f"{counted(report.scores, 'score')} of {counted(len(report.observers), 'observer')} imported "
        f"from {', '.join(report.sources)}, {report.known} were already stored{changed}"
    )


import_scores = result_of(api.import_scores, "scores")(_say_scores)


@result_of(api.import_leaderboard, "leaderboard")
def import_leaderboard(report: LeaderboardReport) -> int:
    echo_lines(report.notes)
    echo_lines(report.left_out, "left out: ", err=True)
    echo_lines(report.different, "differs: ", err=True)
    echo_lines(report.refused, "refused: ", err=True)
    if report.trials or not report.reported.observers:
        trials, sets = counted(sum(report.trials.values()), "trial"), counted(report.scored, "score set")
        echo_line(f"{trials} of {counted(len(report.trials), 'observer')} imported and scored: {sets}")
    if report.reported.observers:
        _say_scores(report.reported)
    return 3 if report.left_out or report.different or report.refused else 0


@click.group("import", commands=[import_trials, import_scores, import_leaderboard])
def import_group() -> None:
    """Import trials of people and networks, or scores."""


@result_of(api.merge)
def merge(report: MergeReport) -> int:
    for merged in report.merged:
        new = f"{merged.observations} new observations with {merged.trials} new trials"
        echo_line(f"{merged.place}: {new}, {merged.known} trials were already stored")
    echo_lines(report.conflicts, "conflict: ", err=True)
    echo_lines((f"{name}: {why}" for name, why in report.waiting.items()), "not scored: ", err=True)
    unfinished = "is unfinished in this leaderboard: run it, then merge again"
    echo_lines((f"{part} {unfinished}" for part in report.lacking), err=True)
    echo_line(f"{report.scored} score sets written to {report.into}")
    return report.exit_code


@result_of(api.db_status, "status")
def status(state: Status) -> None:
    echo_line(f"{state.place}: {state.server}, {decimal(state.size)}")
    other = f", this program's is {state.newest}"
    echo_line(f"schema {state.revision}{'' if state.revision == state.newest else other}")
    for name in _COUNTED:
        if name in state.counts:
            echo_line(f"{state.counts[name]:>12} {name.replace('_', ' ')}")
    if state.open_runs:
        echo_line(f"unfinished runs, still running or killed: {state.open_runs}")
    if state.incomplete:
        echo_line(f"{state.incomplete} observations lack trials: repeat the run's command to resume")


@result_of(api.check_db, "check")
def check(problems: list[str]) -> int:
    echo_lines(problems, err=True)
    echo_line(f"{len(problems)} problems" if problems else "sound: every row was read")
    return 1 if problems else 0


@command()
def vacuum(*, db: Db = None) -> None:
    """Return unused space to the disk; update query statistics.

    No other process may be writing."""
    with open_store(read_settings(db).db, create=False) as store:
        before, after = store.vacuum()
    echo_line(f"{decimal(before)} -> {decimal(after)}")


rescore = result_of(api.rescore)(lambda sets: echo_line(f"{sets} score sets written"))


@command(api.reference)
def reference(**asked: Any) -> int:
    from benchmark.cli.progress import reporting

    with reporting() as reporter:
        report = api.reference(**asked, reporter=reporter)
    echo_lines((*report.notes, *report.failed), err=True)
    alone = f", scores alone of {report.reported} more" if report.reported else ""
    who = f"{counted(report.observers, 'network')} and {report.people} people in {report.db}{alone}"
    echo_line(f"{who}: {counted(report.trials, 'new trial')}")
    place = shlex.quote(report.db)
    echo_line(f"your network among them: bench run -m MODEL --suite {','.join(report.suites)} --db {place}")
    echo_line(f"the tables: bench rank --db {place}")
    return 3 if report.failed else 0


@click.group(commands=[merge, status, check, rescore, reference, vacuum])
def db() -> None:
    """Merge, check and rescore leaderboards.

    A leaderboard is a file path or a URL (postgresql://USER@HOST/NAME)."""
