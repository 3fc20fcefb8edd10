"""`bench submit` and `bench board`: results that many share."""

from typing import Any

import click

from benchmark.api import board_checks, submissions
from benchmark.cli.derive import command, result_of
from benchmark.cli.printing import echo_data, echo_line, echo_lines
from benchmark.report import board_site

submit = result_of(submissions.submit)(echo_line)
build = result_of(board_site.build_board, "build")(lambda site: echo_line(f"{site.start}: {site.size}"))


@result_of(board_checks.check_board, "check")
def check(report: board_checks.BoardReport) -> int:
    echo_data(report.markdown())
    return report.exit_code


@command(submissions.write_board, name="init")
def init(**asked: Any) -> None:
    echo_lines(f"{asked['folder']}/{path}" for path in submissions.write_board(**asked))


@click.group(commands=[init, check, build])
def board() -> None:
    """Begin, check and build a board: submissions in a git folder that many share."""
