"""`bench export`: tables and documents into files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import by_option, db_option, suite_option, unseen_option
from benchmark.cli.printing import put_in
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from pandas import DataFrame

ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".parquet": "parquet",
}

FORMS = tuple(dict.fromkeys(ENDINGS.values()))


@click.command()
@suite_option
@by_option
@unseen_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="Default: by the ending of --output (.csv .json .md .tex .parquet), else csv.",
)
@click.option(
    "--scores",
    "everything",
    is_flag=True,
    help="Not the ranked tables but every score with its conditions: tidy csv or parquet; json: one document with all "
    "provenance (docs/export.md).",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write (default: standard output).",
)
@db_option
def export(
    suite: str | None,
    by: str | None,
    unseen_only: bool,
    form: str | None,
    everything: bool,
    output: Path | None,
    db: str | None,
) -> int:
    """The ranked tables at full precision (csv, json, parquet) or as printed (markdown, latex with booktabs)."""
    chosen = form_of(form, output)
    if everything:
        if by or unseen_only:
            raise click.UsageError(
                "--scores has every metric and condition: no --by, no --unseen-only."
            )
        scores_out(suite, chosen, output, db)
    else:
        boards_out(suite, by, unseen_only, chosen, output, db)
    return 0


def form_of(form: str | None, output: Path | None) -> str:
    """The form that is asked for, else the one that the file's ending says, else csv."""
    if form is not None:
        return form
    return ENDINGS.get(output.suffix.lower(), "csv") if output else "csv"


def boards_out(
    suite: str | None,
    by: str | None,
    unseen_only: bool,
    form: str,
    output: Path | None,
    db: str | None,
) -> None:
    """The ranked tables."""
    from benchmark import api
    from benchmark.leaderboard.export import board_records, export_boards

    found = api.rank(suite, by=by, unseen_only=unseen_only, db=db)
    if not (by or unseen_only):
        found += api.reported(suite, db=db)
    if form == "parquet":
        write_parquet([record for board in found for record in board_records(board)], output)
    else:
        put_in(export_boards(found, form), output)


def scores_out(suite: str | None, form: str, output: Path | None, db: str | None) -> None:
    """Every score, single conditions included."""
    from benchmark import api
    from benchmark.leaderboard.export import export_records

    if form == "json":
        plain = api.document(suite, db=db).model_dump(mode="json")
        put_in(json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n", output)
        return
    records = api.tidy(api.scores(suite, db=db), db=db)
    if form == "parquet":
        write_parquet(records, output)
    else:
        put_in(export_records(records, form), output)


def write_parquet(records: Sequence[Mapping[str, Any]], output: Path | None) -> None:
    """Records into a Parquet file; lists stay lists."""
    import pandas as pd

    if output is None:
        raise BenchError("Parquet is no text: name a file with -o FILE.parquet.")
    save_parquet(pd.DataFrame(records), output)


def save_parquet(frame: DataFrame, output: Path | str) -> None:
    """A table into a Parquet file. Raises BenchError where pyarrow is missing."""
    try:
        frame.to_parquet(output, index=False)
    except ImportError as error:
        raise BenchError(
            "Parquet needs pyarrow: pip install 'gestaltbench[parquet]', or write a .csv."
        ) from error
