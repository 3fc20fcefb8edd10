"""`bench submit` and `bench board`: results that many share."""

from pathlib import Path
from typing import Annotated, Any

import click

from benchmark.api import board_checks, submissions
from benchmark.api.options import Option
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_data, echo_line, echo_lines
from benchmark.display import counted
from benchmark.report import board_site
from benchmark.templates import write_board


@command(submissions.submit)
def submit(**asked: Any) -> int:
    done = submissions.submit(**asked)
    echo_line(f"{done.path}: {counted(done.files, 'file')}, {done.size / 1e6:.2f} MB")
    if done.new:
        echo_line(f"it rests on {counted(len(done.new), 'file')} beside it (sets, references)", err=True)
    return 0


@command(board_checks.check_board, name="check")
def check(**asked: Any) -> int:
    report = board_checks.check_board(**asked)
    echo_data(report.markdown())
    return report.exit_code


@command(board_site.build_board, name="build")
def build(**asked: Any) -> int:
    site = board_site.build_board(**asked)
    echo_line(f"{site.start}: {site.size}")
    return 0


@command()
def init(
    folder: Annotated[Path, Option("A new folder, or one of a git repository.", kind="new folder")] = Path(),
) -> int:
    """Write the files of a new board into a folder.

    They are a check of pull requests, pages after each change, a weekly re-run, a form for those without a fork, and
    the rules."""
    echo_lines(f"{folder}/{path}" for path in write_board(folder))
    return 0


@click.group(commands=[init, check, build])
def board() -> None:
    """Begin, check and build a board: submissions in a git folder that many share."""
