"""Trials: stored chunk by chunk, put together again with names, labels, roles and conditions."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.contracts.trials import Columns, coded, stacked_tables
from benchmark.failures import StoreError
from benchmark.store import Chunk, open_store


def test_chunks_come_back_as_one_table(store, made):
    _, observer = made.world(store)
    made.answers(store, "k1", observer)
    trials = store.trials(["k1"], {"edges": "not on this disk"})
    assert list(trials.columns) == ["role", "condition", "stimulus", "category", "response", "sure"]
    assert trials["stimulus"].tolist() == [f"image-{i}.png" for i in range(10)]
    assert trials["category"].tolist() == ["cat", "dog"] * 5
    assert trials["response"].tolist() == [f"answer {i % 3}" for i in range(10)]
    assert trials["sure"].tolist() == [i / 10 for i in range(10)]
    assert set(trials["role"].tolist()) == {"cue-conflict"}
    assert trials.missing == {"edges": "not on this disk"}


def test_blocks_with_different_columns(store, made):
    run, observer = made.world(store)
    store.put_stimuli(made.stimuli("d2", 3, shape=np.array(["car", "cat", "dog"])))
    made.answers(store, "k1", observer)
    store.put_observation(run, made.observation("k2", observer, "d2", 3, role="edges", condition="contrast=5"))
    only = {"flip": np.array([True, False, True]), "map": np.arange(6).reshape(3, 2)}
    store.put_chunks(run, [Chunk(key="k2", index=0, start=0, columns=only)])
    trials = store.trials(["k2", "k1"])
    assert (len(trials), trials["role"].tolist()) == (13, ["edges"] * 3 + ["cue-conflict"] * 10)
    assert trials["condition"].tolist() == ["contrast=5"] * 3 + [""] * 10
    assert trials["category"].tolist()[:4] == ["", "", "", "cat"]
    assert trials["flip"][:3].tolist() == [1.0, 0.0, 1.0]
    assert np.isnan(trials["flip"][3:]).all() and np.isnan(trials["sure"][:3]).all()  # not False: nobody measured it
    assert trials["map"].shape == (13, 2) and trials["map"][:3].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_an_observation_is_complete_with_all_chunks_or_once_it_is_settled(store, made):
    run, observer = made.world(store)
    assert store.chunks("k1") == set() and not store.complete("k1")
    store.put_observation(run, made.observation("k1", observer))
    with pytest.raises(StoreError, match="refers to nothing stored"):  # all chunks or none
        store.put_chunks(run, [made.chunk("k1", 0), made.chunk("k2", 0)])
    for index, there in ((None, set()), (0, {0}), (2, {0, 2}), (1, {0, 1, 2})):
        store.put_chunks(run, [] if index is None else [made.chunk("k1", index)])
        assert store.chunks("k1") == there and store.complete("k1") == (len(there) == 3)
        assert not there or len(store.trials(["k1"])) == sum({0: 4, 1: 4, 2: 2}[at] for at in there)
    store.put_observation(run, made.observation("k3", observer))
    store.put_chunks(run, [made.chunk("k3", 0)])
    for n in (4, 9):  # the first counts
        store.settle(run, "k3", n)
        assert store.complete("k3") and len(store.trials(["k3"])) == 4
    with pytest.raises(StoreError, match="refers to nothing stored"):
        store.settle(run, "k9", 4)


def test_chunks_that_do_not_fit(store, made):
    run, observer = made.world(store)
    store.put_observation(run, made.observation("k1", observer))
    three = {"a": np.zeros(3)}
    for columns, start, message in (({**three, "b": np.zeros(4)}, 0, "unequal length"), ({}, 0, "none at all")):
        with pytest.raises(StoreError, match=message):
            store.put_chunks(run, [Chunk(key="k1", index=0, start=start, columns=columns)])
    for name in ("role", "condition", "category"):
        store.put_observation(run, made.observation(name, observer))
        store.put_chunks(run, [Chunk(key=name, index=0, start=0, columns={name: np.zeros(3)})])
        with pytest.raises(StoreError, match=f"'{name}' .* is both a label and an observed column"):
            store.trials([name])
    for key, values in (("text", np.array(["a"])), ("number", np.array([1.0]))):
        store.put_observation(run, made.observation(key, observer))
        store.put_chunks(run, [Chunk(key=key, index=0, start=0, columns={"x": values})])
    with pytest.raises(StoreError, match="column 'x' does not fit together"):
        store.trials(["text", "number"])


def test_trials_as_codes_are_the_same_trials():
    plain = {"role": np.array(["a", "b", "a"]), "x": np.array([1, 2, 3])}
    packed = Columns({"role": coded(plain["role"]), "x": plain["x"]})
    assert stacked_tables([]) == {} and stacked_tables([{}, plain])["x"].tolist() == [1, 2, 3]
    for trials in (Trials(columns=plain), Trials(columns=packed)):
        assert len(trials) == 3 and len(Trials(columns={})) == 0
        assert trials.of("a")["x"].tolist() == [1, 3] and len(trials.of("none")) == 0
        assert trials.where(np.array([False, True, True]))["role"].tolist() == ["b", "a"]
        assert trials.coded("role").plain().tolist() == ["a", "b", "a"]


@pytest.mark.slow
def test_the_program_of_the_page_prints_stored_trials(path, made):
    """It reads what the store wrote, without the store."""
    with open_store(str(path)) as store:
        _, observer = made.world(store)
        made.answers(store, "0" * 64, observer)
    page = Path(__file__).parents[2] / "docs" / "stored-trials.md"
    (program,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    done = subprocess.run([sys.executable, "-I", "-c", program, str(path)], capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert first == "net cue-conflict  ['answer 0' 'answer 1' 'answer 2']"
    assert len(others) == 2  # ten trials in chunks of four
