"""Answers on their way into the store, and the blocks that need no more of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.engine.inference import Made
from benchmark.engine.jobs import Job
from benchmark.errors import FAILURES
from benchmark.store import Store


@dataclass(frozen=True)
class Keeper:
    """Stores what a run has made, one transaction per chunk and block, and asks suites whether that is enough."""

    store: Store
    run: int
    _settled: set[str] = field(default_factory=set)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Before any is shown: a run that was cut short stops where an uninterrupted one would have."""
        for job in jobs:
            self._settle(job, min(job.chunks))

    def keep(self, made: Made) -> None:
        """Store the rows. The chunks of a block that may be settled come in their order."""
        self.store.put_chunks(self.run, made.rows)
        for job in made.jobs:
            self._settle(job, made.chunk + 1)

    def over(self, job: Job) -> bool:
        """Whether a job has failed, or its block is settled."""
        return job.failed or job.key in self._settled

    def _settle(self, job: Job, chunks: int) -> None:
        """End a block whose first `chunks` chunks are enough for its suite. Asked at every chunk at first, then at
        each eighth more: the looks depend on nothing but the grid, and any schedule of looks is valid.
        """
        rule = job.suite.stopping.settled
        if rule is None or chunks < 1 or chunks % max(1, chunks // 8) or self.over(job):
            return
        try:
            trials = self.store.trials((job.key,))
            if rule(job.suite.config, trials):
                self.store.settle(self.run, job.key, len(trials))
                self._settled.add(job.key)
        except FAILURES as error:  # the boundary of one suite's rule
            job.fail(error)
