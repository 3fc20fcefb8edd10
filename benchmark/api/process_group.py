"""The ranks of a distributed training: each answers its shard of a suite, and the first one scores."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import distributed

from benchmark.api.execution import execute
from benchmark.api.running import RunPlan, cut_plan, devices_and_policy, run_here
from benchmark.engine.reporters import Reporter
from benchmark.engine.score_shards import RunReport, score_shards
from benchmark.engine.tasks import whole_name
from benchmark.failures import FAILURES, BenchError, failure_line
from benchmark.store import open_store
from registry.in_memory import copied, unwrapped


class RankFailure(BenchError):
    """Another rank failed, so this one stops as well."""


class Ranks:
    """The processes of a distributed training, which are those of torch's default group; one process otherwise."""

    def __init__(self) -> None:
        is_there = distributed.is_available() and distributed.is_initialized()
        self.rank, self.size = (distributed.get_rank(), distributed.get_world_size()) if is_there else (0, 1)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Leave the block on all ranks or on none: a failure on one is raised on each, and no rank waits for ever."""
        try:
            yield
        except RankFailure:
            raise
        except FAILURES as error:
            # Whatever the others exchange next, this answers it, and they stop there.
            self.exchange(RankFailure(f"rank {self.rank}: {failure_line(error)}"))
            raise
        self.exchange(None)

    def exchange(self, value: Any) -> list[Any]:
        """Return the value of each rank. Raise RankFailure if one of the others failed."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        for other in () if isinstance(value, RankFailure) else values:
            if isinstance(other, RankFailure):
                raise other
        return values

    def replica(self, net: Any) -> Any:
        """Return the network as the first rank has it: running statistics of batch norms differ between ranks."""
        if self.size == 1:
            return net
        net, *brought = net if isinstance(net, tuple) else (net,)
        copy = copied(unwrapped(net))
        self.exchange(None)  # all have a copy
        for tensor in (*copy.parameters(), *copy.buffers()):
            distributed.broadcast(tensor.data, 0)
        return (copy, *brought)

    def execute(self, plan: RunPlan, reporter: Reporter, command: str) -> RunReport:
        """Carry out this rank's shard of a plan, and score it on the first rank once all ranks have answered."""
        if self.size == 1:
            return execute(plan, reporter, command)
        parts = cut_plan(plan, devices_and_policy(plan.request)[1], self.size)
        own = run_here(parts[self.rank], reporter, f"{command} (shard {self.rank + 1}/{self.size})")
        reports = self.exchange(own)
        if self.rank:
            return own
        with open_store(plan.settings.db) as store:
            return score_shards(plan.tasks, reports, store, command, whole_name(parts[0].part))
