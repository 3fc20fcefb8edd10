"""What goes wrong stays where it is: a row with its message, and the rest goes on."""

import re
from dataclasses import replace

import engine_toys as toys
import pytest
from engine_toys import ideal, network, same_trials, toy_suite

from benchmark.engine.scoring import Scorer
from benchmark.failures import StimuliError

pytestmark = pytest.mark.slow


def test_out_of_memory_halves_the_batch_and_changes_nothing(tmp_path):
    stimuli, boards = toys.make_stimuli(50), []
    for most in (10**6, 1, 3):
        boards.append(toys.Bench(tmp_path / str(most)))
        card = network("net", "Greedy", most=most, seed=1)
        assert boards[-1].run([card], [toy_suite(stimuli)], batch=32).exit_code == 0
        same_trials(boards[0].trials("net"), boards[-1].trials("net"))


@pytest.mark.parametrize(("kind", "options", "batch", "reason"), [
    ("Greedy", {"most": 0}, 8, "even one image at a time"), ("Broken", {}, 8, r"NaN.*picture-00000\.png"),
    ("Quitting", {}, None, r"SystemExit|sys\.exit"), ("Quitting", {"early": True}, 8, r"SystemExit|sys\.exit"),
    ("Trained", {"seed": 1}, 16, "same answer alone"),
    ("Learning", {"seed": 1}, 16, "answering changes nothing: follows changes with every answer"),
])  # fmt: skip
def test_a_network_that_fails_does_so_alone_and_is_tried_again(leaderboard, kind, options, batch, reason):
    stimuli, cards = toys.make_stimuli(40), [network("net", kind, **options), network("fine", "Readout"), ideal()]
    report = leaderboard.run(cards, [toy_suite(stimuli)], batch=batch)
    assert (report.exit_code, report.counts) == (3, {"done": 2, "failed": 1})
    assert not leaderboard.scores("net") and leaderboard.scores("fine") and leaderboard.scores("reader")
    (row,) = leaderboard.outcomes(observer="net")
    assert row.status == "failed" and row.reason == report.failed["net under toy"] and re.search(reason, row.reason)
    assert leaderboard.run(cards, [toy_suite(stimuli)], batch=batch).counts == {"cached": 2, "failed": 1}


def unreadable(index):
    raise StimuliError(f"picture {index} cannot be read")


def test_an_unreadable_image_fails_what_needs_it_alone(leaderboard):
    good, bad = toys.make_stimuli(9), replace(toys.make_stimuli(12, "bad"), decode=unreadable)
    suites = [toy_suite(bad, "bad"), toy_suite(good, "good")]
    report = leaderboard.run([network("net", "Readout"), ideal()], suites)
    assert (report.exit_code, list(report.failed)) == (3, ["net under bad"])
    assert "cannot be read" in report.failed["net under bad"]
    assert leaderboard.scores("net", "good")


def test_ctrl_c_is_the_users_and_ends_the_run(leaderboard):
    cards = [network("net", "Quitting", error="KeyboardInterrupt"), ideal()]
    with pytest.raises(KeyboardInterrupt):
        leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))])


def dividing(_config, trials):
    return [toys.Score(metric="accuracy", value=len(trials) / 0)]


def test_a_score_that_raises_keeps_the_trials(leaderboard):
    report = leaderboard.run([ideal()], [toy_suite(toys.make_stimuli(9), score=dividing)])
    assert "scoring failed" in report.failed["reader under toy"]
    assert len(leaderboard.trials("reader")["stimulus"]) == 9


def test_near_ties_are_decided_on_the_plain_path(leaderboard, tmp_path):
    """In batches category 2 wins by float noise, alone category 9: the answer is the plain path's."""
    for batch in (1, 8):
        board = toys.Bench(tmp_path / str(batch))
        board.run([network("net", "Unequal")], [toy_suite(toys.make_stimuli(20))], batch=batch)
        assert set(board.trials("net")["response"]) == {toys.CLASSES[9]}


def test_imported_observers_that_cannot_be_scored_take_nothing_from_the_run(leaderboard, monkeypatch):
    def breaks(_self):
        raise ZeroDivisionError("a table of nobody")

    monkeypatch.setattr(Scorer, "imported", breaks)
    report = leaderboard.run([ideal()], [toy_suite(toys.make_stimuli(8))])
    assert leaderboard.scores("reader") and report.counts == {"done": 1, "failed": 1}
    assert report.exit_code == 3
    reason = "scoring failed: ZeroDivisionError: a table of nobody"
    assert report.failed == {"imported observers under toy": reason}
    (row,) = leaderboard.outcomes(observer="imported observers")
    assert (row.suite, row.status, row.reason) == ("toy", "failed", reason)
