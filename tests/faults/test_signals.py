"""Signals at random moments: what is stored stays, and the same run again ends as an undisturbed one."""

import random
import signal
import sys
import time
from pathlib import Path

import pytest
from faults.conftest import Runs

pytestmark = [pytest.mark.slow, pytest.mark.release]

MOMENTS = random.Random(7)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run leaves, and in how many chunks."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        Runs().finish(folder / "whole.db")
    return Runs().content(folder / "whole.db"), Runs().chunks_on_disk(folder / "whole.db")


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, b"interrupted; stored trials are kept. Run the same command"),
        (signal.SIGKILL, -signal.SIGKILL, b""),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else None,
)
def test_a_run_that_is_ended_goes_on_where_it_was(runs, tmp_path, whole, number, code, said):
    content, chunks = whole
    for attempt in range(5):  # on a busy machine a run may be over before we look
        db = tmp_path / f"ended-{attempt}.db"
        process = runs.start(db)
        runs.wait(process, db, MOMENTS.randrange(1, chunks // 2), MOMENTS.uniform(0, 0.05))
        if process.poll() is None:
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code and said in errors and b"Traceback" not in errors
    there = runs.stored_trials(db)
    assert runs.finish(db) == len(content[0]) - there
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
def test_workers_end_with_their_run(runs, tmp_path, number):
    """Nobody is left behind on the devices."""
    process = runs.start(tmp_path / "many.db", "cpu,cpu")
    runs.wait(process, tmp_path / "many.db", 1, 0)
    assert process.poll() is None, "the run was over before the signal"
    workers = workers_of(process.pid)
    assert len(workers) >= 2  # and a tracker of shared memory
    process.send_signal(number)
    process.wait(timeout=120)
    for _ in range(1200):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))
