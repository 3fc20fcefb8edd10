"""What became of a run's tasks: counted for its report, and kept in the store with the reasons."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from benchmark.engine.planning import Task
from benchmark.store import Store

Status = Literal["done", "cached", "not applicable", "failed", "partial"]


@dataclass
class RunReport:
    """What a run did: per task "done", "cached", "not applicable", "failed" (with the reasons of these two), or
    "partial": answered, and left to be scored.
    """

    counts: Counter[Status] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    decoded: int = 0

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some failed."""
        if not self.counts["done"] + self.counts["cached"] + self.counts["partial"]:
            return 1
        return 3 if self.failed else 0


@dataclass(frozen=True)
class Outcomes:
    """Where one run's outcomes go: to its report, and to the store unless nothing new came of the task."""

    store: Store
    run: int
    report: RunReport = field(default_factory=RunReport)

    def record(
        self, row: int | None, task: Task, status: Status, reason: str = "", detail: str = ""
    ) -> None:
        """What became of a task. row: its observer's in the store, None where that was not loaded."""
        name, suite = task.card.name, task.suite.name
        self._count(f"{name} under {suite}", status, reason)
        if status != "cached":
            self.store.put_outcome(self.run, row, name, suite, task.space, status, reason, detail)

    def unscored(self, name: str, suite: str, space: str, reason: str) -> None:
        """Observers of a suite that were not run, such as imported ones, could not be scored."""
        self._count(f"{name} under {suite}", "failed", reason)
        self.store.put_outcome(self.run, None, name, suite, space, "failed", reason)

    def _count(self, name: str, status: Status, reason: str) -> None:
        self.report.counts[status] += 1
        if status == "failed":
            self.report.failed[name] = reason
        elif status == "not applicable":
            self.report.skipped[name] = reason
