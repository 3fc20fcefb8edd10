"""What workers have delivered: handed on once each, and in order where the order counts."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmark.engine.inference import Made
from benchmark.engine.jobs import Job
from benchmark.engine.pace import Reporter
from benchmark.engine.workers.cutting import Item
from benchmark.engine.workers.messages import (
    Advanced,
    Decoded,
    Ended,
    Noted,
    Order,
    Raised,
    Reply,
    Rows,
    Tunes,
    Worked,
)
from benchmark.errors import BenchError
from benchmark.store import Chunk

Over = Callable[[Job], bool]


@dataclass
class _Queue:
    """The chunks of a block that may be settled, which is asked chunk by chunk."""

    due: deque[int]
    waiting: dict[int, Chunk] = field(default_factory=dict)

    def ready(self, row: Chunk) -> Iterator[Chunk]:
        """The chunks that are next in the order, now that this one is here."""
        self.waiting[row.index] = row
        while self.due and self.due[0] in self.waiting:
            yield self.waiting.pop(self.due.popleft())


def pass_on(reply: Reply, reporter: Reporter) -> None:
    """Tell the run's reporter what a worker says of its progress; of anything else nothing."""
    match reply:
        case Advanced(observer, trials):
            reporter.advance(observer, trials)
        case Worked(observer, passes):
            reporter.work(observer, passes)
        case Tunes(observer):
            reporter.tuning(observer)
        case Noted(text):
            reporter.note(text)


class Deliveries:
    """Of one showing. Only the run's own thread takes replies; workers' threads ask for orders."""

    def __init__(self, jobs: Sequence[Job], reporter: Reporter, over: Over) -> None:
        self._reporter, self._over = reporter, over
        self._jobs: dict[str, list[Job]] = {}
        for job in jobs:
            self._jobs.setdefault(job.key, []).append(job)
        self._residents = {job.resident.name: job.resident for job in jobs}
        self._done: set[tuple[str, int]] = set()
        self._queues = {
            job.key: _Queue(deque(sorted(job.chunks))) for job in jobs if job.suite.stopping.settled
        }
        self.decoded = 0

    def orders(self, item: Item) -> tuple[Order, ...]:
        """What of an item is still wanted."""
        return tuple(
            Order(job.resident.name, job.key, chunks)
            for job in item.jobs
            if not self._over(job) and (chunks := self._wanted(job, item))
        )

    def require(self, item: Item, reason: str) -> None:
        """An item is over: jobs that lack a chunk of it have failed."""
        for job in item.jobs:
            if not self._over(job) and self._wanted(job, item):
                job.resident.failures.setdefault((job.suite.name, job.space), reason)

    def take(self, reply: Reply) -> Iterator[Made]:
        """Act on a reply; rows come back as what is to be stored now."""
        match reply:
            case Rows(chunk, rows):
                yield from self._rows(chunk, rows)
            case Decoded(images):
                self.decoded += images
            case Ended():
                self._end(reply)
            case Raised(reason):
                raise BenchError(f"a worker could not do its part: {reason}")
            case _:
                pass_on(reply, self._reporter)

    def _wanted(self, job: Job, item: Item) -> tuple[int, ...]:
        return tuple(
            chunk
            for chunk in item.chunks
            if chunk in job.chunks and (job.key, chunk) not in self._done
        )

    def _rows(self, chunk: int, rows: Sequence[Chunk]) -> Iterator[Made]:
        fresh = [row for row in rows if (row.key, chunk) not in self._done]
        self._done.update((row.key, chunk) for row in fresh)
        at_once = [row for row in fresh if row.key not in self._queues]
        if at_once:
            yield Made([job for row in at_once for job in self._jobs[row.key]], chunk, at_once)
        for row in fresh:
            if (waiting := self._queues.get(row.key)) is not None:
                for ready in waiting.ready(row):
                    jobs = self._jobs[row.key]
                    if not all(map(self._over, jobs)):
                        yield Made(jobs, ready.index, [ready])

    def _end(self, reply: Ended) -> None:
        resident = self._residents[reply.observer]
        if not reply.suite:
            resident.failure = resident.failure or reply.reason
        else:
            resident.failures.setdefault((reply.suite, reply.space), reply.reason)
