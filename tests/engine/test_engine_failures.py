"""What goes wrong stays where it is: a row with its message, and the rest goes on."""

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


def test_no_room_for_one_image_is_a_failure_of_that_model(leaderboard):
    cards = [network("net", "Greedy", most=0), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(20))])
    assert report.exit_code == 3
    assert "even one image at a time" in report.failed["net under toy"]


def test_nan_logits_fail_that_model_alone(leaderboard):
    stimuli = toys.make_stimuli(40)
    cards = [network("broken", "Broken"), network("fine", "Readout"), ideal()]
    report = leaderboard.run(cards, [toy_suite(stimuli)])
    assert (report.exit_code, report.counts) == (3, {"done": 2, "failed": 1})
    assert not leaderboard.scores("broken")
    assert leaderboard.scores("fine") and leaderboard.scores("reader")
    (row,) = leaderboard.outcomes(observer="broken")
    assert (row.status, "NaN" in row.reason, "picture-00000.png" in row.reason) == ("failed", True, True)
    assert leaderboard.run(cards, [toy_suite(stimuli)]).counts == {"cached": 2, "failed": 1}  # it is tried again


def unreadable(index):
    raise StimuliError(f"picture {index} cannot be read")


def test_an_unreadable_image_fails_what_needs_it_alone(leaderboard):
    good, bad = toys.make_stimuli(9), replace(toys.make_stimuli(12, "bad"), decode=unreadable)
    suites = [toy_suite(bad, "bad"), toy_suite(good, "good")]
    report = leaderboard.run([network("net", "Readout"), ideal()], suites)
    assert (report.exit_code, list(report.failed)) == (3, ["net under bad"])
    assert "cannot be read" in report.failed["net under bad"]
    assert leaderboard.scores("net", "good")


@pytest.mark.parametrize("early", [False, True])
def test_a_network_that_calls_sys_exit_fails_alone(leaderboard, early):
    cards = [network("quits", "Quitting", early=early), network("net", "Readout"), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))], batch=8 if early else None)
    assert (report.exit_code, list(report.failed)) == (3, ["quits under toy"])
    assert "SystemExit" in (reason := report.failed["quits under toy"]) or "sys.exit" in reason
    assert leaderboard.scores("net") and leaderboard.scores("reader")


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
