"""What became of a run's tasks: counted for its report, and kept in the store with the reasons."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from benchmark.engine.planning import Task
from benchmark.engine.scoring import Scorer
from benchmark.errors import FAILURES, failure_line
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.store import Store

#: Observer, suite, decision space.
Work = tuple[str, str, str]
Status = Literal["done", "cached", "not applicable", "failed", "partial"]


@dataclass
class RunReport:
    """What a run did: per task "done", "cached", "not applicable", "failed" (with the reasons of these two), or
    "partial": answered by a shard, and left to be scored.
    """

    tasks: dict[Work, tuple[Status, str]] = field(default_factory=dict)
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

    def add(self, work: Work, status: Status, reason: str = "") -> None:
        """What became of a task."""
        name = f"{work[0]} under {work[1]}"
        self.tasks[work] = (status, reason)
        self.counts[status] += 1
        if status == "failed":
            self.failed[name] = reason
        elif status == "not applicable":
            self.skipped[name] = reason


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
        work = task.card.name, task.suite.name, task.space
        self.report.add(work, status, reason)
        if status != "cached":
            self.store.put_outcome(self.run, row, *work, status, reason, detail)

    def leave(self, row: int, task: Task, part: str, detail: str, *, worked: bool) -> None:
        """A shard's answers to a task, to be scored together with those of other shards. worked: whether some of them
        are new."""
        work = task.card.name, task.suite.name, task.space
        self.report.add(work, "partial" if worked else "cached", part)
        self.store.put_outcome(self.run, row, *work, "partial", part, detail)

    def score_imported(self, scorer: Scorer) -> None:
        """Scores of imported observers on what was shown; an error there takes nothing from the run's own."""
        try:
            scorer.imported()
        except FAILURES as error:  # the boundary of one scoring: recorded
            reason = f"scoring failed: {failure_line(error)}"
            work = "imported observers", scorer.suite.name, PUBLISHED_SPACE
            self.report.add(work, "failed", reason)
            self.store.put_outcome(self.run, None, *work, "failed", reason)
