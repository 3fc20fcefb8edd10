"""`--executor ray`: shards of a plan as tasks of a Ray cluster. The driver stores what they answer, or they themselves
in PostgreSQL; a task that is lost is done again by Ray."""

from __future__ import annotations

import pickle
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.running import Prepared, Silent, parts_of, run_here
from benchmark.errors import BenchError
from benchmark.variables import keep_ray_silent

if TYPE_CHECKING:
    from benchmark.engine.run import Known, RunReporter
    from benchmark.engine.score_shards import RunReport
    from benchmark.store import Store

SHARDS = 4  # for each place of the cluster: the last ones end at nearly the same time, and little is lost with one
RETRIES = 3  # of a task that is lost: its process killed, its machine gone
ANSWERING = 10  # s in which a cluster's address must take a connection


def run_on_ray(prepared: Prepared, reporter: RunReporter, command: str) -> RunReport:
    """Carry out a plan on a cluster. Raises BenchError if Ray is not installed, no cluster is there or it is full."""
    from benchmark.engine.devices import make_policy
    from benchmark.engine.score_shards import score_shards
    from benchmark.store import open_store
    from benchmark.store.place import locate

    request, own_file = prepared.request, locate(prepared.settings.db).path is not None
    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(
            "--executor ray gives each task a device of its own: --device is auto, cpu or cuda, not "
            f"'{request.device}'."
        )
    with joined(request.address) as ray, open_store(prepared.settings.db) as store:
        gpus, places = _room(ray, request.gpus_per_task, request.device)
        device = "cuda" if gpus else "cpu"
        policy = make_policy(
            device, request.precision, compile_model=request.compile, seed=request.seed
        )
        parts = parts_of(prepared, policy, SHARDS * places)
        known = _known(store, prepared) if own_file else {}
        there = replace(request, executor="local", address=None, gpus_per_task=1.0, device=device)
        plain = replace(prepared, tasks=[], request=there)
        work = ray.put(pickle.dumps((plain, policy, len(parts), own_file, known, command)))
        task = ray.remote(_shard).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
        running = {task.remote(sys.path, work, at): p for at, p in enumerate(parts) if p.tasks}
        reports, lost = _collect(ray, running, store, reporter)
        if not reports:
            raise BenchError(f"--executor ray: {next(iter(lost.values()))}")
        report = score_shards(
            prepared.tasks, reports, store, command, parts_of(prepared, policy, 1)[0].part
        )
        report.failed |= lost
        return report


def _collect(
    ray: Any, running: dict[Any, Prepared], store: Store, reporter: RunReporter
) -> tuple[list[RunReport], dict[str, str]]:
    """Store what each task answers as soon as it has ended; the reports, and shards that are not done with why."""
    from benchmark.engine.estimating import passes_of

    passes = {task: sum(map(passes_of, part.tasks)) for task, part in running.items()}
    trials = {task: sum(one.trials for one in part.tasks) for task, part in running.items()}
    reporter.expect("Ray", sum(trials.values()), sum(passes.values()))
    reports: dict[Any, RunReport] = {}
    lost: dict[str, str] = {}
    left = list(running)
    while left:
        (task,), left = ray.wait(left)
        part = running[task].part
        try:
            report, answered, there = ray.get(task)
            if there != part:
                raise BenchError(
                    f"made as {there}: give all machines the same folders and the same version of the program"
                )
            lost |= _store(store, answered)
            reports[task] = report
        except ray.exceptions.RayTaskError as error:  # its code, not its process
            lost[part] = " ".join(str(error.cause).split())
        except (ray.exceptions.RayError, BenchError) as error:
            lost[part] = " ".join(str(error).split())[:300]
        if part in lost:
            reporter.note(f"{part}: {lost[part]}")
        reporter.advance("Ray", trials[task])
        reporter.work("Ray", passes[task])
    reporter.done("Ray")
    return [reports[task] for task in running if task in reports], lost


def _store(store: Store, answered: bytes) -> dict[str, str]:
    """Bring a shard's leaderboard in; what conflicts with what is here."""
    from benchmark.store import open_store

    if not answered:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shard.db"
        file.write_bytes(answered)
        with open_store(str(file), write=False) as source:
            conflicts = store.merge(source).conflicts
    return {f"merging ({line[:40]})": line for line in conflicts}


def _known(store: Store, prepared: Prepared) -> dict[str, Known]:
    """What the leaderboard has of the plan's observers: tasks do not make it again."""
    from benchmark.engine.run import Known

    return {
        row.key: Known(store.complete(row.key), str(row.details.get("canary", "")))
        for name in {task.card.name for task in prepared.tasks}
        for row in store.observations(observer=name)
    }


def _shard(path: list[str], work: bytes, index: int) -> tuple[RunReport, bytes, str]:
    """A task: its report, its leaderboard where it has one of its own, and which shard it was. path: where the run
    finds modules, the user's own networks among them."""
    import torch

    sys.path.extend(folder for folder in path if folder not in sys.path)
    prepared, policy, n, own_file, known, command = pickle.loads(work)  # noqa: S301 - from the run
    if policy.device == "cpu":
        torch.set_num_threads(1)  # a place is one processor
    with tempfile.TemporaryDirectory() as folder:
        if own_file:
            settings = replace(prepared.settings, db=str(Path(folder) / "shard.db"))
            prepared = replace(prepared, settings=settings)
        part = parts_of(replace(prepared, tasks=prepared.spec()), policy, n)[index]
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
    if ray.is_initialized():
        yield ray
        return
    local = {} if address else {"include_dashboard": False}
    try:
        host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
        if colon and port.isdigit():  # Ray itself tries for many minutes
            socket.create_connection((host, int(port)), timeout=ANSWERING).close()
        ray.init(address, log_to_driver=False, logging_level="error", **local)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise BenchError(
            f"--executor ray: no cluster at {address or 'this machine'}: {type(error).__name__}: {error}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _room(ray: Any, gpus_per_task: float, kind: str) -> tuple[float, int]:
    """GPUs of each task, 0 for none, and how many tasks there is room for at once. Raises BenchError for none."""
    free = ray.available_resources()
    gpus = gpus_per_task if kind == "cuda" or (kind == "auto" and free.get("GPU")) else 0.0
    places = int(free.get("GPU", 0) / gpus) if gpus else int(free.get("CPU", 0))
    if places < 1:
        wanted = f"{gpus:g} GPUs for a task" if gpus else "a processor for a task"
        raise BenchError(
            f"--executor ray: the cluster has no room for {wanted}; free are {free.get('GPU', 0):g} GPUs and "
            f"{free.get('CPU', 0):g} processors. Wait until others are done, or ask for less (--gpus-per-task)."
        )
    return gpus, places
