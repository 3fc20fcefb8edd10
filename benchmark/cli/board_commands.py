"""`bench submit` and `bench board`: results that many share."""

from typing import Any

import click

from benchmark.api import board_checks, submissions
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_data, echo_line, echo_lines
from benchmark.report import board_site


@command(submissions.submit)
def submit(**asked: Any) -> int:
    echo_line(str(submissions.submit(**asked)))
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


@command(submissions.write_board, name="init")
def init(**asked: Any) -> int:
    echo_lines(f"{asked['folder']}/{path}" for path in submissions.write_board(**asked))
    return 0


@click.group(commands=[init, check, build])
def board() -> None:
    """Begin, check and build a board: submissions in a git folder that many share."""
