"""`bench rank --flagged-last`: distrust ranks below, each part by itself."""

import pytest
from as_text import text

from benchmark.contracts import DISTRUST
from benchmark.leaderboard.board import boards, flagged_last
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.summary import summaries, summary_table


@pytest.fixture
def board(suite, sets, score):
    rows = [
        score("masked", 310, 320, flags=(f"{DISTRUST}zero gradient: 90% of images",)),
        score("best", 300, 320, flags=("training images",)),
        score("middle", 200, 320),
        score("worst", 100, 320),
        score("also masked", 150, 320, flags=(f"{DISTRUST}random: two passes differ",)),
        score("missing", flags=(f"{DISTRUST}never mind",)),
    ]
    (made,) = boards(rows, suite, sets)
    return made


def test_by_default_a_flag_does_not_change_the_rank(board):
    assert [row.observer for row in board.rows[:2]] == ["masked", "best"]
    assert [row.rank for row in board.rows[:5]] == [1, 2, 3, 4, 5]


def test_on_request_flagged_rows_rank_below_all_others(board):
    made = flagged_last(board)
    names = ["best", "middle", "worst", "masked", "also masked", "missing"]
    assert [row.observer for row in made.rows] == names
    assert [row.rank for row in made.rows] == [1, 2, 3, 4, 5, None]
    assert (made.rows[0].rank_low, made.rows[0].rank_high) == (1, 1)
    assert (made.rows[3].rank_low, made.rows[3].rank_high) == (4, 4)
    assert made.notes[-1] == f"2 of 5 rows rank last for a flag '{DISTRUST}...'"
    assert made.references == board.references


def test_board_summary_and_notebook_say_it_beside_the_number(board):
    flag = f"{DISTRUST}zero gradient: 90% of images"
    (made,) = summaries([board])
    for table in (board_table(board), summary_table(made)):
        shown = text([table], 200)
        mark = next(line.split()[0] for line in shown.splitlines() if line.endswith(flag))
        for form in (shown.splitlines(), html(table).replace("<tr>", "\n").splitlines()):
            (row,) = [line for line in form if "masked" in line and "also" not in line]
            (other,) = [line for line in form if "best" in line and "best-worst" not in line]
            assert mark in row and mark not in other
