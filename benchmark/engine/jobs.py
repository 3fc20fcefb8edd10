"""What is still to be answered by whom: observers in memory, and the observations that they owe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmark.contracts import CHUNK, Block, Suite
from benchmark.engine.sound import Unsound
from benchmark.engine.tuning import TunedModel
from benchmark.errors import failure_line
from registry.simulated import IdealObserver


@dataclass
class Resident:
    """An observer that is loaded. `batch` shrinks when the device runs out of memory.

    failures: (suite, space) -> what ended that work; `failure`: what ended all of it.
    """

    name: str
    observer: TunedModel | IdealObserver
    batch: int = CHUNK
    failure: str = ""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One observation still to be made: which chunks of which block, for which observer and suite."""

    resident: Resident
    suite: Suite
    space: str
    block: Block
    key: str
    chunks: frozenset[int]

    @property
    def failed(self) -> bool:
        """Whether this work has ended early."""
        resident = self.resident
        return bool(resident.failure) or (self.suite.name, self.space) in resident.failures

    def fail(self, error: BaseException) -> None:
        """End this observer's work under this suite; its other work goes on, unless it is unsound."""
        if isinstance(error, Unsound):
            self.resident.failure = self.resident.failure or failure_line(error)
        failures = self.resident.failures
        failures.setdefault((self.suite.name, self.space), failure_line(error))


def same_stimuli(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs that are shown the same decoded images, together."""
    return grouped(jobs, lambda job: (job.block.stimuli.digest, job.block.presentation))


def grouped(jobs: Iterable[Job], key: Callable[[Job], Any]) -> list[list[Job]]:
    """Jobs by a key, in the order of their first."""
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())
