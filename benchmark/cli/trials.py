"""`bench trials`, `bench import`, `bench rescore`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.exporting import save_parquet
from benchmark.cli.options import db_option, suite_option
from benchmark.cli.printing import put_out, say

if TYPE_CHECKING:
    from pandas import DataFrame


@click.command()
@click.argument("observer")
@click.option("--suite", "-s", default="cue-conflict", show_default=True, metavar="NAME")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False),
    help="FILE.csv or FILE.parquet (default: CSV on standard output).",
)
@db_option
def trials(observer: str, suite: str, output: str | None, db: str | None) -> int:
    """Every stored trial of one observer under one suite."""
    from benchmark import api

    frame = api.trials(observer, suite, db=db)
    if output is None:
        put_out(_csv(frame))
    elif output.endswith(".parquet"):
        save_parquet(frame, output)
    else:
        Path(output).write_text(_csv(frame), encoding="utf-8", newline="")
    return 0


def _csv(frame: DataFrame) -> str:
    """The trials as CSV, one line per trial."""
    text: str = frame.to_csv(index=False)
    # A carriage return inside a name is quoted only where all texts are.
    return text if "\r" not in text else frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)


@click.group("import")
def import_group() -> None:
    """Bring in trials of people and of published networks, and published scores."""


@import_group.command("trials")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--training",
    multiple=True,
    metavar="OBSERVER=RECIPE",
    help="What a published network was trained on (repeatable): 'my-net=noise(uniform)'.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Where the tables come from (default: told by their folder's name).",
)
@click.option(
    "--experiment",
    metavar="NAME",
    help="Whose images they show, where file and folder do not tell.",
)
@click.option("--observer", metavar="NAME", help="Who answered, where the table does not tell.")
@click.option(
    "--columns",
    default="",
    metavar="THEIRS=OURS,...",
    help="What the tables' columns mean: 'file=imagename,answer=object_response'.",
)
@db_option
def import_trials(path: Path, **options: Any) -> int:
    """Import a CSV or a folder of them, in the layout of model-vs-human and texture-vs-shape.

    Columns: subj, session, trial, rt, object_response, category, condition, imagename, decision_margin; or image,
    response, pred_label, whose files are called by their observers. A malformed file is named with its row and
    nothing of it is imported; the others of its folder are (exit code 3).

    Recipes of published networks also come from a file training.yaml in the folder (OBSERVER: [RECIPE, ...]) and from
    the names of Geirhos et al. 2018; a second import may add them.

    An observer is a name of a source, "resnet50 (texture-vs-shape)": networks of one name from two sources are two.
    Several tables of one observer are joined; where answers differ, a later import takes the earlier one's place.
    """
    from benchmark import api

    report = api.import_trials(path, **options)
    say(f"from {', '.join(report.sources)} (another name: --source NAME)")
    for experiment, observers in report.observers.items():
        say(f"{experiment}: {len(observers)} observers")
    for line in report.notes:
        say(line)
    say(f"{report.trials} trials imported, {report.known} observations were already there")
    for line in report.unfit:
        say(f"left out: {line}", err=True)
    return 3 if report.unfit else 0


@import_group.command("scores")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--source", metavar="NAME", help="Who published them (default: the file is called like it)."
)
@click.option(
    "--same",
    multiple=True,
    metavar="METRIC",
    help="This is the same quantity as our metric of that name (repeatable).",
)
@db_option
def import_scores(path: Path, source: str | None, same: tuple[str, ...], db: str | None) -> int:
    """Import published scores of which there are no trials: a CSV or JSON file, or the folder of
    critical-band-masking.

    Columns: observer, metric, value; where known low, high, level, n, condition, source, suite, note. JSON: a list of
    such records, or {observer: {metric: value}}.

    They stand in tables of their own below a suite's (`bench rank`): ordered, not ranked, and in no paired test.
    Importing again adds nothing; another value takes the earlier one's place.
    """
    from benchmark import api

    report = api.import_scores(path, source=source, same=same, db=db)
    for line in report.notes:
        say(line)
    changed = f", {report.changed} have another value now" if report.changed else ""
    say(
        f"{report.scores} scores of {len(report.observers)} observers imported from {', '.join(report.sources)}, "
        f"{report.known} were already there{changed}"
    )
    return 0


@import_group.command("leaderboard")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", metavar="NAME", help="Whose it is (default: the file is called like it).")
@db_option
def import_leaderboard(path: Path, source: str | None, db: str | None) -> int:
    """Import another laboratory's leaderboard: what `bench export --scores -o FILE.json` wrote there.

    Its networks stand on the boards as "NAME (SOURCE)", every number with a remark, and in no paired test: there are
    no trials of them here. What is here already is not stored twice. Where two numbers of the same thing differ,
    nothing is imported and the conflicts are shown (exit code 3).
    """
    from benchmark import api

    report = api.import_leaderboard(path, source=source, db=db)
    for line in report.notes:
        say(line)
    for line in report.left_out:
        say(f"left out: {line}", err=True)
    for line in report.conflicts:
        say(f"conflict: {line}", err=True)
    if report.conflicts:
        say(
            "nothing was imported: ask which number is right, or keep both with another --source NAME",
            err=True,
        )
        return 3
    say(
        f"{report.scores} scores of {len(report.observers)} networks imported from {report.source} (another name: "
        f"--source NAME), {report.known} were already here"
    )
    return 3 if report.left_out else 0


@click.command()
@suite_option
@db_option
def rescore(suite: str | None, db: str | None) -> int:
    """Score stored trials again with today's metrics. No model is loaded."""
    from benchmark import api

    say(f"{api.rescore(suite, db=db)} score sets written")
    return 0
