"""The pool: shares work out to a run's workers, hands on what they answer, and has redone what a lost one was at."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from benchmark.engine.executors import Facts
from benchmark.engine.inference import Made
from benchmark.engine.jobs import Job, Resident
from benchmark.engine.pace import Reporter
from benchmark.engine.tuning import Tuning
from benchmark.engine.workers.backlog import Backlog, Piece
from benchmark.engine.workers.cutting import items
from benchmark.engine.workers.deliveries import Deliveries, pass_on
from benchmark.engine.workers.messages import (
    Answer,
    Choose,
    Drop,
    Feed,
    Hold,
    Raised,
    Reply,
    Request,
    WorkerLost,
)
from benchmark.engine.workers.slots import Slot, close_slots
from benchmark.errors import BenchError, ModelFailure
from benchmark.identity import Codes
from registry.cards import ModelCard

_NOBODY = "every worker is gone. What was answered is stored: the same command goes on."
IN_FLIGHT = 4  # replies per worker that wait for the store, at most; then the workers wait
_PATIENCE = (
    0.2  # s, after which a thread that cannot hand on its reply looks whether anybody wants it
)


@dataclass(frozen=True)
class _Finished:
    """A worker has done all of a piece."""


@dataclass(frozen=True)
class _GaveUp:
    """A piece has cost too many workers."""

    reason: str


@dataclass(frozen=True)
class _Broken:
    """A thread cannot go on."""

    error: BaseException


_News = tuple[Piece | None, Reply | _Finished | _GaveUp | _Broken]


class Pool:
    """An executor of several workers. over: whether a job needs no further answers."""

    def __init__(
        self,
        slots: Sequence[Slot],
        reporter: Reporter,
        codes: Codes,
        over: Callable[[Job], bool],
    ) -> None:
        self._slots, self._reporter, self._codes, self._over = slots, reporter, codes, over
        self._closed = threading.Event()
        self.budget = min(slot.ready.budget for slot in slots)
        self.decoded = 0

    def close(self) -> None:
        """End every worker."""
        self._closed.set()
        close_slots(self._slots)

    def load(self, card: ModelCard) -> tuple[Resident, Facts]:
        """On every worker; on one before the others, so that a download happens once."""
        try:
            replies = self._everywhere(Hold(card))
            facts = [reply for reply in replies if isinstance(reply, Facts)]
            if len({one.identity for one in facts}) > 1:
                raise ModelFailure(f"{card.name} is not the same network on every worker")
        except ModelFailure:
            self._everywhere(Drop((card.name,)))
            raise
        if not facts:
            raise ModelFailure(_NOBODY)
        return Resident(card.name, None), facts[0]

    def tune(self, resident: Resident, batch: int | None) -> None:
        """One worker chooses for all, so that every answer is made in the same batches."""
        for reply in self._told(self._working()[:1], Choose(resident.name, batch)):
            if isinstance(reply, Tuning):
                self._everywhere(Feed(resident.name, reply))

    def drop(self, residents: Sequence[Resident]) -> None:
        """Every worker forgets them."""
        self._everywhere(Drop(tuple(one.name for one in residents)))

    def show(self, jobs: Sequence[Job]) -> Iterator[Made]:
        """Answers as they come from any worker; chunks of a block that may be settled in their order."""
        if not jobs:
            return
        if not self._working():
            raise BenchError(_NOBODY)
        cut = items(jobs, len(self._working()), self._codes)
        backlog, inbox = Backlog(cut), queue.Queue[_News](IN_FLIGHT * len(self._slots))
        deliveries = Deliveries(jobs, self._reporter, self._over)
        threads = [
            threading.Thread(
                target=self._work, args=(slot, backlog, inbox, deliveries), daemon=True
            )
            for slot in self._working()
        ]
        for thread in threads:
            thread.start()
        try:
            while backlog.open:
                yield from self._hand_on(*inbox.get(), backlog, deliveries)
        finally:
            backlog.close()
        for thread in threads:  # one may still be starting a worker in a lost one's place
            thread.join()
        self.decoded += deliveries.decoded

    def _working(self) -> list[Slot]:
        return [slot for slot in self._slots if not slot.retired]

    def _everywhere(self, request: Request) -> list[Reply]:
        """Replies of every worker: of one first, then of the others at once. Raises ModelFailure, BenchError."""
        slots = self._working()
        return self._told(slots[:1], request) + self._told(slots[1:], request)

    def _told(self, slots: Sequence[Slot], request: Request) -> list[Reply]:
        """Replies of these workers, asked at once; a place without a worker tells nothing."""
        if not slots:
            return []
        with ThreadPoolExecutor(len(slots)) as threads:
            found = list(threads.map(partial(self._ask, request), slots))
        return [reply for replies in found for reply in replies]

    def _ask(self, request: Request, slot: Slot) -> list[Reply]:
        try:
            replies = slot.ask(request, partial(pass_on, reporter=self._reporter))
        except WorkerLost:  # no further one starts there: the others go on
            return []
        for reply in replies:
            if isinstance(reply, Raised):
                raise ModelFailure(reply.reason)
        return replies

    def _hand_on(
        self,
        piece: Piece | None,
        news: Reply | _Finished | _GaveUp | _Broken,
        backlog: Backlog,
        deliveries: Deliveries,
    ) -> Iterator[Made]:
        match news:
            case _Broken(error):
                raise error
            case _Finished() | _GaveUp():
                assert piece is not None
                reason = news.reason if isinstance(news, _GaveUp) else "a worker left it out"
                deliveries.require(piece.item, reason)
                backlog.finish()
            case _:
                yield from deliveries.take(news)

    def _work(
        self, slot: Slot, backlog: Backlog, inbox: queue.Queue[_News], deliveries: Deliveries
    ) -> None:
        """One worker's thread: it takes pieces and hands on the replies, until no piece is left."""
        piece: Piece | None = None
        try:
            while (piece := backlog.take()) is not None:
                try:
                    orders = deliveries.orders(piece.item)
                    for reply in slot.submit(Answer(orders)) if orders else ():
                        self._tell(inbox, backlog, (piece, reply))
                    self._tell(inbox, backlog, (piece, _Finished()))
                except WorkerLost as lost:
                    if self._closed.is_set() or not backlog.open:
                        return
                    if not backlog.again(piece):
                        self._tell(inbox, backlog, (piece, _GaveUp(f"{lost} each time")))
                    slot.replace(lost)
        except WorkerLost as lost:  # no further one starts: the others go on
            self._retire(lost, inbox, backlog)
        except BaseException as error:  # noqa: BLE001 - a thread's error is the run's
            self._tell(inbox, backlog, (piece, _Broken(error)))

    def _retire(self, lost: WorkerLost, inbox: queue.Queue[_News], backlog: Backlog) -> None:
        if not self._working():
            error = BenchError(
                f"every worker is gone; the last: {lost}. What was answered is stored: the same command goes on."
            )
            self._tell(inbox, backlog, (None, _Broken(error)))

    def _tell(self, inbox: queue.Queue[_News], backlog: Backlog, news: _News) -> None:
        """Hand on, and wait while the store is behind."""
        while backlog.open and not self._closed.is_set():
            try:
                return inbox.put(news, timeout=_PATIENCE)
            except queue.Full:
                continue
        return None
