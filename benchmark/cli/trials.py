"""`bench trials`, `bench import trials`, `bench rescore`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import db_option, suite_option
from benchmark.errors import BenchError


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
        click.echo(frame.to_csv(index=False), nl=False)
    elif output.endswith(".parquet"):
        _parquet(frame, output)
    else:
        frame.to_csv(output, index=False)
    return 0


def _parquet(frame: object, output: str) -> None:
    try:
        frame.to_parquet(output, index=False)  # type: ignore[attr-defined]
    except ImportError as error:
        raise BenchError(
            "Parquet needs pyarrow: pip install 'gestaltbench[parquet]', or write a .csv."
        ) from error


@click.group("import")
def import_group() -> None:
    """Bring in trials of people and of published networks."""


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
@db_option
def import_trials(path: Path, training: tuple[str, ...], source: str | None, db: str | None) -> int:
    """Import a CSV or a folder of them, in the layout of model-vs-human and texture-vs-shape.

    Columns: subj, session, trial, rt, object_response, category, condition, imagename. A malformed file is named
    with its row, and nothing of it is imported. Recipes of published networks also come from a file training.yaml
    in the folder (OBSERVER: [RECIPE, ...]) and from the names of Geirhos et al. 2018; a second import may add them.

    An observer is a name of a source, "resnet50 (texture-vs-shape)": networks of one name from two sources are two.
    Several tables of one observer are joined; where answers differ, a later import takes the earlier one's place.
    """
    from benchmark import api

    report = api.import_trials(path, training=training, source=source, db=db)
    click.echo(f"from {', '.join(report.sources)} (another name: --source NAME)")
    for experiment, observers in report.observers.items():
        click.echo(f"{experiment}: {len(observers)} observers")
    for line in report.notes:
        click.echo(line)
    click.echo(f"{report.trials} trials imported, {report.known} observations were already there")
    return 0


@click.command()
@suite_option
@db_option
def rescore(suite: str | None, db: str | None) -> int:
    """Score stored trials again with today's metrics. No model is loaded."""
    from benchmark import api

    click.echo(f"{api.rescore(suite, db=db)} score sets written")
    return 0
