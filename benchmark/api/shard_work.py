"""Shards of a plan, as executors send them to other processes and machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.api.running import RunPlan, run_here
from benchmark.engine.score_shards import RunReport
from benchmark.engine.tasks import plan_digest
from benchmark.failures import BenchError

if TYPE_CHECKING:
    from benchmark.contracts import Policy
    from benchmark.engine.reporters import Reporter
    from benchmark.store.rows import Work


@dataclass(frozen=True, kw_only=True)
class ShardWork:
    """One shard of a plan. Its process or machine plans again by names, because suites and stimuli are not pickled."""

    plan: RunPlan  # without tasks
    shown: Mapping[Work, Mapping[int, frozenset[int]] | None]  # what the shard has of each task, as `Task.only`
    policy: Policy  # of the whole plan: a worker may know its device by another name
    digest: str  # of what these tasks ask
    command: str
    threads: int

    def carry_out(self, reporter: Reporter, known: Collection[str] = ()) -> RunReport:
        """Plan again and run. Raise BenchError if this machine makes another plan."""
        import torch

        torch.set_num_threads(self.threads)
        plan = self.plan.planned()
        tasks = [replace(task, only=self.shown[task.work]) for task in plan.tasks if task.work in self.shown]
        if (digest := plan_digest(tasks, self.policy)) != self.digest:
            raise BenchError(f"{plan.part} has another plan there ({digest}): machines differ in folders or programs")
        return run_here(replace(plan, tasks=tasks), reporter, self.command, known)


Result = Callable[[], RunReport]
