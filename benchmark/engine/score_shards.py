"""Scores of what several processes answered together: shards of a plan are observed apart and scored as one.

A part of a suite's trials would make numbers that look like the whole suite's. So every run notes before its first
answer which observations belong together (an outcome "partial"), and they are scored where all of them are: shards, and
runs that were killed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmark.contracts import Suite
from benchmark.engine.environment import environment
from benchmark.engine.plan import Task, suites_of
from benchmark.engine.scoring import Scorer
from benchmark.errors import FAILURES, StoreError, failure_line
from benchmark.identity import Codes
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.store import Observation, Outcome, Store
from registry.files import canonical

# What became of a run's tasks: counted for its report, and kept in the store with the reasons.


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
    run: str
    report: RunReport = field(default_factory=RunReport)

    def record(self, row: str | None, task: Task, status: Status, reason: str = "", detail: str = "") -> None:
        """What became of a task. row: its observer's in the store, None where that was not loaded."""
        work = task.card.name, task.suite.name, task.space
        self.report.add(work, status, reason)
        if status != "cached":
            self.store.put_outcome(self.run, row, *work, status, reason, detail)

    def leave(self, row: str, task: Task, part: str, detail: str, *, worked: bool) -> None:
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


#: Told a part that could not be scored, and the error.
OnError = Callable[[Outcome, BaseException], None]


@dataclass(frozen=True)
class Owed:
    """What is to be scored together: observations in the order of their plan, and the plan's missing roles with why."""

    keys: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """As the detail of an outcome."""
        return canonical({"observations": self.keys, "missing": self.missing}, ascii=False)


@dataclass
class Completed:
    """made: new score sets; scored: work that is whole; fresh: of it, what is scored anew; waiting: "MODEL under SUITE"
    -> what is not there yet."""

    made: int = 0
    scored: set[Work] = field(default_factory=set)
    fresh: set[Work] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)


def complete_parts(
    store: Store, run: str, suites: Sequence[Suite], codes: Codes | None = None, on_error: OnError | None = None
) -> Completed:
    """Score whatever was answered in parts and is whole now, as one run would have, and say what is not.

    on_error: without it, an error of a suite's code is raised.
    """
    done, codes, parts = Completed(), codes or Codes(), _open_parts(store)
    for suite in suites:
        scorer = Scorer(store, run, suite, codes)
        for part, owed in parts:
            if part.suite != suite.name:
                continue
            observations, lacking = _answered(store, part, owed)
            if lacking:
                done.waiting[f"{part.observer_name} under {part.suite}"] = (
                    f"{lacking} of its {len(owed.keys)} blocks are not answered yet"
                )
                continue
            names = part.observer_name, part.suite, part.space
            try:
                fresh = scorer.observer(observations, owed.missing)
            except FAILURES as error:  # the boundary of one scoring
                if on_error is None:
                    raise
                on_error(part, error)
                continue
            done.scored.add(names)
            if fresh:
                done.made += 1
                done.fresh.add(names)
            store.put_outcome(run, part.observer, *names, "done", detail=part.detail)
    return done


def score_shards(
    tasks: Sequence[Task], shards: Sequence[RunReport], store: Store, command: str, note: str
) -> RunReport:
    """Score what the shards of a plan have answered in a leaderboard; what became of each task of the plan.

    shards: their reports, in their order; note: of the run, where nothing has failed.
    """
    run = store.begin_run(command, environment("none", 1))
    outcomes = Outcomes(store, run)
    status = "interrupted"
    try:
        _score_shards(tasks, shards, outcomes)
        outcomes.report.decoded = sum(shard.decoded for shard in shards)
        status = {0: "done", 1: "failed"}.get(outcomes.report.exit_code, "partial")
    finally:
        store.end_run(run, status, note if status == "done" else "")
    return outcomes.report


def _score_shards(tasks: Sequence[Task], shards: Sequence[RunReport], outcomes: Outcomes) -> None:
    store, codes, unscored = outcomes.store, Codes(), {}
    # The first shard's reason is the one that a single run would give.
    rows = [row for shard in reversed(shards) for row in shard.tasks.items()]
    stated = dict(rows)
    failed = {work: why for work, (status, why) in rows if status == "failed"}
    answered = {work for work, (status, _) in rows if status == "partial"}

    def fail(part: Outcome, error: BaseException) -> None:
        unscored[(part.observer_name, part.suite, part.space)] = f"scoring failed: {failure_line(error)}"

    suites = suites_of(tasks)
    done = complete_parts(store, outcomes.run, suites, codes, fail)
    _end_failed(outcomes, failed | unscored)
    for task in tasks:
        work = (task.card.name, task.suite.name, task.space)
        status, reason = stated.get(work, ("failed", "its shard did not come to its end"))
        if work in failed or work in unscored:
            status, reason = "failed", failed.get(work) or unscored[work]
        elif work in done.scored:
            status, reason = ("done" if work in done.fresh | answered else "cached"), ""
        elif status != "not applicable":
            status = "failed"
            if work in stated:
                reason = done.waiting.get(f"{work[0]} under {work[1]}", reason)
        outcomes.report.add(work, status, reason)
    for suite in suites:
        outcomes.score_imported(Scorer(store, outcomes.run, suite, codes))


def _end_failed(outcomes: Outcomes, failed: Mapping[Work, str]) -> None:
    """What other shards have answered of a task that failed is not waited for."""
    for part, _ in _open_parts(outcomes.store):
        work = part.observer_name, part.suite, part.space
        if work in failed:
            outcomes.store.put_outcome(outcomes.run, part.observer, *work, "failed", failed[work], part.detail)


def _open_parts(store: Store) -> list[tuple[Outcome, Owed]]:
    """Outcomes "partial" that nobody has scored or given up since, each plan of an observer once, oldest first."""
    waiting: dict[tuple[str | None, str, str], tuple[Outcome, Owed]] = {}
    for outcome in store.outcomes(latest=False):
        work = (outcome.observer, outcome.suite, outcome.detail)
        if outcome.status == "partial":
            waiting[work] = (outcome, _read(outcome.detail))
        else:
            waiting.pop(work, None)
    return list(waiting.values())


def _read(detail: str) -> Owed:
    """Raises StoreError on what `Owed.text` has not written."""
    try:
        stated = json.loads(detail)
        return Owed(tuple(stated["observations"]), dict(stated["missing"]))
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(f"an outcome says in no known way what is scored together: {error}") from error


def _answered(store: Store, part: Outcome, owed: Owed) -> tuple[list[Observation], int]:
    """The observations in the order of their plan, and how many of them are not complete."""
    own = {
        row.key: row
        for row in store.observations(observer=part.observer_name, suite=part.suite)
        if row.observer == part.observer
    }
    there: list[Observation] = [own[key] for key in owed.keys if key in own]
    whole = sum(store.complete(row.key) for row in there)
    return there, len(owed.keys) - whole
