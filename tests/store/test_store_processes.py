"""Several processes at once, and processes that die in the middle."""

import random
import subprocess
import time

import pytest

from benchmark.store import open_store

OPEN = """if True:
    import sys
    from benchmark.store import open_store
    print("here", flush=True)
    sys.stdin.read(1)  # all at the same moment
    with open_store(sys.argv[1]) as store:
        print(store.begin_run("bench run", {"a": 1}))
"""

WRITE = """if True:
    import sys, numpy as np
    from benchmark.contracts import Observer, Score, Stimuli
    from benchmark.store import Chunk, Observation, ScoreSet, open_store
    path, name, blocks, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), 64
    ids = tuple(f"i{number}" for number in range(size))
    stimuli = Stimuli(name="s", digest="d1", space="geirhos16", ids=ids, items=ids,
        labels={"category": np.array(["cat"] * size)}, decode=None)
    with open_store(path) as store:
        run = store.begin_run("bench run", {"python": "3"})
        observer = store.put_observer(Observer(name=name, kind="network", identity=name))
        store.put_stimuli(stimuli)
        keys = [f"{name}/{block}" for block in range(blocks)]
        for key in keys:
            store.put_observation(run, Observation(
                key=key, observer=observer, suite="cue", version=1, space="geirhos16", stimuli="d1", role="cue",
                presentation="whole", n=size))
            there = store.chunks(key)
            for index in set(range(8)) - there:
                values = np.arange(index * 8, index * 8 + 8)
                print("computes", key, index, flush=True)
                sys.stdin.read(1)  # leave to go on, where somebody gives it
                store.put_chunks(run, [Chunk(key=key, index=index, start=index * 8, columns={"p": values})])
        trials = store.trials(keys)
        made = ScoreSet(observer=observer, suite="cue", version=1, space="geirhos16", code="c",
            stimuli={"cue": "d1"}, keys=tuple(keys))
        store.put_scores(run, made, [Score(metric="sum", value=float(trials["p"].sum()), n=len(trials))])
        store.put_outcome(run, observer, (name, "cue", "geirhos16"), "done", "")
        store.end_run(run, "done")
"""


def finished(processes):
    """Their outputs, once all have ended well."""
    ended = [process.communicate(timeout=240) for process in processes]
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors
    return [out for out, _ in ended]


@pytest.mark.slow
def test_processes_open_a_fresh_leaderboard_at_once(url, python):
    processes = [python(OPEN, url, stdin=subprocess.PIPE) for _ in range(3)]
    assert {process.stdout.readline() for process in processes} == {"here\n"}
    for process in processes:
        process.stdin.write(".")
        process.stdin.flush()
    assert len(set(finished(processes))) == 3


@pytest.mark.slow
def test_writers_of_the_same_things(url, python):
    """The same model started twice, beside another: nobody fails, and nothing is there twice."""
    finished([python(WRITE, url, name, 10) for name in ("net", "net", "other")])
    with open_store(url, write=False) as store:
        assert [one.name for one in store.observers(latest=False)] == ["net", "other"]
        for name in ("net", "other"):
            trials = store.trials([f"{name}/{block}" for block in range(10)])
            assert trials["p"].tolist() == 10 * list(range(64))
        assert [row.value for row in store.latest_scores(suite="cue")] == [10 * sum(range(64))] * 2


@pytest.mark.slow
def test_killed_while_writing(url, python):
    """What was committed stays, the rest is computed again, and the scores come out the same: a kill leaves a whole
    number of chunks wherever in a transaction it comes."""
    blocks, moments = 20, random.Random(7)
    name = "net"
    keys = [f"{name}/{block}" for block in range(blocks)]
    process = python(WRITE, url, name, blocks, stdin=subprocess.PIPE)
    moment = moments.randrange(1, blocks * 4)
    process.stdin.write("." * (moment + blocks))  # it must not end before it is killed
    process.stdin.flush()
    begun = [process.stdout.readline() for _ in range(moment)]
    time.sleep(moments.uniform(0, 0.004))  # anywhere in a transaction
    process.kill()
    computed = len(begun) + len(process.stdout.readlines())
    process.wait()
    with open_store(url) as store:
        stored = {(key, index) for key in keys for index in store.chunks(key)}
        assert len(store.trials([key for key in keys if store.chunks(key)])) == 8 * len(stored)
    assert 0 < computed < blocks * 8
    assert computed - len(stored) in (0, 1)  # at most the chunk in hand was lost
    (again,) = finished([python(WRITE, url, name, blocks)])
    rest = {(key, int(index)) for _, key, index in map(str.split, again.splitlines())}
    assert not rest & stored
    assert len(rest) + len(stored) == blocks * 8
    with open_store(url, write=False) as store:
        (row,) = store.latest_scores(observers=[name])
        assert (row.value, row.n) == (blocks * sum(range(64)), blocks * 64)
