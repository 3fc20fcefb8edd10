"""What people see: tables at several widths, hostile names, one observer, comparisons."""

import pytest
from plain_suites import text

from benchmark.leaderboard import boards
from benchmark.leaderboard.board_tables import board_table

EDGES = {"metric": "edges", "role": "edges"}


@pytest.fixture
def board(suite, sets, score):
    rows = [
        score("efficientnet_lite0", 60, 220, flags=("near ties: 3",), training=("standard",)),
        score("ResNet-50 SIN", 180, 220, kind="published", training=("stylised",)),
        score("close", 62, 220, flags=("near ties: 3", "few trials")), score("broken", reason="no trial counts"),
        score("subject-01", 210, 220, kind="human"), score("subject-02", 205, 220, kind="human"),
        score("close", 90, 160, **EDGES), score("close", 20, 220, metric="error"),
    ]  # fmt: skip
    return boards(rows, suite, sets)[0]


def drawn(board, width, limit=50):
    return text([board_table(board)], width, limit)


@pytest.mark.parametrize("width", [56, 80, 140])
def test_every_width_keeps_rank_name_value_interval_and_n(board, width):
    lines = drawn(board, width).splitlines()
    assert max(map(len, lines)) <= width
    close, *below = [line for line in lines if line.lstrip("0123456789-() ").startswith("close ")]
    assert close.split()[:6] == ["2", "(2-3)", "close", "0.2818", "[0.227,", "0.345]"]
    assert "220" in close.split() or (width < 80 and "220" in below[0].split())
    assert all(line.split()[:3] == ["2", "(2-3)", "close"] for line in below) and bool(below) == (width < 140)
    assert all(line.split()[:4] == ["1", "ResNet-50", "SIN", "+"] for line in lines if line.startswith("1  "))


def test_names_stay_whole_and_cannot_steer_the_terminal_or_the_markup(suite, sets, score):
    long = "organisation/model.with-a-very-long-name.finetuned-seed3"
    hostile = score("[bold]x[/bold]\x1b[2J\n", 60, 220, flags=("[red]\x07",))
    (board,) = boards([hostile, score(long, 9, 220)], suite, sets)
    lines = drawn(board, 60).splitlines()
    assert long in "".join(line[6:].split("  ")[0].strip() for line in lines)
    shown = drawn(board, 140)
    assert "[bold]x[/bold]?[2J " in shown
    assert "*1 [red]?" in shown
    assert "\x1b" not in shown
