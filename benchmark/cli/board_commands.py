"""`bench submit` and `bench board`: results that many share."""

from typing import Any

import click

from benchmark.api import board_checks, submissions
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_data, echo_line
from benchmark.display import counted


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


@click.group(commands=[check])
def board() -> None:
    """Check and build a board: submissions in a git folder that many share."""
