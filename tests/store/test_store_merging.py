"""One leaderboard brought into another."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from benchmark import api
from benchmark.contracts import Observer
from benchmark.failures import StoreError
from benchmark.store import Chunk, open_store


@pytest.fixture
def other(tmp_path):
    with open_store(str(tmp_path / "other.db")) as opened:
        yield opened


def merged(store, other):
    return store.merge(lambda: [other])[0]


def answered(store, made, key="k1", name="net", identity="weights-1", n=10):
    """A leaderboard with one observer's answers to one block, and their scores."""
    store.put_stimuli(made.stimuli())
    observer = store.put_observer(made.observer(name, identity))
    run = made.answers(store, key, observer, n=n)
    store.put_scores(run, made.score_set(observer, keys=(key,)), [made.score()])
    store.put_outcome(run, observer, (name, "cue-conflict", "geirhos16"), "done")
    store.end_run(run, "done", "a note")
    return run, observer


def content(store):
    """What a leaderboard shows, without its own numbers."""
    observed = store.observations()
    runs = [run for row in store.latest_scores() for run in store.provenance(row.set_id)["runs"].values()]
    return {
        "observers": [(one.name, one.identity, one.card) for one in store.observers()],
        "observations": [(one.key, one.n, one.created) for one in observed],
        "trials": {one.key: store.trials([one.key])["response"].tolist() for one in observed},
        "scores": [(one.observer, one.value, one.created) for one in store.latest_scores()],
        "outcomes": [(one.observer_name, one.status, one.created) for one in store.outcomes()],
        "runs": [(run["command"], run["environment"], run["started"], run["ended"]) for run in runs],
        "notes": store.run_notes(),
    }


@pytest.mark.slow
def test_an_empty_leaderboard_takes_everything_once(store, other, made):
    answered(other, made)
    for there, known in (1, 0), (0, 10):
        done = merged(store, other)
        assert (done.observations, done.trials, done.known) == (there, 10 * there, known)
        assert (done.scores, done.conflicts) == (there, [])
        assert content(store) == content(other)
    assert len(store.outcomes(latest=False)) == 1


def test_chunks_of_one_observation_come_together(store, other, made):
    """Each has a part of the trials, and one chunk is on both sides."""
    for side, chunks in ((store, (0, 1)), (other, (1, 2))):
        run, observer = made.world(side)
        side.put_observation(run, made.observation("k1", observer))
        side.put_chunks(run, [made.chunk("k1", index) for index in chunks])
        assert not side.complete("k1")
    done = merged(store, other)
    assert (done.trials, done.known, done.conflicts) == (2, 4, [])
    assert store.complete("k1")
    assert store.trials(["k1"])["stimulus"].tolist() == [f"image-{i}.png" for i in range(10)]


def differing(made, side, response, sure=0.5, **more):
    run, observer = made.world(side)
    side.put_observation(run, made.observation("k1", observer))
    columns = {"response": np.array(response), "sure": np.full(4, sure)}
    columns |= {name: np.full(4, value) for name, value in more.items()}
    side.put_chunks(run, [Chunk(key="k1", index=0, start=0, columns=columns)])
    return run


def test_other_answers_are_named_and_left_out(store, other, made):
    differing(made, store, ["a", "b", "c", "d"])
    run = differing(made, other, ["a", "x", "y", "d"])
    other.put_chunks(run, [made.chunk("k1", 1)])
    (line,) = merged(store, other).conflicts
    assert line.startswith("'net' under cue-conflict: ")
    assert "(cue-conflict 2 of 4): those that are here stay" in line
    assert store.trials(["k1"])["response"].tolist() == ["a", "b", "c", "d"]
    assert store.chunks("k1") == {0}


@pytest.mark.parametrize(("their", "differs"), [
    pytest.param({"sure": 0.5001}, False, marks=pytest.mark.slow), ({"sure": 0.52}, True), ({"sure": np.nan}, True),
    ({"more": 1}, False),
])  # fmt: skip
def test_float_noise_and_a_column_more_are_the_same_answer(store, other, made, their, differs):
    """But scores, which are bound to the very trials that they were made of, stay away."""
    differing(made, store, ["a", "b", "c", "d"])
    run = differing(made, other, ["a", "b", "c", "d"], **their)
    other.settle(run, "k1", 4)
    (net,) = {one.observer for one in other.observations()}
    other.put_scores(run, made.score_set(net, keys=("k1",)), [made.score()])
    done = merged(store, other)
    assert (bool(done.conflicts), done.scores, store.problems()) == (differs, 0, [])
    assert store.complete("k1") != differs  # what settled an observation comes along
    assert store.trials(["k1"])["sure"].tolist() == [0.5] * 4


@pytest.mark.slow
def test_other_weights_under_one_name_are_named_and_left_out(store, other, made):
    answered(store, made, "ours", "net", "weights-1")
    answered(other, made, "theirs", "net", "weights-2")
    answered(other, made, "more", "fine", "weights-3")
    (line,) = merged(store, other).conflicts
    assert line.startswith("'net' stands for another observer in ")
    assert "(network weights-2) than here (network weights-1)" in line
    assert {one.key for one in store.observations()} == {"ours", "more"}
    assert [row.observer for row in store.latest_scores()] == ["fine", "net"]
    other.put_observer(made.observer("renamed", "weights-2"))  # the remedy: its answers come under its other name
    assert merged(store, other).observations == 1
    assert [one.key for one in store.observations(observer="renamed")] == ["theirs"]


def test_another_card_of_the_same_observer_is_named_and_the_one_here_stays(store, other, made):
    def card(side, key, **fields):
        answered(side, made, key)
        side.put_observer(replace(made.observer("net", "weights-1"), card=fields))

    card(store, "ours", training=["standard"], weights="/here/a.pt", year=2020)
    card(other, "theirs", training=["stylised"], weights="/there/a.pt", family="ResNet", year=2020)
    (line,) = merged(store, other).conflicts
    assert line.startswith("'net' is the same observer in ")
    assert "another card (family, training differ): the card that is here stays" in line
    assert [one.card["training"] for one in store.observers()] == [["standard"]]
    assert {one.key for one in store.observations()} == {"ours", "theirs"}


@pytest.mark.slow
@pytest.mark.parametrize("newer", ["theirs", "ours"])
def test_a_name_that_moved_on_stands_for_its_newest_weights(store, other, made, newer):
    first, second = (store, other) if newer == "theirs" else (other, store)
    answered(first, made, "old", "net", "weights-1")
    answered(second, made, "older", "net", "weights-1")
    answered(second, made, "new", "net", "weights-2")
    assert merged(store, other).conflicts == []
    assert [one.identity for one in store.observers()] == ["weights-2"]
    assert {one.key for one in store.observations()} == {"new"}
    assert {one.identity for one in store.observers(latest=False)} == {"weights-1", "weights-2"}


@pytest.mark.parametrize("newer", ["ours", "theirs"])
def test_of_two_imports_of_a_source_the_newer_counts_and_the_difference_is_named(store, other, made, newer, tmp_path):
    sides = [(store, "ours"), (other, "theirs")]
    for side, key in sides if newer == "theirs" else reversed(sides):
        side.put_stimuli(made.stimuli())
        person = side.put_observer(Observer(name="anna (lab)", kind="human", identity="anna", card={"source": "lab"}))
        run = made.answers(side, key, person, suite="trials", role="edges")
        side.put_import(run, "lab", [key])
    with open_store(str(tmp_path / "empty.db")) as empty:  # where nothing is, they count as there
        for _ in range(2):
            assert merged(empty, other).conflicts == []
            assert [one.key for one in empty.observations(suite="trials")] == ["theirs"]
    person = next(one.observer for one in store.observations())
    run = store.begin_run("bench import trials", {})
    store.put_scores(run, made.score_set(person, keys=("ours",)), [made.score()])
    (line,) = merged(store, other).conflicts
    assert line.startswith("other trials of 'lab' were imported in ")
    assert [one.key for one in store.observations(suite="trials")] == [newer]
    assert len(store.latest_scores()) == (newer == "ours")  # those of replaced trials are gone


def test_a_file_of_two_names_is_one_leaderboard_and_is_not_opened_twice(tmp_path, made):
    path = tmp_path / "a.db"
    with open_store(str(path)) as store:
        made.world(store)
    (tmp_path / "hard.db").hardlink_to(path)
    (tmp_path / "soft.db").symlink_to(path)
    for name in ("hard.db", "soft.db", "a.db"):
        with pytest.raises(StoreError, match=f"{name} cannot be merged into itself"):
            api.merge([str(tmp_path / name)], str(path))
    assert not (tmp_path / "hard.db-wal").exists()


@pytest.mark.slow
def test_a_merge_that_is_refused_leaves_nothing_behind(store, url, tmp_path, made):
    """Of a sound leaderboard and a damaged one, whose last table is the damaged one: 4,480 trials were left."""
    parts = [str(tmp_path / name) for name in ("sound.db", "damaged.db")]
    for number, part in enumerate(parts):
        with open_store(part) as side:
            answered(side, made, f"k{number}", f"net-{number}", f"weights-{number}")
    with closing(sqlite3.connect(parts[1])) as connection:
        connection.execute("UPDATE outcomes SET reason = 'another'")
        connection.commit()
    with pytest.raises(StoreError, match="nothing is merged, for a leaderboard is damaged: outcomes"):
        api.merge(parts, url)
    counts = api.db_status(url).counts
    left = {table: n for table, n in counts.items() if n and table != "meta"}
    assert left == {"environments": 1, "runs": 1, "run_ends": 1}  # of the command itself
