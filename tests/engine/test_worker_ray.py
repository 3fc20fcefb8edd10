"""Two Ray workers of this machine answer as one process does."""

import importlib.util
import socket
from functools import partial

import numpy as np
import pytest
import worker_plans as plans
from engine_toys import Bench

from benchmark import api
from benchmark.contracts import Policy
from benchmark.engine.workers import ray_cluster
from benchmark.engine.workers.messages import Assignment
from benchmark.errors import BenchError

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")


@pytest.fixture(scope="module")
def joined():
    with ray_cluster.cluster(None, 1.0, "cpu", cpus=2) as cluster:
        yield cluster


def by_ray(bench, plan, cluster):
    assignment = Assignment("cpu", Policy("cpu"), 1, bench.settings, plan)
    return plans.run(bench, plan, cluster.starts(assignment))


@needs_ray
@pytest.mark.slow
def test_two_ray_workers_answer_bit_for_bit_as_one_process(tmp_path, joined):
    assert (joined.places, joined.gpus) == (2, 0)
    boards = [Bench(tmp_path / name) for name in ("alone", "shared")]
    for name in ("alone", "shared"):
        (tmp_path / name).mkdir()
    plans.run(boards[0], plans.mixed)
    assert by_ray(boards[1], plans.mixed, joined).counts == {"done": 6}
    for name in ("one", "two", "reader"):
        for suite in ("toy", "second"):
            ours, theirs = (board.trials(name, suite) for board in boards)
            assert ours.keys() == theirs.keys()
            for column, values in ours.items():
                np.testing.assert_array_equal(values, theirs[column])
            assert boards[0].scores(name, suite) == boards[1].scores(name, suite)


@needs_ray
@pytest.mark.slow
def test_a_killed_ray_worker_loses_nothing(tmp_path, joined):
    flags = tmp_path / "flags"
    flags.mkdir()
    bench = Bench(tmp_path)
    report = by_ray(bench, partial(plans.dying, flags, 1), joined)
    assert len(list(flags.iterdir())) == 1
    assert report.counts == {"done": 2}
    assert len(set(bench.trials("one")["stimulus"])) == len(bench.trials("one")["stimulus"]) == 600


@needs_ray
@pytest.mark.slow
def test_no_room_in_the_cluster_is_one_clear_error(joined):
    with (
        pytest.raises(BenchError, match="no room for 2 GPUs for a worker; free are 0 GPUs"),
        ray_cluster.cluster(None, 2.0, "cuda"),
    ):
        pass


def test_ray_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _name: None)
    with pytest.raises(BenchError, match=r"pip install 'gestaltbench\[ray\]'"):
        api.run(models="ideal-shape", suites="cue-conflict", limit=1, executor="ray", db="never.db")


def test_a_device_of_this_machine_is_not_for_ray():
    with pytest.raises(BenchError, match="--device is auto, cpu or cuda, not 'cuda:1'"):
        api.run(
            models="ideal-shape", suites="cue-conflict", limit=1, executor="ray", device="cuda:1"
        )


@pytest.mark.slow
@needs_ray
def test_an_address_where_no_cluster_is_is_one_clear_error(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # whatever other tests have joined
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        BenchError, match=f"no cluster at ray://127.0.0.1:{port}: ConnectionRefused"
    ):
        api.run(
            models="ideal-shape", suites="cue-conflict", limit=1, executor="ray",
            address=f"ray://127.0.0.1:{port}", db="never.db",
        )  # fmt: skip
