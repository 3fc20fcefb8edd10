"""Workers on a Ray cluster: an actor for each device that the cluster gives, its replies streamed to the run."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmark.engine.jobs import failure_line
from benchmark.engine.workers.device_worker import DeviceWorker
from benchmark.engine.workers.messages import (
    Assignment,
    Raised,
    Ready,
    Reply,
    Request,
    Rows,
    Start,
    WorkerLost,
)
from benchmark.errors import FAILURES, BenchError

#: s, in which an actor must have its place and be ready: importing torch from a network disk takes its time.
STARTING = 180
#: s, in which a cluster's address must take a connection.
ANSWERING = 10
#: Answers of an actor that wait for the run, at most; then it waits.
AHEAD = 4


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is joined to. gpus: that each worker asks for, 0 for none."""

    gpus: float
    places: int

    def starts(self, assignment: Assignment) -> tuple[Start, ...]:
        """A worker for each place. assignment: its device and threads are the cluster's to say."""
        here = replace(assignment, device="cuda:0" if self.gpus else "cpu", threads=1)
        return tuple(
            partial(RayWorker, here, self.gpus, f"Ray worker {place + 1}")
            for place in range(self.places)
        )


@contextmanager
def cluster(
    address: str | None, gpus_per_task: float, kind: str, cpus: int | None = None
) -> Iterator[Cluster]:
    """Joined to the cluster at an address ("auto", "ray://host:10001"), or to one of this machine alone.

    kind: "auto" takes GPUs where the cluster has them; cpus: of a cluster of this machine, None for all.
    Raises BenchError where Ray is not installed, nothing answers at the address, or there is no room.
    """
    ray = _ray()
    joined = ray.is_initialized()
    if not joined:
        _join(ray, address, cpus)
    try:
        free = ray.available_resources()
        gpus = gpus_per_task if kind == "cuda" or (kind == "auto" and free.get("GPU")) else 0.0
        places = int(free.get("GPU", 0) / gpus) if gpus else int(free.get("CPU", 0))
        if places < 1:
            wanted = f"{gpus:g} GPUs for a worker" if gpus else "a processor for a worker"
            raise BenchError(
                f"--executor ray: the cluster has no room for {wanted}; free are {free.get('GPU', 0):g} GPUs and "
                f"{free.get('CPU', 0):g} processors. Wait until others are done, or ask for less (--gpus-per-task)."
            )
        yield Cluster(gpus, places)
    finally:
        if not joined:
            ray.shutdown()


def _join(ray: Any, address: str | None, cpus: int | None) -> None:
    if address is not None:
        _require_answer(address)
    try:
        ray.init(
            address,
            num_cpus=cpus if address is None else None,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="error",
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        at = address or "this machine"
        raise BenchError(f"--executor ray: no cluster at {at}: {failure_line(error)}") from error


def _require_answer(address: str) -> None:
    """Ray itself tries for many minutes. Raises BenchError where no machine listens at HOST:PORT."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():  # "auto"
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERING).close()
    except (OSError, OverflowError) as error:
        raise BenchError(
            f"--executor ray: no cluster at {address}: {failure_line(error)}"
        ) from error


def _ray() -> Any:
    if find_spec("ray") is None:
        raise BenchError(
            "--executor ray needs the package ray, which is not installed: pip install 'gestaltbench[ray]'"
        )
    return import_module("ray")


class _Actor:
    """The worker's process. path: where the run finds modules, the user's own networks among them."""

    def __init__(self, path: list[str]) -> None:
        sys.path.extend(folder for folder in path if folder not in sys.path)
        self._worker: DeviceWorker | None = None

    def ready(self, assignment: bytes) -> Ready | Raised:
        """What `DeviceWorker.ready` says, or why there is none. assignment: pickled, now that modules are found."""
        try:
            self._worker = DeviceWorker(pickle.loads(assignment))  # noqa: S301 - from the run
            return self._worker.ready()
        except FAILURES as error:  # the boundary of a device: told to the run
            return Raised(failure_line(error))

    def serve(self, request: Request) -> Iterator[list[Reply]]:
        """The replies, those between two answers together."""
        assert self._worker is not None
        together: list[Reply] = []
        for reply in self._worker.serve(request):
            if isinstance(reply, Rows) and together:
                yield together
                together = []
            together.append(reply)
        yield together


class RayWorker:
    """Starts the actor, and waits until it is ready."""

    def __init__(self, assignment: Assignment, gpus: float, name: str) -> None:
        self._ray = _ray()
        self.name = name
        actor = self._ray.remote(_Actor).options(num_gpus=gpus, num_cpus=1, max_restarts=0)
        self._actor = actor.remote(sys.path)
        try:
            told = self._actor.ready.remote(pickle.dumps(assignment))
            ready = self._ray.get(told, timeout=STARTING)
        except self._ray.exceptions.RayError as error:
            self.close()
            raise WorkerLost(f"{name} did not start: {failure_line(error)[:300]}") from error
        if not isinstance(ready, Ready):
            self.close()
            raise BenchError(f"{name} could not be started: {ready.reason}")
        self.ready: Ready = ready

    def submit(self, request: Request) -> Iterator[Reply]:
        """The replies as they come; the actor waits until they are taken. Raises WorkerLost."""
        serve = self._actor.serve.options(
            num_returns="streaming", _generator_backpressure_num_objects=AHEAD
        )
        try:
            for reference in serve.remote(request):
                yield from self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # its code, not its process
            raise BenchError(f"{self.name} failed: {failure_line(error.cause)}") from error
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(f"{self.name} is gone ({type(error).__name__})") from error

    def close(self) -> None:
        """Kill the actor: whatever it was asked is not wanted any more."""
        self._ray.kill(self._actor, no_restart=True)
