"""The work of one device, whatever brings the requests there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch

from benchmark.contracts import Block
from benchmark.engine.device import keep_pages, numerics, resting_heap
from benchmark.engine.environment import environment
from benchmark.engine.executors import OneDevice
from benchmark.engine.inference import Walk
from benchmark.engine.jobs import Job, Resident, failure_line
from benchmark.engine.planning import Task
from benchmark.engine.workers.messages import (
    Advanced,
    Answer,
    Assignment,
    Choose,
    Decoded,
    Drop,
    Ended,
    Feed,
    Hold,
    Noted,
    Progress,
    Raised,
    Ready,
    Reply,
    Request,
    Rows,
    Tunes,
    Worked,
)
from benchmark.errors import FAILURES
from benchmark.identity import Codes, observation_key

_ELSEWHERE = (
    "a worker has other stimuli, weights or code than the run itself: give both the same folders and "
    "the same version of the program"
)


class DeviceWorker:
    """Holds observers on one device and answers with them. One per process: it sets torch for the whole of it.

    tell: sends word of progress at once; without it that comes with the next rows.
    """

    def __init__(
        self, assignment: Assignment, tell: Callable[[Progress], None] | None = None
    ) -> None:
        self._assignment = assignment
        self._told: list[Progress] = []
        self._tell = tell or self._told.append
        self._residents: dict[str, Resident] = {}
        self._known: dict[str, dict[str, tuple[Task, Block]]] = {}
        self._tasks: dict[str, list[Task]] = {}
        for task in assignment.tasks():
            self._tasks.setdefault(task.card.name, []).append(task)
        self._codes = Codes()
        policy, device = assignment.policy, assignment.device
        torch.set_num_threads(assignment.threads)
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        keep_pages()
        self._open = ExitStack()
        self._open.enter_context(resting_heap())
        self._open.enter_context(numerics(policy))
        cache = assignment.settings.decoded
        walk = Walk(policy.seed, device, self, cache, self._codes)
        self._here = OneDevice(assignment.settings, device, policy, walk)

    def ready(self) -> Ready:
        """What the run must know of this device."""
        return Ready(
            environment(self._assignment.device, torch.get_num_threads()), self._here.budget
        )

    def tuning(self, observer: str) -> None:
        """The walk's reporter."""
        self._tell(Tunes(observer))

    def advance(self, observer: str, trials: int) -> None:
        """The walk's reporter."""
        self._tell(Advanced(observer, trials))

    def work(self, observer: str, passes: float) -> None:
        """The walk's reporter."""
        self._tell(Worked(observer, passes))

    def note(self, text: str) -> None:
        """The walk's reporter."""
        self._tell(Noted(f"{self._assignment.device}: {text}"))

    def serve(self, request: Request) -> Iterator[Reply]:
        """Carry out a request. What fails is a reply: `Raised`, or `Ended` where other work goes on."""
        try:
            yield from self._served(request)
            yield from self._news()
        except FAILURES as error:  # the boundary of one model's loading or tuning
            yield Raised(failure_line(error))

    def _served(self, request: Request) -> Iterator[Reply]:
        match request:
            case Hold(card):
                resident, facts = self._here.load(card)
                self._residents[card.name] = resident
                self._known[card.name] = dict(self._asked(card.name, facts.identity))
                yield facts
            case Choose(name, batch):
                setting = self._here.setting(self._residents[name], batch)
                if setting is not None:
                    yield replace(setting, threads=min(setting.threads, self._assignment.threads))
            case Feed(name, setting):
                self._here.feed(self._residents[name], setting)
            case Drop(names):
                for name in names:
                    self._residents.pop(name, None)
                    self._known.pop(name, None)
            case Answer():
                yield from self._answer(request)

    def _answer(self, request: Answer) -> Iterator[Reply]:
        jobs: list[Job] = []
        for order in request.orders:
            known = self._known[order.observer].get(order.key)
            if known is None:
                yield Ended(order.observer, "", "", _ELSEWHERE)
                continue
            task, block = known
            resident = self._residents[order.observer]
            jobs.append(
                Job(resident, task.suite, task.space, block, order.key, frozenset(order.chunks))
            )
        before = self._here.decoded
        for made in self._here.show(jobs):
            yield Rows(made.chunk, tuple(made.rows))
            yield from self._news()
        yield from _ended(jobs)
        yield Decoded(self._here.decoded - before)

    def _news(self) -> list[Progress]:
        told = list(self._told)
        self._told.clear()
        return told

    def _asked(self, name: str, identity: str) -> Iterator[tuple[str, tuple[Task, Block]]]:
        """What an observer may be asked, by observation key."""
        policy, codes = self._assignment.policy, self._codes
        for task in self._tasks.get(name, ()):
            for block in task.plan.blocks:
                yield observation_key(identity, block, task.suite, policy, codes), (task, block)


def _ended(jobs: Sequence[Job]) -> Iterator[Reply]:
    """What has failed, each once."""
    for name, resident in {job.resident.name: job.resident for job in jobs}.items():
        if resident.failure:
            yield Ended(name, "", "", resident.failure)
        for (suite, space), reason in resident.failures.items():
            yield Ended(name, suite, space, reason)
