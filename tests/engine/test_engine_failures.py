"""What goes wrong stays where it is: a row with its message, and the rest goes on."""

from dataclasses import replace

import engine_toys as toys
import pytest
from engine_toys import ideal, network, same_trials, toy_suite

from benchmark.errors import StimuliError


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 3, 16])
def test_out_of_memory_halves_the_batch_and_changes_nothing(tmp_path, most):
    stimuli, boards = toys.make_stimuli(50), []
    for name, limit in (("enough", 10**6), ("little", most)):
        (tmp_path / name).mkdir()
        boards.append(toys.Bench(tmp_path / name))
        card = network("net", "Greedy", most=limit, seed=1)
        assert boards[-1].run([card], [toy_suite(stimuli)], batch=32).exit_code == 0
    same_trials(*(board.trials("net") for board in boards))


@pytest.mark.slow
def test_no_room_for_one_image_is_a_failure_of_that_model(leaderboard):
    cards = [network("net", "Greedy", most=0), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(20))])
    assert report.exit_code == 3
    assert "even one image at a time" in report.failed["net under toy"]


@pytest.mark.slow
def test_nan_logits_fail_that_model_alone(leaderboard):
    stimuli = toys.make_stimuli(40)
    cards = [network("broken", "Broken"), network("fine", "Readout"), ideal()]
    report = leaderboard.run(cards, [toy_suite(stimuli)])
    assert report.exit_code == 3
    assert report.counts == {"done": 2, "failed": 1}
    assert not leaderboard.scores("broken")
    assert leaderboard.scores("fine") and leaderboard.scores("reader")
    (row,) = leaderboard.outcomes(observer="broken")
    assert (row.status, "NaN" in row.reason, "picture-00000.png" in row.reason) == ("failed", True, True)


@pytest.mark.slow
def test_a_failed_model_is_tried_again(leaderboard):
    stimuli = toys.make_stimuli(9)
    for _ in range(2):
        assert leaderboard.run([network("net", "Broken")], [toy_suite(stimuli)]).exit_code == 1
    leaderboard.run([network("net", "Readout")], [toy_suite(stimuli)])
    assert leaderboard.outcomes(observer="net")[-1].status == "done"


def unreadable(index):
    raise StimuliError(f"picture {index} cannot be read")


@pytest.mark.slow
def test_an_unreadable_image_fails_what_needs_it_alone(leaderboard):
    good, bad = toys.make_stimuli(9), replace(toys.make_stimuli(12, "bad"), decode=unreadable)
    suites = [toy_suite(bad, "bad"), toy_suite(good, "good")]
    report = leaderboard.run([network("net", "Readout"), ideal()], suites)
    assert report.exit_code == 3
    assert list(report.failed) == ["net under bad"]
    assert "cannot be read" in report.failed["net under bad"]
    assert leaderboard.scores("net", "good")


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, None])
@pytest.mark.parametrize("early", [False, True])
def test_a_network_that_calls_sys_exit_fails_alone(leaderboard, early, batch):
    cards = [network("quits", "Quitting", early=early), network("net", "Readout"), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))], batch=batch)
    assert report.exit_code == 3
    assert list(report.failed) == ["quits under toy"]
    assert "SystemExit" in (reason := report.failed["quits under toy"]) or "sys.exit" in reason
    assert leaderboard.scores("net") and leaderboard.scores("reader")


@pytest.mark.slow
def test_ctrl_c_is_the_users_and_ends_the_run(leaderboard):
    cards = [network("net", "Quitting", error="KeyboardInterrupt"), ideal()]
    with pytest.raises(KeyboardInterrupt):
        leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))])


def mistaken(_config, view):
    """A suite whose observe fails on networks."""
    return {"response": view.responses, "oops": {}["missing"]}


@pytest.mark.slow
def test_a_suite_whose_observe_raises_fails_alone(leaderboard):
    stimuli = toys.make_stimuli(9)
    suites = [toy_suite(stimuli, "bad", observe=mistaken), toy_suite(stimuli)]
    report = leaderboard.run([network("net", "Readout"), ideal()], suites)
    assert report.exit_code == 3
    assert set(report.failed) == {"net under bad", "reader under bad"}
    assert leaderboard.scores("net") and leaderboard.scores("reader")


def dividing(_config, trials):
    """A score that cannot be made."""
    return [toys.Score("accuracy", len(trials) / 0)]


@pytest.mark.slow
def test_a_score_that_raises_keeps_the_trials(leaderboard):
    report = leaderboard.run([ideal()], [toy_suite(toys.make_stimuli(9), score=dividing)])
    assert "scoring failed" in report.failed["reader under toy"]
    assert len(leaderboard.trials("reader")["stimulus"]) == 9


@pytest.mark.slow
def test_near_ties_are_decided_on_the_plain_path(leaderboard, tmp_path):
    """In batches category 2 wins by float noise, alone category 9: the answer is the plain path's."""
    for batch in (1, 8, None):
        folder = tmp_path / str(batch)
        folder.mkdir()
        board = toys.Bench(folder)
        board.run([network("net", "Unequal")], [toy_suite(toys.make_stimuli(20))], batch=batch)
        assert set(board.trials("net")["response"]) == {toys.CLASSES[9]}


def test_not_applicable_is_a_row_with_its_reason(leaderboard):
    from benchmark.contracts import Plan, Policy
    from benchmark.engine.plan import Task
    from benchmark.engine.run import RunOptions, execute
    from benchmark.store import open_store

    suite = toy_suite(toys.make_stimuli(9))
    task = Task(ideal(), suite, "world16", Plan(()), "the pictures are not here")
    with open_store(leaderboard.settings.db) as store:
        report = execute([task], store, leaderboard.settings, RunOptions("cpu", Policy()), toys.Silent())
    assert report.exit_code == 1
    (row,) = leaderboard.outcomes()
    assert (row.status, row.reason) == ("not applicable", "the pictures are not here")


@pytest.mark.slow
def test_imported_observers_that_cannot_be_scored_take_nothing_from_the_run(leaderboard, monkeypatch):
    from benchmark.engine.scoring import Scorer

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
