"""What an array is told: its size, its cluster, what sbatch takes, and on which devices its tasks run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.api.running import RunRequest

Cluster = Literal["slurm", "local"]


@dataclass(frozen=True)
class ArrayOptions:
    """How an array is submitted. tasks: its size; cluster: "slurm", or "local" for processes of this machine;
    settings: what else sbatch is told (partition, time in minutes, account, qos, mem, ...), as submitit names it.
    """

    tasks: int = 8
    cluster: Cluster = "slurm"
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse_options(words: Sequence[str]) -> ArrayOptions:
    """KEY=VALUE each; "tasks" and "cluster" are ours. Raises BenchError."""
    stated: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key.isidentifier() and value):
            raise BenchError(
                f"--slurm {word}: expected KEY=VALUE, such as partition=gpu or time=240."
            )
        stated[key] = int(value) if value.isascii() and value.isdigit() else value
    size, cluster = stated.pop("tasks", ArrayOptions.tasks), stated.pop("cluster", "slurm")
    if not isinstance(size, int) or not 1 <= size <= 10_000:
        raise BenchError(f"--slurm tasks={size}: expected the size of the array, 1 to 10000.")
    if cluster not in get_args(Cluster):
        raise BenchError(f"--slurm cluster={cluster}: expected slurm, or local to try it here.")
    return ArrayOptions(size, cluster, stated)


def for_cluster(request: RunRequest, options: ArrayOptions) -> RunRequest:
    """Tasks that are processes of this machine have its devices; a node has GPUs unless the processor is asked for."""
    if options.cluster == "local" and request.device == "auto":
        from benchmark.engine.device import choose_device

        return replace(request, device="cuda" if choose_device("auto") == "cuda" else "cpu")
    return request


def gpus(request: RunRequest) -> int:
    """GPUs of each task."""
    if request.device == "cpu":
        return 0
    count = float(request.gpus_per_task)
    if not (count.is_integer() and count > 0):
        raise BenchError(
            f"--gpus-per-task {count:g}: Slurm gives whole GPUs; expected a whole number of at least 1. "
            "Without GPUs: --device cpu."
        )
    return int(count)


def on_node(request: RunRequest) -> RunRequest:
    """The request as a task makes it: without the array's own words, which no other executor hears, and on the GPUs
    that it is given, never on the processor by accident."""
    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(
            "--executor slurm gives each task devices of its own: --device is auto, cpu or cuda, not "
            f"'{request.device}'."
        )
    count = gpus(request)
    device = "cpu" if not count else "cuda:all" if count > 1 else "cuda"
    return replace(request, device=device, executor="local", slurm=(), gpus_per_task=1.0)
