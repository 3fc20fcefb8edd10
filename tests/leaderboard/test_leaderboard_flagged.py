"""`bench rank --flagged-last`: distrust ranks below, each part by itself."""

import pytest
from as_text import text

from benchmark.contracts import DISTRUST
from benchmark.leaderboard.board import boards, flagged_last
from benchmark.leaderboard.render import board_detail, render_details
from benchmark.leaderboard.summary import summaries
from benchmark.leaderboard.summary_text import summary_detail
from gestaltbench.results import board_lines, summary_lines


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


def test_flags_that_are_no_distrust_move_nothing(suite, sets, score):
    rows = [score("a", 10, 320), score("b", 300, 320, flags=("training images",))]
    (made,) = boards(rows, suite, sets)
    assert flagged_last(made) is made


def test_where_lower_is_better(suite, sets, score):
    rows = [
        score("a", 10, 320, metric="error", flags=(f"{DISTRUST}x",)),
        score("b", 100, 320, metric="error"),
        score("c", 50, 320, metric="error"),
    ]
    (made,) = boards(rows, suite, sets, by="error")
    assert [row.observer for row in flagged_last(made).rows] == ["c", "b", "a"]


def test_all_flagged_keep_their_order(suite, sets, score):
    rows = [
        score(name, right, 320, flags=(f"{DISTRUST}x",)) for name, right in (("a", 9), ("b", 99))
    ]
    (made,) = boards(rows, suite, sets)
    ranked = flagged_last(made).rows
    assert [(row.observer, row.rank) for row in ranked] == [("b", 1), ("a", 2)]


def test_board_summary_and_notebook_say_it_beside_the_number(board):
    flag = f"{DISTRUST}zero gradient: 90% of images"
    assert flag in text(render_details([board_detail(board, 200)]), 200)
    notebook = {row["observer"]: row for row in board_lines(board)}
    title = next(one.title for one in board.columns if one.metric == board.by)
    assert notebook["masked"][title].endswith(f"({flag})")
    assert "(" not in notebook["best"][title]
    (made,) = summaries([board])
    told = {row["observer"]: " ".join(row.values()) for row in summary_lines(made)}
    assert flag in told["masked"] and "trust" not in told["best"]
    assert flag in text(render_details([summary_detail(made, 200)]), 200)
