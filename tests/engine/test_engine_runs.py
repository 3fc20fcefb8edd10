"""Runs: what is shared, what is equal, what is resumed."""

from dataclasses import dataclass

import engine_toys as toys
import numpy as np
import pytest
import sqlalchemy as sa
import torch
from engine_toys import ideal, network, same_trials, toy_suite

from benchmark.contracts import CHUNK, Against, Block, Score, Transform, Trials
from benchmark.engine import run
from benchmark.engine.devices import Tuning
from benchmark.engine.scoring import Scorer, flagged
from benchmark.stimuli.datasets import seeds_of
from benchmark.store import open_store
from registry.files import Place
from registry.loading import load_model


@dataclass(frozen=True)
class Named:
    """A configuration that names whom its observers are compared with."""

    references: tuple[str, ...]


def plain_answers(card, stimuli, tmp_path, side=32):
    """Answers by a loop of its own: one image at a time, mean and std 0.5."""
    module = load_model(card, Place(tmp_path)).module
    names = []
    for i in range(len(stimuli)):
        image = torch.from_numpy(stimuli.decode(i)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            names.append(toys.CLASSES[int(module((image - 0.5) / 0.5).argmax())])
    return np.array(names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Readout", "Normed"])
def test_answers_are_those_of_a_plain_loop(leaderboard, tmp_path, kind):
    stimuli, card = toys.make_stimuli(50), network("net", kind, seed=2)
    assert leaderboard.run([card], [toy_suite(stimuli)], batch=None).exit_code == 0
    trials = leaderboard.trials("net")
    assert trials["stimulus"].tolist() == list(stimuli.ids)
    np.testing.assert_array_equal(trials["response"], plain_answers(card, stimuli, tmp_path))
    np.testing.assert_array_equal(trials["seed"], seeds_of(stimuli, np.arange(50), 0).astype(np.float64))
    right = trials["response"] == stimuli.labels["category"]
    assert leaderboard.scores("net")["accuracy", "toys", ""] == right.mean()


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 32, None])
def test_trials_and_scores_do_not_depend_on_the_batch_size(tmp_path, batch):
    stimuli, card = toys.make_stimuli(CHUNK + 30), network("net", "Normed", seed=1)
    boards = []
    for folder, size in (("one", 256), ("two", batch)):
        (tmp_path / folder).mkdir()
        boards.append(toys.Bench(tmp_path / folder))
        boards[-1].run([card], [toy_suite(stimuli)], batch=size)
    same_trials(*(board.trials("net") for board in boards))
    assert boards[0].scores("net") == boards[1].scores("net")


@pytest.mark.slow
def test_a_renamed_model_is_not_run_again(leaderboard, forwarded):
    stimuli = toys.make_stimuli(30)
    leaderboard.run([network("first", "Counting", seed=1)], [toy_suite(stimuli)])
    leaderboard.run([network("second", "Counting", seed=1)], [toy_suite(stimuli)])
    assert forwarded() == {1: 30}
    assert leaderboard.scores("second") == leaderboard.scores("first") != {}


@pytest.mark.slow
def test_two_suites_with_equal_blocks_decode_and_forward_once(leaderboard, forwarded):
    stimuli = toys.make_stimuli(CHUNK + 20)
    suites = [toy_suite(stimuli), toy_suite(stimuli, "other")]
    report = leaderboard.run([network("net", "Counting", seed=1)], suites)
    assert report.decoded == len(stimuli.decode.decoded) == len(stimuli)
    assert forwarded() == {1: len(stimuli)}
    same_trials(leaderboard.trials("net"), leaderboard.trials("net", "other"))


def drop(board, where):
    """Delete chunks behind the program's back, as a killed run would have left it."""
    with sa.create_engine(f"sqlite:///{board.settings.db}").begin() as connection:
        connection.execute(sa.text(f"DELETE FROM chunks WHERE {where}"))


@pytest.mark.slow
def test_only_missing_chunks_are_made_again(leaderboard, forwarded):
    stimuli, card = toys.make_stimuli(3 * CHUNK + 5), network("net", "Counting", seed=1)
    leaderboard.run([card], [toy_suite(stimuli)], batch=64)
    before = leaderboard.trials("net"), leaderboard.scores("net")
    drop(leaderboard, f"start = {CHUNK}")
    stimuli.decode.decoded.clear()
    report = leaderboard.run([card], [toy_suite(stimuli)], batch=64)
    assert not stimuli.decode.decoded  # the first run kept the images decoded
    assert report.decoded == CHUNK
    assert forwarded() == {1: len(stimuli) + CHUNK}
    same_trials(before[0], leaderboard.trials("net"))
    assert leaderboard.scores("net") == before[1]


class Killed(BaseException):
    """Stands for SIGKILL between two commits."""


@pytest.mark.slow
def test_a_run_killed_between_commits_goes_on_from_there(leaderboard, forwarded, monkeypatch):
    stimuli, card = toys.make_stimuli(3 * CHUNK), network("net", "Counting", seed=1)
    from benchmark.store import Store

    put, calls = Store.put_chunks, []

    def dying(store, run, chunks):
        if len(calls) == 2:
            raise Killed
        calls.append(run)
        put(store, run, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_chunks", dying)
        with pytest.raises(Killed):
            leaderboard.run([card], [toy_suite(stimuli)], batch=64)
    assert not leaderboard.scores("net")
    report = leaderboard.run([card], [toy_suite(stimuli)], batch=64)
    assert report.decoded == CHUNK
    assert len(leaderboard.trials("net")["stimulus"]) == 3 * CHUNK
    assert ("accuracy", "toys", "") in leaderboard.scores("net")


@pytest.mark.slow
def test_new_score_code_scores_again_without_the_model(leaderboard, forwarded):
    stimuli, card = toys.make_stimuli(20), network("net", "Counting", seed=1)
    leaderboard.run([card], [toy_suite(stimuli)])
    report = leaderboard.run([card], [toy_suite(stimuli, score=half_score)])
    assert forwarded() == {1: 20}
    assert (report.counts["done"], report.decoded) == (1, 0)
    assert leaderboard.scores("net")["accuracy", "toys", ""] == 0.5
    again = leaderboard.run([card], [toy_suite(stimuli, score=half_score)])
    assert again.counts["cached"] == 1


def half_score(_config, trials):
    """Another score code."""
    return [toys.Score("accuracy", 0.5, n=len(trials), role="toys")]


@pytest.mark.slow
def test_resident_groups_split_where_memory_ends(leaderboard, monkeypatch):
    """Models that do not fit together are loaded one after the other, with the same results."""
    stimuli = toys.make_stimuli(30)
    cards = [network(f"net-{seed}", "Readout", seed=seed) for seed in (1, 2, 3)]
    monkeypatch.setattr(run, "CPU_BYTES", 1)
    report = leaderboard.run(cards, [toy_suite(stimuli)])
    assert report.counts["done"] == 3
    assert report.decoded == 90
    assert all(leaderboard.scores(card.name) for card in cards)


@pytest.mark.slow
def test_mixed_sizes_reach_each_network_at_its_own_size(tmp_path, leaderboard):
    """A neighbour with another input size must not change what a network is shown."""
    from dataclasses import replace

    stimuli = toys.make_stimuli(12)
    small, large = toys.Pictures(24), toys.Pictures(40)
    mixed = replace(stimuli, decode=lambda i: (small if i % 2 else large)(i))
    card = network("net", "Readout", seed=1)
    other = network("big", "Readout", seed=2).model_copy(
        update={"preprocess": toys.HALF.model_copy(update={"size": 48, "resize": 48})}
    )
    leaderboard.run([card], [toy_suite(mixed)])
    (tmp_path / "both").mkdir()
    both = toys.Bench(tmp_path / "both")
    both.run([other, card], [toy_suite(mixed)])
    same_trials(leaderboard.trials("net"), both.trials("net"))


def compared(_config, _trials, peers):
    """How many observers one is compared with."""
    return [Score("peers", float(len(peers)), role="toys")]


@pytest.mark.slow
def test_references_that_answered_a_set_with_two_seeds_stay_references(leaderboard):
    suite = toy_suite(toys.make_stimuli(20), against=Against(compared))
    reader = network("reader", "Readout", seed=1).model_copy(update={"training": ("simulated-person",)})
    cards = [network("net", "Readout"), reader, ideal("texture-reader", "no-reference")]
    leaderboard.run(cards, [suite])
    leaderboard.run(cards, [suite], seed=1)
    assert leaderboard.scores("net")["peers", "toys", ""] == 1.0


def answered(_config, _trials, peers):
    """How many trials each reference has."""
    return [Score(name, float(len(trials)), role="toys") for name, trials in peers.items()]


@pytest.mark.slow
def test_a_configuration_names_its_references(leaderboard):
    """Networks too; with all their conditions; never the observer itself, nor who was not run."""
    stimuli = toys.make_stimuli(20)
    darker = Transform("darker", {}, lambda images, seeds: images * 0.5)
    blocks = (Block(stimuli, role="toys"), Block(stimuli, "dark", darker, role="toys"))
    config = Named(references=("net", "other", "never-run"))
    suite = toy_suite(blocks, against=Against(answered), config=config)
    leaderboard.run([network("net", "Readout"), network("other", "Normed"), ideal()], [suite])
    scores = {name: leaderboard.scores(name) for name in ("net", "other", "reader")}
    found = {name: {m for m, _, _ in values} - {"accuracy"} for name, values in scores.items()}
    assert found == {"net": {"other"}, "other": {"net"}, "reader": {"net", "other"}}
    assert scores["reader"]["net", "toys", ""] == 40


@pytest.mark.slow
def test_two_names_of_one_network_are_both_scored_again(leaderboard):
    cards = [network("one", "Readout"), network("two", "Readout")]
    suite = toy_suite(toys.make_stimuli(20))
    leaderboard.run(cards, [suite])
    with open_store(leaderboard.settings.db) as store:
        run = store.begin_run("rescore", {})
        changed = toy_suite(toys.make_stimuli(20), score=lambda *_: [Score("fresh", 1.0)])
        assert Scorer(store, run, changed).again() == 2
        assert Scorer(store, run, changed).again() == 0


@pytest.mark.slow
def test_a_tuned_thread_count_holds_for_its_own_network_alone(leaderboard, monkeypatch):
    threads = torch.get_num_threads()
    seen = []

    def tuned(*_):
        seen.append(torch.get_num_threads())
        return Tuning(8, threads=threads + len(seen))

    def observe(_config, view):
        seen.append(torch.get_num_threads())
        return toys.toy_observe(None, view)

    monkeypatch.setattr(run.devices, "tune", tuned)
    cards = [network("one", "Readout"), network("two", "Readout", seed=1)]
    leaderboard.run(cards, [toy_suite(toys.make_stimuli(5), observe=observe)], batch=None)
    assert seen == [threads, threads, threads + 1, threads + 2]
    assert torch.get_num_threads() == threads


def _answered(said, shown):
    columns = {"response": np.array(said), "category": np.array(shown)}
    return [one.flags != () for one in flagged([Score("a", 1.0), Score("b", None)], Trials(columns))]


def test_when_one_answer_is_distrusted():
    """Nine tenths of at least twenty images, most of which show something else; a missing value needs no flag."""
    both = ["cat", "dog"]
    assert _answered(["cat"] * 18 + ["dog"] * 2, both * 10) == [True, False]
    assert _answered(["cat"] * 17 + ["dog"] * 3, both * 10) == [False, False]
    assert _answered(["cat"] * 19, [*both * 9, "cat"]) == [False, False]
    assert _answered(["cat"] * 20, ["cat"] * 20) == [False, False]
    assert _answered(["na"] * 20, both * 10) == [True, False]
    assert flagged([Score("a", 1.0)], Trials({"value": np.zeros(30)}))[0].flags == ()
