"""`bench rank --flagged-last`: distrust ranks below, each part by itself."""

import pytest

from benchmark.contracts import DISTRUST
from benchmark.leaderboard.board import boards, flagged_last


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


def test_on_request_flagged_rows_rank_below_all_others(board):
    assert [(row.rank, row.observer) for row in board.rows[:2]] == [(1, "masked"), (2, "best")]  # by default
    last = flagged_last(board)
    names = ["best", "middle", "worst", "masked", "also masked", "missing"]
    assert [row.observer for row in last.rows] == names
    assert [row.rank for row in last.rows] == [1, 2, 3, 4, 5, None]
    assert [(row.rank_low, row.rank_high) for row in (last.rows[0], last.rows[3])] == [(1, 1), (4, 4)]
    assert last.notes[-1] == f"2 of 5 rows rank last for a flag '{DISTRUST}...'"
    assert last.references == board.references


@pytest.mark.parametrize("flag", ["answers at chance", "one answer ('dog') for nearly all images"])
def test_an_observer_that_guesses_is_below_the_others_without_a_rank(flag, suite, sets, score):
    rows = [score("guess", 310, 320, flags=(f"{DISTRUST}{flag}",)), score("a", 200, 320), score("b", 100, 320)]
    (board,) = boards([*rows, score("missing")], suite, sets)
    assert [(row.rank, row.observer) for row in board.rows] == [(1, "a"), (2, "b"), (None, "guess"), (None, "missing")]
    assert (board.rows[0].rank_low, board.rows[0].rank_high) == (1, 1)
