"""`--executor ray`: shards of a plan as tasks of a cluster; the driver stores what they answer, or PostgreSQL does."""

import pickle
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmark.api.running import Prepared, Silent, parts_of, run_here
from benchmark.engine.devices import make_policy
from benchmark.engine.estimating import passes_of
from benchmark.engine.plan import whole_name
from benchmark.engine.run import RunReporter, known_observations
from benchmark.engine.score_shards import RunReport, score_shards
from benchmark.errors import BenchError
from benchmark.store import Store, open_store
from benchmark.store.location import parse_location
from benchmark.variables import keep_ray_silent

SHARDS = 4  # for each place of the cluster: the last ones end at nearly the same time, and little is lost with one
RETRIES = 3  # of a task that is lost: its process killed, its machine gone
ANSWERING = 10  # s in which a cluster's address must take a connection


def run_on_ray(prepared: Prepared, reporter: RunReporter, command: str) -> RunReport:
    """Carry out a plan on a cluster. Raises BenchError if Ray is not installed, no cluster is there or it is full."""
    request, own_file = prepared.request, parse_location(prepared.settings.db).path is not None
    with ExitStack() as stack:
        ray = stack.enter_context(joined(request.address))
        free = ray.available_resources()
        gpus_free, processors = free.get("GPU", 0), free.get("CPU", 0)
        on_gpus = request.device == "cuda" or (request.device == "auto" and gpus_free)
        gpus = request.gpus_per_task if on_gpus else 0.0  # of each task
        places = int(gpus_free / gpus if gpus else processors)  # for tasks at once
        if places < 1:
            wanted = f"{gpus:g} GPUs for a task" if gpus else "a processor for a task"
            raise BenchError(
                f"--executor ray: the cluster has no room for {wanted}; free are {gpus_free:g} GPUs and {processors:g} "
                "processors. Wait until others are done, or ask for less (--gpus-per-task)."
            )
        store = stack.enter_context(open_store(prepared.settings.db))
        device = "cuda" if gpus else "cpu"
        policy = make_policy(device, request.precision, compile_model=request.compile, seed=request.seed)
        parts = parts_of(prepared, policy, SHARDS * places)
        names = {task.card.name for task in prepared.tasks}
        known = known_observations(store, names) if own_file else {}
        decoders = request.decoders or max(1, int(processors // places))
        local = {"executor": "local", "address": None, "gpus_per_task": 1.0}
        there = prepared.without_plan(**local, device=device, decoders=decoders)
        work = ray.put(pickle.dumps((there, policy, len(parts), own_file, known, command)))
        task = ray.remote(_shard).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
        running = {task.remote(sys.path, work, at): p for at, p in enumerate(parts) if p.tasks}
        reports, lost = _collect(ray, running, store, reporter)
        if not reports:
            raise BenchError(f"--executor ray: {next(iter(lost.values()), 'there is no task')}")
        report = score_shards(prepared.tasks, reports, store, command, whole_name(parts[0].part))
        report.failed |= lost
        return report


def _collect(
    ray: Any, running: dict[Any, Prepared], store: Store, reporter: RunReporter
) -> tuple[list[RunReport], dict[str, str]]:
    """Store what each task answers as soon as it has ended; the reports, and shards that are not done with why."""
    every = [task for part in running.values() for task in part.tasks]
    reporter.expect("Ray", sum(task.trials for task in every), sum(map(passes_of, every)))
    reports: dict[Any, RunReport] = {}
    lost: dict[str, str] = {}
    left = list(running)
    while left:
        (task,), left = ray.wait(left)
        part, tasks = running[task].part, running[task].tasks
        try:
            report, answered, there = ray.get(task)
            if there != part:
                raise BenchError(f"made as {there}: machines have other folders or programs")
            if answered:
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "shard.db"
                    file.write_bytes(answered)
                    with open_store(str(file), write=False) as source:
                        (merged,) = store.merge([source].__iter__)
                lost |= dict.fromkeys(merged.conflicts, "left out when it was merged")
            reports[task] = report
        except (ray.exceptions.RayError, BenchError) as error:
            lost[part] = " ".join(str(getattr(error, "cause", error)).split())[:300]
            reporter.note(f"{part}: {lost[part]}")
        reporter.advance("Ray", sum(task.trials for task in tasks))
        reporter.work("Ray", sum(map(passes_of, tasks)))
    reporter.done("Ray")
    return [reports[task] for task in running if task in reports], lost


def _shard(path: list[str], work: bytes, index: int) -> tuple[RunReport, bytes, str]:
    """A task: its report, its leaderboard (not of a server's), and which shard it was. path: of the run's modules."""
    sys.path.extend(folder for folder in path if folder not in sys.path)
    prepared, policy, n, own_file, known, command = pickle.loads(work)  # noqa: S301 - from the run
    if policy.device == "cpu":
        torch.set_num_threads(1)  # a place is one processor
    with tempfile.TemporaryDirectory() as folder:
        if own_file:
            settings = replace(prepared.settings, db=str(Path(folder) / "shard.db"))
            prepared = replace(prepared, settings=settings)
        part = parts_of(prepared.planned(), policy, n)[index]
        command = f"{command} (shard {index + 1}/{n})"
        report = run_here(part, Silent(), command, known)
        answered = Path(prepared.settings.db).read_bytes() if own_file else b""
        return report, answered, part.part


@contextmanager
def joined(address: str | None) -> Iterator[Any]:
    """Ray, joined to the cluster at an address ("auto", "ray://host:10001", "host:6379"), or to one of this machine."""
    if find_spec("ray") is None:
        raise BenchError(
            "--executor ray needs the package ray, which is not installed: pip install 'gestaltbench[ray]'"
        )
    keep_ray_silent()
    ray = import_module("ray")
    joined_before = ray.is_initialized()
    try:
        host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
        if colon and port.isdigit():  # Ray itself tries for many minutes
            socket.create_connection((host, int(port)), timeout=ANSWERING).close()
        if not joined_before:
            board = {} if address else {"include_dashboard": False}
            ray.init(address, log_to_driver=False, logging_level="error", **board)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        at = f"{address or 'this machine'}: {type(error).__name__}: {error}"
        raise BenchError(f"--executor ray: no cluster at {at}") from error
    try:
        yield ray
    finally:
        if not joined_before:
            ray.shutdown()
