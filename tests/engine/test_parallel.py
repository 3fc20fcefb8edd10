"""Processes, a job array and a Ray cluster carry out shards of a plan: one run bit for bit, whatever is killed."""

import importlib.util
import os
import select
import shlex
import subprocess
import sys
from collections import Counter

import pytest
import torch
from engine_toys import Told, content, network

from benchmark import api
from benchmark.api import running
from benchmark.engine import device_choice
from benchmark.engine.device_choice import choose_devices
from benchmark.engine.devices import working_threads
from benchmark.failures import BenchError
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
    answered, advanced = Counter(), Counter()
    with open_store(str(alone), write=False) as store:
        for row in store.observations():
            answered[row.observer_name] += row.n
    for name, trials in (words for method, *words in told.events if method == "advance"):
        advanced[name.partition(": ")[2]] += trials  # behind the name of its shard
    assert advanced == answered
    again = api.run(db=str(shared), device="cpu", suites=SUITES, **MIXED)
    assert again.counts == {"cached": single.counts["done"], "not applicable": 2}


@pytest.mark.slow
def test_a_long_plan_takes_two_processes_of_a_processor(home, tmp_path, monkeypatch):
    monkeypatch.setattr(device_choice, "cores", lambda: 2)

    def chosen(**asked):
        plan = api.prepare(api.RunRequest(**{**MIXED, "suites": "cue-conflict", **asked}), read_settings(str(db)))
        return plan.on_all_cores().request.device

    db = tmp_path / "a.db"
    assert chosen() == "auto"  # less than a second
    assert chosen(models="world-standard-0", suites="corruption", limit=None) == "auto"  # seconds: images are small
    monkeypatch.setattr(running, "LONG_ENOUGH", 1e-6)
    assert [chosen(), chosen(device="cpu"), chosen(shard="1/2")] == ["cpu,cpu", "cpu", "auto"]
    api.run(db=str(db), suites="cue-conflict", **MIXED)
    assert chosen() == "auto"  # all is stored
    monkeypatch.setattr(device_choice, "cores", lambda: 1)
    assert chosen(limit=5) == "auto"


def deadly(home, name, times):
    """The card of a network whose first `times` runs kill their process; where it notes them."""
    flags = home / name
    flags.mkdir()
    write_card(network(name, "Deadly", flag=str(flags), times=times), home / "cards")
    return flags


@pytest.mark.slow
def test_a_process_that_is_killed_is_started_again_and_in_the_end_left(home, tmp_path):
    """One shard's is killed once, the other's as often as it is started; the same run goes on with what is stored."""
    asked = {"models": "a-once,b-thrice", "suites": "cue-conflict", "limit": 40, "batch": 2}
    once, thrice, told = deadly(home, "a-once", 1), deadly(home, "b-thrice", 3), Told()
    report = api.run(db=str(tmp_path / "a.db"), device="cpu,cpu", reporter=told, **asked)
    assert [len(list(flags.iterdir())) for flags in (once, thrice)] == [1, 3]
    assert len([line for line in told.notes() if line.endswith("was killed (SIGKILL)")]) == 4
    assert (report.exit_code, report.counts) == (3, {"done": 1, "failed": 1})
    (lost,) = (why for name, why in report.failed.items() if name.startswith("shard "))
    assert "was killed (SIGKILL) 3 times" in lost
    assert report.failed["b-thrice under cue-conflict"] == "its shard did not come to its end"
    report = api.run(db=str(tmp_path / "a.db"), device="cpu", **asked)
    assert (report.failed, report.counts) == ({}, {"cached": 1, "done": 1})
    api.run(db=str(tmp_path / "b.db"), device="cpu", **asked)
    assert same(tmp_path / "a.db", tmp_path / "b.db")


@pytest.mark.slow
def test_a_network_of_one_of_several_processes_may_start_processes(home, tmp_path):
    write_card(network("a", "Parent"), home / "cards")
    report = api.run("a", "cue-conflict", db=str(tmp_path / "a.db"), device="cpu,cpu", limit=4)
    assert report.failed == {}


@pytest.fixture
def shell(bench, tmp_path):
    """Carries out a bash script in which `bench` is this process's, and `sbatch` notes what it is told."""
    (folder := tmp_path / "bin").mkdir()
    calls, codes = tmp_path / "calls", tmp_path / "codes"
    for pipe in (calls, codes):
        os.mkfifo(pipe)
    programs = {
        "bench": f"printf '%q ' \"$@\" > {calls}; echo > {calls}; read -r code < {codes}; exit $code",
        "sbatch": f'echo "$@" >> {tmp_path}/submitted; echo 17',
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    opened = [pipe.open("r+b", buffering=0) for pipe in (calls, codes)]

    def carried_out(*words, **environment):
        """(exit code, what `bench` said)"""
        environment = {**os.environ, **environment, "PATH": f"{folder}:{os.environ['PATH']}"}
        said, running = "", subprocess.Popen(["bash", *map(str, words)], env=environment)
        while running.poll() is None:
            if select.select(opened[:1], [], [], 0.02)[0]:
                ended = bench(*shlex.split(opened[0].readline().decode()))
                said += ended.out + ended.err
                opened[1].write(f"{ended.code}\n".encode())
        return running.returncode, said

    yield carried_out
    for pipe in opened:
        pipe.close()


def printed(tmp_path, bench, *words):
    """The script that `bench run --print-array slurm` prints, as a file."""
    ended = bench("run", *words, "--print-array", "slurm", "--tasks", "2")
    assert ended.code == 0, ended.err
    (script := tmp_path / "array.sh").write_text(ended.out)
    return script


@pytest.mark.release
def test_the_printed_array_is_one_run(home, tmp_path, bench, shell):
    alone, db = tmp_path / "alone.db", tmp_path / "an array.db"
    asked = {**MIXED, "suites": "cue-conflict"}
    api.run(db=str(alone), device="cpu", **asked)
    api.run(db=str(db), device="cpu", **{**asked, "models": "ideal-shape"})
    words = ["--model", MIXED["models"], "--suite", "cue-conflict", "--limit", "6"]
    script = printed(tmp_path, bench, *words, "--batch-size", "6", "--device", "cpu", "--db", db)
    assert shell(script, SLURM_ARRAY_TASK_ID="1")[0] == 0
    code, said = shell(script, "merge")
    assert code == 3 and "shard 2/2 of plan" in said
    assert shell(script, SLURM_ARRAY_TASK_ID="2")[0] == 0
    assert shell(script, "merge")[0] == 0
    assert same(alone, db)
    assert not list(tmp_path.glob("*-shards-*"))


def test_the_printed_array_submits_itself_and_its_merge(home, tmp_path, bench, shell):
    script = printed(tmp_path, bench, "--model", "ideal-shape", "--suite", "cue-conflict")
    assert shell(script, "--partition=gpu", "--time=4:00:00") == (0, "")
    options = "--partition=gpu --time=4:00:00"
    assert (tmp_path / "submitted").read_text().splitlines() == [
        f"--parsable --array=1-2 --requeue --gpus=1 {options} {script}",
        f"--dependency=afterany:17 {options} {script} merge",
    ]


@pytest.mark.release
@needs_ray
def test_ray_is_one_run_and_redoes_what_is_lost(home, tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    write_card(network("a-fine", "Readout", seed=1), home / "cards")
    flags = deadly(home, "b-deadly", 1)
    asked = {"models": "a-fine,b-deadly,ideal-shape", "suites": "cue-conflict", "limit": 40, "batch": 2}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        report = api.run(db=str(tmp_path / "ray.db"), executor="ray", **asked)
        assert (report.counts, report.failed) == ({"done": 3}, {})
        assert len(list(flags.iterdir())) == 1
        with pytest.raises(BenchError, match="the cluster does not have 2 GPUs for a task; 0 GPUs"):
            api.run(executor="ray", device="cuda", gpus_per_task=2.0, db=str(tmp_path / "never.db"), **asked)
    finally:
        ray.shutdown()
    again = api.run(db=str(tmp_path / "ray.db"), device="cpu", **asked)
    assert (again.counts, again.failed) == ({"cached": 3}, {})
    api.run(db=str(tmp_path / "alone.db"), device="cpu", **asked)
    assert same(tmp_path / "alone.db", tmp_path / "ray.db")


@pytest.mark.parametrize(("asked", "message"), [
    ({"executor": "dask"}, "--executor must be local or ray, not 'dask'"),
    ({"executor": "ray", "device": "cuda:1"}, "--device must be auto, cpu or cuda, not 'cuda:1'"),
    ({"device": "cpu,cpu", "shard": "1/2"}, "--shard 1/2 runs on one device"),
    ({"address": "auto"}, "--address and --gpus-per-task need --executor ray"),
])  # fmt: skip
def test_options_that_do_not_go_together(asked, message):
    with pytest.raises(BenchError, match=message):
        api.run(models="ideal-shape", suites="cue-conflict", limit=1, db="never.db", **asked)


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = {"cuda:all": "cuda:0,cuda:1,cuda:2", "cuda:0, cuda:2": "cuda:0,cuda:2", "cpu,cpu": "cpu,cpu"}
    assert {name: ",".join(choose_devices(name)) for name in found} == found
