"""Processes, a job array and a Ray cluster carry out shards of a plan: one run bit for bit, whatever is killed."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter

import pytest
import torch
from engine_toys import network

from benchmark import api
from benchmark.api import running
from benchmark.engine import devices
from benchmark.engine.devices import choose_devices, working_threads
from benchmark.errors import BenchError
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import write_card

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
MIXED = {"models": "world-standard-0,ideal-shape,world-reader-0", "limit": 6, "batch": 6}
SUITES = "cue-conflict,human-comparison,adversarial"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "home" / "cards").mkdir(parents=True)
    with working_threads(1):  # as many as each of two processes has
        yield tmp_path / "home"


class Told(api.Silent):
    def __init__(self):
        self.lines, self.trials = [], Counter()

    def note(self, text):
        self.lines.append(text)

    def advance(self, name, trials):
        self.trials[name] += trials


def content(db):
    """Every trial's columns as bytes, and every score."""
    with open_store(str(db), write=False) as store:
        assert list(store.problems()) == []
        trials = {
            (row.observer_name, row.key, name): repr(values.tolist())  # NaN is NaN
            for row in store.observations()
            for name, values in store.trials((row.key,)).columns.items()
        }
        scores = {
            (row.observer, row.suite, row.space, row.metric, row.role, row.condition): (
                row.value, row.low, row.high, row.n, row.reason, row.flags
            )
            for row in store.latest_scores()
        }  # fmt: skip
    return trials, scores


def same(one, other):
    """Whether two leaderboards hold the same; a comparison in the assertion would print thousands of lines."""
    mine, theirs = content(one), content(other)
    assert all(mine)
    return mine == theirs


@pytest.mark.slow
def test_two_processes_on_one_leaderboard_are_one_run(home, tmp_path):
    alone, shared, told = tmp_path / "alone.db", tmp_path / "shared.db", Told()
    single = api.run(db=str(alone), device="cpu", suites=SUITES, **MIXED)
    report = api.run(db=str(shared), device="cpu,cpu", suites=SUITES, reporter=told, **MIXED)
    assert report.counts == single.counts and (report.failed, report.exit_code) == ({}, 0)
    assert same(alone, shared)
    with open_store(str(alone), write=False) as store:
        answered = Counter()
        for row in store.observations():
            answered[row.observer_name] += row.n
    assert told.trials == answered
    again = api.run(db=str(shared), device="cpu,cpu", suites=SUITES, **MIXED)
    assert again.counts == {"cached": single.counts["done"], "not applicable": 2}
    assert same(alone, shared)


def test_a_long_plan_takes_two_processes_of_a_processor(home, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "processors", lambda: 2)

    def chosen(**asked):
        plan = api.prepare(api.RunRequest(**{**MIXED, "suites": "cue-conflict", **asked}), read_settings(str(db)))
        return plan.on_all_cores().request.device

    db = tmp_path / "a.db"
    assert chosen() == "auto"  # less than a second
    monkeypatch.setattr(running, "LONG_ENOUGH", 1e-6)
    assert [chosen(), chosen(device="cpu"), chosen(shard="1/2")] == ["cpu,cpu", "cpu", "auto"]
    api.run(db=str(db), suites="cue-conflict", **MIXED)
    assert chosen() == "auto"  # all is stored
    monkeypatch.setattr(devices, "processors", lambda: 1)
    assert chosen(limit=5) == "auto"


def deadly(home, times):
    """A network whose first `times` runs kill their process, after one that does not."""
    flags = home / "flags"
    flags.mkdir(exist_ok=True)
    write_card(network("a-fine", "Readout", seed=1), home / "cards")
    write_card(network("b-deadly", "Deadly", flag=str(flags), times=times), home / "cards")
    return flags


@pytest.mark.slow
def test_a_process_that_is_killed_is_started_again_and_in_the_end_left(home, tmp_path):
    """Four kills: three end the first run's shard, and the same command goes on through the fourth."""
    asked = {"models": "a-fine,b-deadly", "suites": "cue-conflict", "limit": 80, "batch": 2}
    flags, told = deadly(home, 4), Told()
    report = api.run(db=str(tmp_path / "a.db"), device="cpu,cpu", **asked)
    assert (report.exit_code, report.counts) == (3, {"done": 1, "failed": 1})
    assert "was killed (SIGKILL) 3 times" in report.failed["process 1"]
    assert report.failed["b-deadly under cue-conflict"] == "its shard did not come to its end"
    report = api.run(db=str(tmp_path / "a.db"), device="cpu,cpu", reporter=told, **asked)
    assert (report.exit_code, report.failed, len(list(flags.iterdir()))) == (0, {}, 4)
    assert [line for line in told.lines if line.endswith("was killed (SIGKILL)")]
    api.run(db=str(tmp_path / "b.db"), device="cpu", **asked)
    assert same(tmp_path / "a.db", tmp_path / "b.db")


def bash(script, *words, path="", **environment):
    return subprocess.run(
        ["bash", str(script), *words], capture_output=True, text=True, check=False,
        env={**os.environ, **environment, "PATH": f"{path}:{os.environ['PATH']}"},
    )  # fmt: skip


@pytest.fixture
def commands(tmp_path):
    """A folder with `bench`, and with an `sbatch` that notes what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "bench").write_text(
        f"#!/bin/bash\nexec {sys.executable} -c 'from benchmark.cli import main; main()' \"$@\"\n"
    )
    (folder / "sbatch").write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/submitted\necho 17\n')
    for file in folder.iterdir():
        file.chmod(0o755)
    return str(folder)


def printed(tmp_path, commands, *words):
    """The script that `bench run --print-array slurm` prints, as a file."""
    done = subprocess.run(
        [f"{commands}/bench", "run", *words, "--print-array", "slurm", "--tasks", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    script = tmp_path / "array.sh"
    script.write_text(done.stdout)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    return script


@pytest.mark.slow
def test_the_printed_array_is_one_run(home, tmp_path, commands):
    alone, db = tmp_path / "alone.db", tmp_path / "an array.db"
    asked = {**MIXED, "suites": "cue-conflict"}
    api.run(db=str(alone), device="cpu", **asked)
    api.run(db=str(db), device="cpu", **{**asked, "models": "ideal-shape"})
    words = ["--model", MIXED["models"], "--suite", "cue-conflict", "--limit", "6"]
    words += ["--batch-size", "6", "--device", "cpu", "--db", str(db)]
    script = printed(tmp_path, commands, *words)
    assert bash(script, path=commands, SLURM_ARRAY_TASK_ID="1").returncode == 0
    early = bash(script, "merge", path=commands)
    assert early.returncode == 3 and "shard 2/2 of plan" in early.stdout + early.stderr
    assert bash(script, path=commands, SLURM_ARRAY_TASK_ID="2").returncode == 0
    assert bash(script, "merge", path=commands).returncode == 0
    assert same(alone, db)
    assert not list(tmp_path.glob("*-shards-*"))


@pytest.mark.slow
def test_the_printed_array_submits_itself_and_its_merge(home, tmp_path, commands):
    script = printed(tmp_path, commands, "--model", "ideal-shape", "--suite", "cue-conflict")
    assert bash(script, "--partition=gpu", "--time=4:00:00", path=commands).returncode == 0
    options = "--partition=gpu --time=4:00:00"
    assert (tmp_path / "submitted").read_text().splitlines() == [
        f"--parsable --array=1-2 --requeue --gpus=1 {options} {script}",
        f"--dependency=afterany:17 {options} {script} merge",
    ]


@pytest.mark.slow
@needs_ray
def test_ray_is_one_run_and_redoes_what_is_lost(home, tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    flags = deadly(home, 1)
    asked = {"models": "a-fine,b-deadly,ideal-shape", "suites": "cue-conflict", "limit": 40}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        report = api.run(db=str(tmp_path / "ray.db"), batch=2, executor="ray", **asked)
        assert (report.counts, report.failed) == ({"done": 3}, {})
        assert len(list(flags.iterdir())) == 1
        again = api.run(db=str(tmp_path / "ray.db"), batch=2, executor="ray", **asked)
        assert (again.counts, again.failed) == ({"cached": 3}, {})
        with pytest.raises(BenchError, match="no room for 2 GPUs for a task; free are 0 GPUs"):
            api.run(executor="ray", device="cuda", gpus_per_task=2.0, db=str(tmp_path / "never.db"), **asked)
    finally:
        ray.shutdown()
    api.run(db=str(tmp_path / "alone.db"), batch=2, device="cpu", **asked)
    assert same(tmp_path / "alone.db", tmp_path / "ray.db")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"executor": "slurm"}, "--executor slurm is now `bench run ... --print-array slurm"),
        ({"executor": "dask"}, "an executor is local or ray, not 'dask'"),
        ({"executor": "ray", "device": "cuda:1"}, "--device is auto, cpu or cuda, not 'cuda:1'"),
        ({"device": "cpu,cpu", "shard": "1/2"}, "--shard 1/2 is one process on one device"),
        ({"address": "auto"}, "--address and --gpus-per-task are for --executor ray"),
    ],
)
def test_options_that_do_not_go_together(asked, message):
    with pytest.raises(BenchError, match=message):
        api.run(models="ideal-shape", suites="cue-conflict", limit=1, db="never.db", **asked)


def gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_devices_by_name(monkeypatch):
    gpus(monkeypatch, 3)
    assert choose_devices("cuda:all") == ("cuda:0", "cuda:1", "cuda:2")
    assert choose_devices("cuda:0, cuda:2") == ("cuda:0", "cuda:2")
    assert choose_devices("cpu,cpu") == ("cpu", "cpu")
    assert choose_devices("cuda:1") == ("cuda:1",)
