"""The workers of a run on several devices: how each is started, and how it makes the run's plan again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmark import plugins
from benchmark.errors import BenchError
from benchmark.plugins import requested_suites
from benchmark.settings import Settings
from benchmark.variables import keep_ray_silent

if TYPE_CHECKING:
    from benchmark.contracts import Policy
    from benchmark.engine.planning import Task
    from benchmark.engine.workers.messages import Start
    from benchmark.engine.workers.ray_cluster import Cluster
    from registry.cards import ModelCard


@dataclass(frozen=True)
class Recipe:
    """A plan by names, for suites and stimuli do not travel: what is needed to make it wherever the same folders are.

    Fields as in `RunRequest`; stimuli: names of sets.
    """

    cards: tuple[ModelCard, ...]
    suites: str
    precision_target: float | None
    limit: int | None
    stimuli: tuple[str, ...]
    settings: Settings

    def __call__(self) -> list[Task]:
        """The whole plan: every card under every suite."""
        from benchmark.engine.planning import plan_tasks

        shelf = plugins.find_suites(self.suites)
        suites = requested_suites(self.suites, self.precision_target, shelf)
        return plan_tasks(self.cards, suites, self.settings, self.limit, self.stimuli)


@dataclass(frozen=True)
class RayWorkers:
    """Places on a cluster. device: what a worker there has."""

    recipe: Recipe
    cluster: Cluster

    @property
    def device(self) -> str:
        """The kind of device that numbers are computed on."""
        return "cuda" if self.cluster.gpus else "cpu"

    def starts(self, policy: Policy) -> tuple[Start, ...]:
        """How each worker is started."""
        from benchmark.engine.workers.messages import Assignment

        return self.cluster.starts(
            Assignment(self.device, policy, 1, self.recipe.settings, self.recipe)
        )


@contextmanager
def ray_workers(
    recipe: Recipe, device: str, address: str | None, gpus_per_task: float
) -> Iterator[RayWorkers]:
    """Joined to a Ray cluster; device: "auto", "cpu" or "cuda". Raises BenchError."""
    from benchmark.engine.workers.ray_cluster import cluster

    if device not in ("auto", "cpu", "cuda"):
        raise BenchError(
            f"--executor ray gives each worker a device of its own: --device is auto, cpu or cuda, not '{device}'."
        )
    keep_ray_silent()
    with cluster(address, gpus_per_task, device) as joined:
        yield RayWorkers(recipe, joined)


def local_workers(recipe: Recipe, devices: Sequence[str], policy: Policy) -> tuple[Start, ...]:
    """A process for each device of this machine; none where there is one device. They share its processor."""
    if len(devices) < 2:
        return ()
    import torch

    from benchmark.engine.workers.messages import Assignment
    from benchmark.engine.workers.process import ProcessWorker

    threads = max(1, torch.get_num_threads() // len(devices))
    return tuple(
        partial(ProcessWorker, Assignment(device, policy, threads, recipe.settings, recipe))
        for device in devices
    )
