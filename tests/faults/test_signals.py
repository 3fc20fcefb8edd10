"""Signals at random moments: what is stored stays, and the same run again ends as an undisturbed one."""

import random
import signal
import sys
import time
from pathlib import Path

import pytest

from benchmark.engine.devices import working_threads

pytestmark = pytest.mark.slow

MOMENTS = random.Random(7)


@pytest.fixture(scope="module")
def whole():
    """What an undisturbed run leaves; made once."""
    return {}


def undisturbed(runs, folder, whole):
    if not whole:
        db = folder / "whole.db"
        process = runs.start(db)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        whole["content"], whole["chunks"] = runs.content(db), runs.chunks_on_disk(db)
    return whole["content"], whole["chunks"]


def finished(runs, db):
    """The same run to its end: how many trials it answered."""
    with working_threads(1):
        return runs.finish(db)


def reached(runs, process, db, chunks):
    """A run that has stored at least so many chunks, and is at work on the next one."""
    runs.wait(process, db, chunks, MOMENTS.uniform(0, 0.05))
    assert process.poll() is None, "the run was over before the signal"


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, b"interrupted; what is stored stays, the same command goes on"),
        (signal.SIGTERM, -signal.SIGTERM, b""),
        (signal.SIGKILL, -signal.SIGKILL, b""),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else None,
)
def test_a_run_that_is_ended_goes_on_where_it_was(runs, tmp_path, whole, number, code, said):
    content, chunks = undisturbed(runs, tmp_path, whole)
    for attempt in range(5):  # on a busy machine a run may be over before we look
        db = tmp_path / f"ended-{attempt}.db"
        process = runs.start(db)
        early = MOMENTS.randrange(1, chunks // 2)
        runs.wait(process, db, early, MOMENTS.uniform(0, 0.05))
        if process.poll() is None:
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert said in errors and b"Traceback" not in errors
    there = runs.stored_trials(db)
    assert finished(runs, db) == len(content[0]) - there
    assert runs.content(db) == content


def test_a_run_that_is_halted_goes_on_as_if_nothing_had_been(runs, tmp_path, whole):
    """SIGSTOP, as when a laptop sleeps or a job is suspended; another run meanwhile, on the same leaderboard."""
    content, chunks = undisturbed(runs, tmp_path, whole)
    db = tmp_path / "halted.db"
    process = runs.start(db)
    reached(runs, process, db, chunks // 3)
    process.send_signal(signal.SIGSTOP)
    try:
        halted = runs.chunks_on_disk(db)
        assert runs.chunks_on_disk(db) == halted < chunks
    finally:
        process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert runs.content(db) == content


def workers_of(run):
    """Process numbers of the children of a process."""
    threads = Path(f"/proc/{run}/task").glob("*/children")
    return [int(number) for thread in threads for number in thread.read_text().split()]


def alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_run(runs, tmp_path, whole, number):
    """Nobody is left behind on the devices; what the run had stored counts."""
    content, _ = undisturbed(runs, tmp_path, whole)
    db = tmp_path / "many.db"
    process = runs.start(db, "cpu,cpu")
    reached(runs, process, db, 1)
    workers = workers_of(process.pid)
    assert len(workers) >= 2  # and a tracker of shared memory
    process.send_signal(number)
    process.wait(timeout=120)
    for _ in range(1200):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))
    finished(runs, db)
    assert runs.content(db) == content
