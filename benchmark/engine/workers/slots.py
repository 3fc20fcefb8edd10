"""A place in the pool: a worker, and the one that takes over when it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmark.engine.workers.messages import (
    Drop,
    Feed,
    Hold,
    Ready,
    Reply,
    Request,
    Start,
    Worker,
    WorkerLost,
)
from benchmark.errors import BenchError, ModelFailure

RESTARTS = 5  # in a row without anything done: then the place itself is at fault
ATTEMPTS = 2  # to load or tune an observer: the first loss may be chance


class Slot:
    """One worker after the other, each told what the one before knew."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._worker: Worker = start()
        self._held: dict[str, list[Request]] = {}
        self._losses = 0
        self.retired = False

    @property
    def name(self) -> str:
        """The worker's, for messages."""
        return self._worker.name

    @property
    def ready(self) -> Ready:
        """What the worker said when it was started."""
        return self._worker.ready

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def submit(self, request: Request) -> Iterator[Reply]:
        """The replies as they come. Raises WorkerLost: then `replace` comes next."""
        yield from self._worker.submit(request)
        self._losses = 0

    def ask(self, request: Request, hear: Callable[[Reply], None] = lambda _: None) -> list[Reply]:
        """All replies at once, of another worker if this one is lost. Raises ModelFailure, WorkerLost.

        hear: told each reply as it comes.
        """
        if isinstance(request, Drop):  # first of all: another worker shall not load them again
            self._forget(request)
        for _ in range(ATTEMPTS):
            try:
                replies = []
                for reply in self.submit(request):
                    hear(reply)
                    replies.append(reply)
            except WorkerLost as error:
                lost = error
                self.replace(error)
                continue
            self._remember(request)
            return replies
        if isinstance(request, Drop):
            return []
        raise ModelFailure(f"{lost} each time that it was loaded or tuned")

    def replace(self, lost: WorkerLost) -> None:
        """Start another worker, which holds the same observers. Raises WorkerLost where that is of no use."""
        self._worker.close()
        while True:
            self._losses += 1
            if self._losses > RESTARTS:
                self.retired = True
                raise lost
            try:
                self._worker = self._start()
                for requests in self._held.values():
                    for request in requests:
                        list(self._worker.submit(request))
                return
            except BenchError as error:
                self.retired = True
                raise WorkerLost(str(error)) from error
            except WorkerLost as again:
                lost = again

    def _remember(self, request: Request) -> None:
        match request:
            case Hold(card):
                self._held[card.name] = [request]
            case Feed(observer, _):
                self._held[observer].append(request)

    def _forget(self, request: Drop) -> None:
        for name in request.observers:
            self._held.pop(name, None)


def open_slots(starts: Sequence[Start]) -> list[Slot]:
    """Every worker, started at the same time. Raises BenchError where one does not start; then none is left."""
    if not starts:
        return []
    with ThreadPoolExecutor(len(starts)) as threads:
        opening = [threads.submit(Slot, start) for start in starts]
    failed = [error for one in opening if (error := one.exception()) is not None]
    slots = [one.result() for one in opening if one.exception() is None]
    if failed:
        close_slots(slots)
        raise failed[0] if isinstance(failed[0], BenchError) else BenchError(f"{failed[0]}.")
    return slots


def close_slots(slots: Sequence[Slot]) -> None:
    """End every worker."""
    for slot in slots:
        slot.close()
