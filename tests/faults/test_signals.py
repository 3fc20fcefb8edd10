"""Signals at random moments: what is stored stays, and the same run again ends as an undisturbed one."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from benchmark import api
from benchmark.api import Silent
from benchmark.engine.devices import working_threads
from benchmark.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.release]

MOMENTS = random.Random(7)
MODELS = "world-standard-0,world-stylised-0,ideal-shape,ideal-noisy"
SUITE, BATCH, LIMIT = "cue-conflict", 16, 12


class Counted(Silent):
    """Counts the trials that a run answers."""

    answered = 0

    def advance(self, observer, trials):
        self.answered += trials


def started(db, device="cpu"):
    """`bench run` in a process of its own."""
    words = ["run", "--model", MODELS, "--suite", SUITE, "--limit", str(LIMIT), "--quiet"]
    words += ["--device", device, "--batch-size", str(BATCH), "--db", str(db)]
    code, env = "from benchmark.cli import main; main()", {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, *words], env=env, **quiet)


def finished(db):
    """The same run to its end; how many trials it answered."""
    counted, asked = Counted(), {"models": MODELS, "suites": SUITE, "limit": LIMIT, "device": "cpu"}
    with working_threads(1):
        report = api.run(db=str(db), reporter=counted, batch=BATCH, **asked)
    assert not report.exit_code, report.failed
    return counted.answered


def content(db):
    """Every trial, float noise apart, and every score."""
    trials = {}
    with open_store(str(db), write=False) as store:
        for row in store.observations():
            table = store.trials((row.key,))
            for image, *answer in zip(table["stimulus"], table["response"], table["probability"], strict=True):
                response, probability = answer
                trials[row.observer_name, row.role, image] = (response, np.round(probability, 5).tolist())
        return trials, {row._replace(created="", set_id="") for row in store.latest_scores(suite=SUITE)}


def on_disk(db):
    """Committed chunks and their trials, as another process sees them now."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{db}?mode=rw", uri=True)) as connection:
        return connection.execute("SELECT count(*), coalesce(sum(n), 0) FROM chunks").fetchone()
    return 0, 0  # not made yet


def wait(process, db, chunks, moment):
    """Until so many chunks are committed and a moment longer, or the run ends: start-up takes any time."""
    while process.poll() is None and on_disk(db)[0] < chunks:
        time.sleep(0.002)
    time.sleep(moment)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run leaves, and in how many chunks."""
    db = tmp_path_factory.mktemp("whole") / "whole.db"
    finished(db)
    return content(db), on_disk(db)[0]


@pytest.mark.parametrize(("number", "code", "said"), [
    (signal.SIGINT, 130, b"interrupted; stored trials are kept. Run the same command"),
    (signal.SIGKILL, -signal.SIGKILL, b""),
])  # fmt: skip
def test_a_run_that_is_ended_goes_on_where_it_was(tmp_path, whole, number, code, said):
    expected, chunks = whole
    for attempt in range(5):  # on a busy machine a run may be over before we look
        db = tmp_path / f"ended-{attempt}.db"
        process = started(db)
        wait(process, db, MOMENTS.randrange(1, chunks // 2), MOMENTS.uniform(0, 0.05))
        if process.poll() is None:
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code and said in errors and b"Traceback" not in errors
    _, there = on_disk(db)
    assert finished(db) == len(expected[0]) - there
    assert content(db) == expected


def alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_run(tmp_path, number):
    """Nobody is left behind on the devices."""
    process = started(tmp_path / "many.db", "cpu,cpu")
    wait(process, tmp_path / "many.db", 1, 0)
    assert process.poll() is None, "the run was over before the signal"
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    workers = [int(number) for thread in children for number in thread.read_text().split()]
    assert len(workers) >= 2  # and a tracker of shared memory
    process.send_signal(number)
    process.wait(timeout=120)
    for _ in range(1200):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))
