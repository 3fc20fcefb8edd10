"""`--executor ray`: shards of a plan as tasks of a cluster. The driver stores their answers, or PostgreSQL does."""

import pickle
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmark.api.running import Result, RunPlan, ShardWork
from benchmark.contracts import Policy
from benchmark.engine.costs import complete_observations
from benchmark.engine.device_choice import make_policy
from benchmark.engine.reporters import Reporter, Silent
from benchmark.engine.score_shards import RunReport
from benchmark.failures import BenchError
from benchmark.store import open_store
from benchmark.store.location import parse_location
from benchmark.variables import set_defaults
from registry.user_errors import library

SHARDS = 4  # for each place of the cluster: small shards end at nearly the same time
RETRIES = 3  # of a task whose process or machine is lost
ANSWERING = 10  # s in which a cluster's address must take a connection


@contextmanager
def ray_cluster(plan: RunPlan, reporter: Reporter) -> Iterator["RayCluster"]:
    """Join the cluster of a plan, or start one here. Raise BenchError without Ray or a cluster, or if it is full."""
    request, address = plan.request, plan.request.address
    set_defaults("RAY_USAGE_STATS_ENABLED")
    ray = library("ray", "ray", "--executor ray", BenchError)
    joined_before = ray.is_initialized()
    try:
        # An address is "auto", "ray://host:10001" or "host:6379".
        host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
        if colon and port.isdigit():  # Ray itself tries for many minutes
            socket.create_connection((host, int(port)), timeout=ANSWERING).close()
        if not joined_before:
            board = {} if address else {"include_dashboard": False}
            ray.init(address, log_to_driver=False, logging_level="error", **board)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        at = f"{address or 'this machine'}: {type(error).__name__}: {error}"
        raise BenchError(f"--executor ray: cannot join a cluster at {at}") from error
    try:
        free = ray.available_resources()
        gpus_free, cores = free.get("GPU", 0), free.get("CPU", 0)
        on_gpus = request.device == "cuda" or (request.device == "auto" and gpus_free)
        gpus = request.gpus_per_task if on_gpus else 0.0  # of each task
        places = int(gpus_free / gpus if gpus else cores)  # for tasks at once
        if places < 1:
            wanted = f"{gpus:g} GPUs for a task" if gpus else "a CPU for a task"
            there = f"{gpus_free:g} GPUs and {cores:g} CPUs are free. Wait for other tasks, or ask for less"
            raise BenchError(f"--executor ray: the cluster does not have {wanted}; {there} (--gpus-per-task).")
        device = "cuda" if gpus else "cpu"
        policy = make_policy(device, request.precision, compile_model=request.compile, seed=request.seed)
        decoders = request.decoders or max(1, int(cores // places))
        yield RayCluster(
            ray=ray, plan=plan, reporter=reporter, policy=policy, shards=SHARDS * places, gpus=gpus, decoders=decoders
        )
    finally:
        if not joined_before:
            ray.shutdown()


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """Tasks of a cluster; each has its own leaderboard unless the plan writes to a server."""

    ray: Any
    plan: RunPlan
    reporter: Reporter
    policy: Policy
    shards: int
    gpus: float  # of each task
    decoders: int

    def share(self, index: int) -> tuple[int, dict[str, Any]]:  # noqa: ARG002
        """Return the same share for all; a place on a CPU is one core."""
        local = {"executor": "local", "address": None, "gpus_per_task": 1.0}
        threads = 1 if self.policy.device == "cpu" else torch.get_num_threads()
        return threads, {**local, "device": self.policy.device, "decoders": self.decoders}

    def results(self, work: Sequence[ShardWork], parts: Sequence[RunPlan]) -> Generator[tuple[int, Result]]:
        """Submit every shard that has tasks; store the answers of each as soon as it ends."""
        ray, every, known = self.ray, [task for part in parts for task in part.tasks], set[str]()
        own_file = parse_location(self.plan.settings.db).path is not None
        if own_file:
            with open_store(self.plan.settings.db) as store:
                known = complete_observations(store, {task.card.name for task in every})
        self.reporter.expect("Ray", sum(task.trials for task in every), sum(task.passes for task in every))
        task = ray.remote(_shard_task).options(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES)
        # As bytes: Ray unpickles arguments before the task has this program's path.
        there = ray.put(pickle.dumps(known))
        left = {
            task.remote(sys.path, pickle.dumps(work[i]), there, own_file): i for i, p in enumerate(parts) if p.tasks
        }
        while left:
            (ended,), _ = ray.wait(list(left))
            index = left.pop(ended)
            yield index, partial(self._stored, ended, parts[index].part)
            self.reporter.advance("Ray", sum(task.trials for task in parts[index].tasks))
            self.reporter.work("Ray", sum(task.passes for task in parts[index].tasks))
        self.reporter.done("Ray")

    def _stored(self, task: Any, part: str) -> RunReport:
        try:
            report: RunReport
            report, answered = self.ray.get(task)
        except (self.ray.exceptions.RayError, BenchError) as error:
            why = " ".join(str(getattr(error, "cause", error)).split())[:300]
            raise BenchError(f"{part}: {why}") from error
        if answered:
            with tempfile.TemporaryDirectory() as folder, open_store(self.plan.settings.db) as store:
                (file := Path(folder) / "shard.db").write_bytes(answered)
                with open_store(str(file), write=False) as source:
                    (merged,) = store.merge([source].__iter__)
            if merged.conflicts:
                raise BenchError(f"{part}: the merge left out {', '.join(merged.conflicts)}")
        return report


def _shard_task(path: list[str], work: bytes, known: bytes, own_file: bool) -> tuple[RunReport, bytes]:
    """Run a task; return its report and its leaderboard (b"" for a server). path: of the driver's modules."""
    sys.path.extend(folder for folder in path if folder not in sys.path)
    shard: ShardWork = pickle.loads(work)  # noqa: S301 - from the driver
    if not own_file:
        return shard.carry_out(Silent()), b""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shard.db"
        shard = replace(shard, plan=replace(shard.plan, settings=replace(shard.plan.settings, db=str(file))))
        report = shard.carry_out(Silent(), pickle.loads(known))  # noqa: S301 - from the driver
        return report, file.read_bytes()
