"""A plan as a job array, with submitit's executor for this machine: one run bit for bit, whatever is killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from socket import gethostname
from threading import Barrier, Thread

import engine_toys as toys
import pytest
import worker_plans as plans
from engine_toys import Bench, network

from benchmark import api
from benchmark.api import array_jobs, submitted_tasks
from benchmark.api import running as requests
from benchmark.api.array_options import for_cluster, on_node, parse_options
from benchmark.api.array_task import running_process
from benchmark.contracts import Policy
from benchmark.engine import running
from benchmark.engine.tuning import working_threads
from benchmark.errors import BenchError
from benchmark.store import open_store
from registry.cards import write_card

needs_submitit = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="needs submitit"
)
ARRAY = {"executor": "slurm", "slurm": ("cluster=local", "tasks=2"), "device": "cpu"}
MIXED = {"models": "world-standard-0,ideal-shape", "suites": "cue-conflict,human-comparison"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", "")
    return tmp_path / "home"


class Notes(api.Silent):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@needs_submitit
@pytest.mark.slow
def test_an_array_is_one_run_bit_for_bit(home, tmp_path):
    alone, array = str(tmp_path / "alone.db"), str(tmp_path / "array.db")
    asked = {**MIXED, "limit": 6, "batch": 6}
    with working_threads(1):  # as many as a task has
        single = api.run(db=alone, device="cpu", **asked)
    told = Notes()
    report = api.run(db=array, reporter=told, **asked, **ARRAY)
    assert report.counts == single.counts and report.failed == {} and report.exit_code == 0
    assert plans.differing(array, alone) == []
    assert all(plans.content(alone))
    assert not list(tmp_path.glob("array.db-tasks/*/*.db"))
    assert {line for line in told.lines if line.endswith("0 to go")}


@needs_submitit
@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_a_killed_task_is_done_again(home, tmp_path, monkeypatch, whole):
    """whole: the job is gone as after the death of its node; else its process, as for want of memory."""
    flags = tmp_path / "flags"
    flags.mkdir()
    deadly = network("deadly", "Deadly", flag=str(flags), times=1, whole=whole)
    home.mkdir()
    write_card(deadly, home / "cards")
    told = Notes()
    report = api.run(
        db=str(tmp_path / "array.db"), models="deadly,ideal-shape", suites="cue-conflict",
        limit=60, batch=4, reporter=told, **ARRAY,
    )  # fmt: skip
    assert len(list(flags.iterdir())) == 1
    assert report.failed == {} and report.counts == {"done": 2}
    again = [line for line in told.lines if "is gone without a word: submitted again" in line]
    assert len(again) == whole
    with working_threads(1):
        api.run(
            db=str(tmp_path / "alone.db"), models="deadly,ideal-shape", suites="cue-conflict",
            limit=60, batch=4, device="cpu",
        )  # fmt: skip
    assert plans.differing(tmp_path / "array.db", tmp_path / "alone.db") == []


@pytest.mark.slow
def test_what_another_leaderboard_has_whole_is_not_made_again(tmp_path):
    (tmp_path / "part").mkdir()
    whole, part = Bench(tmp_path), Bench(tmp_path / "part")
    plans.run(whole, plans.mixed)
    with (
        open_store(whole.settings.db, write=False) as known,
        open_store(part.settings.db) as store,
    ):
        options = running.RunOptions("cpu", Policy("cpu"), 8, part="shard 1/1", elsewhere=known)
        report = running.execute(plans.mixed(), store, part.settings, options, toys.Silent())
        assert report.counts == {"partial": 6} and report.decoded == 0
        assert store.observations() == []


@pytest.mark.parametrize("count", [0.5, 0, -1, float("inf"), float("nan")])
def test_a_task_has_whole_gpus_or_says_that_it_needs_none(count):
    with pytest.raises(BenchError, match=r"of at least 1\. Without GPUs: --device cpu"):
        on_node(api.RunRequest(executor="slurm", gpus_per_task=count))
    assert (
        on_node(api.RunRequest(executor="slurm", gpus_per_task=count, device="cpu")).device == "cpu"
    )


@pytest.mark.parametrize(("gpus", "device"), [(1.0, "cuda"), (2.0, "cuda:all")])
def test_a_task_is_asked_for_nothing_that_its_executor_would_not_hear(gpus, device):
    words = {"slurm": ("tasks=2", "cluster=local"), "gpus_per_task": gpus}
    part = on_node(api.RunRequest(executor="slurm", device="cuda", **words))
    assert (part.device, part.executor) == (device, "local")
    requests._require_heard(part)


def test_options_of_the_array():
    found = parse_options(["tasks=3", "partition=gpu", "time=90", "cluster=local"])
    assert (found.tasks, found.cluster) == (3, "local")
    assert found.settings == {"partition": "gpu", "time": 90}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gpu", "expected KEY=VALUE"),
        ("=gpu", "expected KEY=VALUE"),
        ("--qos=x", "expected KEY=VALUE"),
        ("tasks=0", "the size of the array, 1 to 10000"),
        ("tasks=many", "the size of the array"),
        ("cluster=mars", "expected slurm, or local"),
    ],
)
def test_options_that_are_none(word, message):
    with pytest.raises(BenchError, match=message):
        parse_options([word])


def asked(tmp_path, **changes):
    request = {**MIXED, **ARRAY, "limit": 1, "db": str(tmp_path / "never.db"), **changes}
    return api.run(**request)


@needs_submitit
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"slurm": ("cluster=local", "colour=red")},
            "--slurm colour=red: Unknown argument 'colour'",
        ),
        ({"device": "cuda:1"}, "--device is auto, cpu or cuda, not 'cuda:1'"),
        ({"device": "cuda", "gpus_per_task": 0.5}, "Slurm gives whole GPUs"),
    ],
)
def test_bad_requests_are_one_clear_error(home, tmp_path, changes, message):
    with pytest.raises(BenchError, match=message):
        asked(tmp_path, **changes)


@needs_submitit
def test_a_machine_without_slurm_says_so(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="there is no Slurm on this machine"):
        asked(tmp_path, slurm=())


def test_a_shard_of_an_array_is_refused_before_anything_is_planned(home, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "choose_cards", None)
    with pytest.raises(BenchError, match="makes the shards itself"):
        asked(tmp_path, shard="1/2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slurm": ("tasks=3",)}, "--slurm is for --executor slurm, this run's is local"),
        ({"slurm": ("tasks=3",), "executor": "ray"}, "--slurm is for --executor slurm"),
        ({"address": "auto"}, "--address is for --executor ray"),
        ({"address": "auto", "executor": "slurm"}, "--address is for --executor ray"),
        ({"gpus_per_task": 2.0}, "--gpus-per-task is for --executor ray or slurm"),
    ],
)
def test_what_an_executor_would_not_hear_is_refused(home, tmp_path, monkeypatch, changes, message):
    """Who forgot --executor shall not have a cluster's work done by the machine that he is logged in to."""
    monkeypatch.setattr(requests, "choose_cards", None)
    with pytest.raises(BenchError, match=message):
        asked(tmp_path, **{"executor": "local", "slurm": (), **changes})


def test_a_leaderboard_that_cannot_be_is_refused_before_a_task_is_submitted(
    home, tmp_path, monkeypatch
):
    monkeypatch.setattr(array_jobs, "_executor", None)
    (tmp_path / "text.db").write_text("no leaderboard " * 20)
    with pytest.raises(BenchError, match="is not a leaderboard"):
        asked(tmp_path, db=str(tmp_path / "text.db"))


@pytest.mark.parametrize(("cluster", "device"), [("local", "cpu"), ("slurm", "cuda")])
def test_tasks_of_this_machine_have_its_devices(monkeypatch, cluster, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    request = for_cluster(api.RunRequest(), parse_options([f"cluster={cluster}"]))
    assert on_node(request).device == device


def test_submitit_that_is_not_installed_names_its_extra(home, tmp_path, monkeypatch):
    monkeypatch.setattr(array_jobs, "find_spec", lambda _name: None)
    with pytest.raises(BenchError, match=r"pip install 'gestaltbench\[slurm\]'"):
        asked(tmp_path)


def test_one_driver_of_an_array_at_a_time(tmp_path):
    """All at once; then again, after the first has ended, and after one that was killed left its mark."""
    for _ in range(2):
        together, refused = Barrier(4), []

        def drive(together=together, refused=refused):
            together.wait()
            try:
                with submitted_tasks.only_driver(tmp_path):
                    together.wait()
            except BenchError as error:
                refused.append(str(error))
                together.wait()

        threads = [Thread(target=drive) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = f"process {os.getpid()} on {gethostname()} drives this array already"
        assert len(refused) == 3 and all(said in one for one in refused)
    (tmp_path / "driver").write_text(f"{os.getpid()} {gethostname()}")  # nobody has it locked
    with submitted_tasks.only_driver(tmp_path):
        pass


def test_tasks_that_store_nothing_are_an_error_that_says_why(home, tmp_path, monkeypatch):
    monkeypatch.setattr(array_jobs, "_executor", lambda *_: None)
    monkeypatch.setattr(array_jobs, "_wait", lambda *_: {"1/2": "ended with code 1."})
    with pytest.raises(
        BenchError, match=r"anything; task 1/2: ended with code 1\. Logs: .*never\.db"
    ):
        asked(tmp_path, models="ideal-shape", suites="cue-conflict")


OTHER = "def __getattr__(name): raise SystemExit('another program was loaded')"


@needs_submitit
@pytest.mark.slow
def test_a_task_is_of_its_drivers_program(home, tmp_path, monkeypatch):
    """Whatever comes first where the driver was started."""
    stranger = tmp_path / "stranger" / "benchmark"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text(OTHER)
    monkeypatch.setenv("PYTHONPATH", str(stranger.parent))
    one = ("cluster=local", "tasks=1")
    report = asked(tmp_path, models="ideal-shape", suites="cue-conflict", slurm=one)
    assert report.failed == {} and report.exit_code == 0


STOPPED = """
import sys
from benchmark import api
from benchmark.api.running import Silent
class Told(Silent):
    def note(self, text): print(text, flush=True)
if __name__ == "__main__":
    api.run(models="slow-0,slow-1", suites="cue-conflict", limit=60, batch=4, executor="slurm",
            slurm=("cluster=local", "tasks=2"), device="cpu", db=sys.argv[1], reporter=Told())
"""


class Driver:
    """A driver in a process of its own, with two networks that take their time."""

    def __init__(self, tmp_path, home):
        self.db = tmp_path / "array.db"
        self.script = tmp_path / "driver.py"
        self.script.write_text(STOPPED)
        (home / "cards").mkdir(parents=True)
        for seed in (0, 1):
            write_card(network(f"slow-{seed}", "Slow", seed=seed), home / "cards")

    def start(self):
        return subprocess.Popen(
            [sys.executable, "-P", str(self.script), str(self.db)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def tasks(self):
        """Processes that run a task now."""
        marks = self.db.parent.glob("array.db-tasks/*/*.running")
        return {number for mark in marks if (number := running_process(mark))}

    def wait_for_tasks(self, process):
        until = time.monotonic() + 120
        while len(found := self.tasks()) < 2:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        return found


@needs_submitit
@pytest.mark.slow
def test_a_second_driver_submits_nothing_and_an_interrupted_one_takes_its_tasks_with_it(
    home, tmp_path
):
    driver = Driver(tmp_path, home)
    first, second = driver.start(), driver.start()
    until = time.monotonic() + 120
    while first.poll() is None and second.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    refused, other = (first, second) if first.poll() is not None else (second, first)
    said, _ = refused.communicate(timeout=60)
    assert f"process {other.pid} on {gethostname()} drives this array already" in said
    driver.wait_for_tasks(other)
    assert len(list(tmp_path.glob("array.db-tasks/*/logs/*_submitted.pkl"))) == 2
    os.kill(other.pid, signal.SIGINT)
    said, _ = other.communicate(timeout=60)
    assert "2 tasks cancelled; what they have stored stays" in said
    assert driver.tasks() == set()


@needs_submitit
@pytest.mark.slow
def test_tasks_that_outlive_their_driver_are_waited_for(home, tmp_path):
    driver = Driver(tmp_path, home)
    first = driver.start()
    before = driver.wait_for_tasks(first)
    first.kill()
    first.wait()
    second = driver.start()
    said = [second.stdout.readline() for _ in range(3)]
    assert sum("still runs since before: waited for" in line for line in said) == 2, said
    assert driver.tasks() == before  # the very same processes, no others
    os.kill(second.pid, signal.SIGINT)
    rest, _ = second.communicate(timeout=60)
    assert "2 tasks cancelled" in rest
    assert driver.tasks() == set()
