"""What goes wrong stays where it is: a row with its message, and the rest goes on."""

import sys
from dataclasses import replace

import engine_toys as toys
import numpy as np
import pytest
import sqlalchemy as sa
from engine_toys import ideal, network, same_trials, toy_suite

from benchmark.contracts import CHUNK
from benchmark.engine.model_view import near_ties
from benchmark.errors import PluginError, StimuliError


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
def test_auto_batch_size_survives_a_small_memory(leaderboard):
    card = network("net", "Greedy", most=5, seed=1)
    assert leaderboard.run([card], [toy_suite(toys.make_stimuli(20))], batch=None).exit_code == 0


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
def test_everything_failed_is_exit_code_1(leaderboard):
    report = leaderboard.run([network("broken", "Broken")], [toy_suite(toys.make_stimuli(9))])
    assert report.exit_code == 1


@pytest.mark.slow
def test_a_failed_model_is_tried_again(leaderboard):
    stimuli = toys.make_stimuli(9)
    for _ in range(2):
        assert leaderboard.run([network("net", "Broken")], [toy_suite(stimuli)]).exit_code == 1
    leaderboard.run([network("net", "Readout")], [toy_suite(stimuli)])
    assert leaderboard.outcomes(observer="net")[-1].status == "done"


@pytest.mark.slow
def test_a_network_whose_code_raises_is_a_row_of_one_line(leaderboard):
    cards = [network("raises", "Raising"), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))])
    assert report.exit_code == 3
    (row,) = leaderboard.outcomes(observer="raises")
    assert "a mistake" in row.reason


@pytest.mark.slow
def test_auto_tuning_of_a_network_that_raises_is_its_own_failure(leaderboard):
    cards = [network("raises", "Raising"), ideal()]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))], batch=None)
    assert report.exit_code == 3


@pytest.mark.slow
def test_wrong_class_count_is_a_failure_of_that_model(leaderboard):
    for batch in (8, None):
        cards = [network("seven", "Readout", num_classes=7), ideal()]
        report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(9))], batch=batch)
        assert report.exit_code == 3
        assert "16" in report.failed["seven under toy"]


@pytest.mark.slow
def test_a_factory_that_is_not_there_is_a_failure_of_that_model(leaderboard):
    lost = network("lost", "Readout").model_copy(update={"arch": "python:engine_nets:Gone"})
    report = leaderboard.run([lost, ideal()], [toy_suite(toys.make_stimuli(9))])
    assert (report.exit_code, "Gone" in report.failed["lost under toy"]) == (3, True)
    assert leaderboard.outcomes(observer="lost")[0].status == "failed"


@pytest.mark.slow
def test_a_failure_in_one_chunk_does_not_shift_the_pictures_of_others(leaderboard):
    """One network ends at the first chunk; another, which lacks only the last, is shown that one."""
    stimuli, fine = toys.make_stimuli(3 * CHUNK, side=8), network("fine", "Readout", seed=1)
    leaderboard.run([fine], [toy_suite(stimuli)], batch=64)
    before = leaderboard.trials("fine")
    with sa.create_engine(f"sqlite:///{leaderboard.settings.db}").begin() as connection:
        connection.execute(sa.text(f"DELETE FROM chunks WHERE start = {2 * CHUNK}"))
    report = leaderboard.run([network("broken", "Broken"), fine], [toy_suite(stimuli)], batch=64)
    assert report.counts == {"done": 1, "failed": 1}
    same_trials(before, leaderboard.trials("fine"))


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


def exiting(_config, _view):
    sys.exit("done")


@pytest.mark.slow
def test_a_suite_that_calls_sys_exit_fails_alone(leaderboard):
    suites = [toy_suite(toys.make_stimuli(9), "bad", observe=exiting), toy_suite(toys.make_stimuli(9))]
    report = leaderboard.run([network("net", "Readout")], suites)
    assert report.failed == {"net under bad": "its code called sys.exit('done')"}
    assert leaderboard.scores("net")


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


def short(_config, view):
    """One row too few."""
    return {"response": view.responses[1:]}


@pytest.mark.slow
def test_columns_of_the_wrong_length_name_the_suite(leaderboard):
    report = leaderboard.run([ideal()], [toy_suite(toys.make_stimuli(9), observe=short)])
    assert "'toy' returned (8,) for column 'response' of 9 trials" in report.failed["reader under toy"]


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


def test_near_ties_by_hand():
    table = np.array([[0.5, 0.5, 0.0], [0.5, 0.4996, 0.0], [0.5, 0.499, 0.001], [0.9, 0.1, 0.0]], dtype=np.float32)
    assert near_ties(table).tolist() == [0, 1]
    assert near_ties(np.ones((3, 1), dtype=np.float32)).tolist() == []


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
def test_no_gradients_is_not_applicable(leaderboard, monkeypatch):
    """An exported program without gradients: the suite that needs them does not apply, the others run."""
    from benchmark.engine import run

    real = run.load_observer

    def without(card, place, **how):
        return replace(real(card, place, **how), gradients=False)

    monkeypatch.setattr(run, "load_observer", without)
    needy = toy_suite(toys.make_stimuli(8), name="needy", needs="gradients")
    report = leaderboard.run([network("net", "Readout")], [needy, toy_suite(toys.make_stimuli(8))])
    assert report.counts == {"not applicable": 1, "done": 1}
    assert "no gradient" in report.skipped["net under needy"]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [(ValueError("no"), PluginError, "failed"), (KeyboardInterrupt(), KeyboardInterrupt, "interrupted")],
)
def test_a_rescoring_that_breaks_off_has_an_end(leaderboard, monkeypatch, error, raised, status):
    from benchmark import api
    from benchmark.engine.scoring import Scorer
    from benchmark.store import schema

    leaderboard.run([ideal()], [toy_suite(toys.make_stimuli(8))])

    def breaks(_self):
        raise error

    monkeypatch.setattr(Scorer, "again", breaks)
    with pytest.raises(raised) as told:
        api.rescore("cue-conflict", db=leaderboard.settings.db)
    monkeypatch.undo()
    assert api.rescore("cue-conflict", db=leaderboard.settings.db) == 0
    with sa.create_engine(f"sqlite:///{leaderboard.settings.db}").connect() as connection:
        ends = connection.execute(sa.select(schema.RUN_ENDS.c.status, schema.RUN_ENDS.c.note)).all()
    assert ends[1:] == [(status, str(told.value) or raised.__name__), ("done", "")]
