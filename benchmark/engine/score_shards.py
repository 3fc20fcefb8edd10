"""Score trials that several runs have stored: a plan's shards, or a killed run and the one that resumed it. Before its
first answer a run stores which observations are scored together, once all are complete (an outcome "partial")."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmark.contracts import Suite
from benchmark.engine.scoring import Scorer
from benchmark.engine.tasks import Task, suites_of
from benchmark.failures import FAILURES, StoreError, failure_line
from benchmark.identity import Codes, environment_record
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.store import Observation, Outcome, Store, StoredObservation
from benchmark.store.rows import Work
from registry.files import canonical

Status = Literal["done", "cached", "not applicable", "waiting for data", "failed", "partial"]


@dataclass(kw_only=True)
class RunReport:
    """The outcome of each task of a run. "partial" tasks were answered by a shard and are not scored yet."""

    tasks: dict[Work, tuple[Status, str]] = field(default_factory=dict)  # with a reason
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Status]:
        """How many tasks ended in each way."""
        return Counter(status for status, _ in self.tasks.values())

    def ended(self, how: Status) -> dict[str, str]:
        """ "MODEL under SUITE" -> the reason, of tasks that ended in this way."""
        return {f"{w[0]} under {w[1]}": why for w, (status, why) in self.tasks.items() if status == how}

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some failed."""
        counts = self.counts
        if not counts["done"] + counts["cached"] + counts["partial"]:
            return 1
        return 3 if self.failed else 0

    @property
    def status(self) -> str:
        """The status of the run in the store."""
        return {0: "done", 1: "failed"}.get(self.exit_code, "partial")

    def join(self, other: RunReport) -> None:
        """Add the outcomes of another part of the same run."""
        self.tasks |= other.tasks
        self.failed |= other.failed

    def add(self, work: Work, status: Status, reason: str = "") -> None:
        """Add the outcome of a task."""
        self.tasks[work] = (status, reason)
        if status == "failed":
            self.failed[f"{work[0]} under {work[1]}"] = reason


def score_imported(scorer: Scorer, report: RunReport) -> None:
    """Score imported observers on the sets that were shown. An error there does not affect the run's own scores."""
    try:
        scorer.imported()
    except FAILURES as error:  # the boundary of one scoring: recorded
        reason = f"scoring failed: {failure_line(error)}"
        work = "imported observers", scorer.suite.name, PUBLISHED_SPACE
        report.add(work, "failed", reason)
        scorer.store.put_outcome(scorer.run, None, work, "failed", reason)


def owed_text(observations: Sequence[Observation], missing: Mapping[str, str]) -> str:
    """Write, for an outcome, which observations are scored together, in their order, and why roles are missing."""
    return canonical({"observations": [row.key for row in observations], "missing": missing}, ascii=False)


@dataclass(kw_only=True)
class Completed:
    """What became of the work that was answered in parts."""

    new_sets: int = 0  # of scores
    scored: set[Work] = field(default_factory=set)  # complete work
    fresh: set[Work] = field(default_factory=set)  # complete work that has new scores
    waiting: dict[str, str] = field(default_factory=dict)  # "MODEL under SUITE" -> what is missing
    failed: dict[Work, BaseException] = field(default_factory=dict)  # errors of scoring


def complete_parts(store: Store, run: str, suites: Sequence[Suite], codes: Codes) -> Completed:
    """Score whatever was answered in parts and is complete now, as one run would have, and report the rest."""
    done, lacking = Completed(), store.incomplete().keys()
    scorers = {suite.name: Scorer(store=store, run=run, suite=suite, codes=codes) for suite in suites}
    parts = [part for part in _open_parts(store) if part.suite in scorers]
    asked = {part.suite for part in parts}
    own: dict[tuple[str | None, str], StoredObservation] = {
        (row.observer, row.key): row for suite in asked for row in store.observations(suite=suite)
    }
    for part in parts:
        try:
            stated = json.loads(part.detail)
            keys, missing = tuple(stated["observations"]), dict(stated["missing"])
        except (ValueError, TypeError, LookupError) as error:
            raise StoreError(f"an outcome does not state which tasks are scored together: {error}") from error
        work = part.observer_name, part.suite, part.space
        observations = [own[part.observer, key] for key in keys if (part.observer, key) in own]
        if open_ones := len(keys) - sum(row.key not in lacking for row in observations):
            waiting = f"{open_ones} of its {len(keys)} blocks are not answered yet"
            done.waiting[f"{part.observer_name} under {part.suite}"] = waiting
            continue
        try:
            fresh = scorers[part.suite].observer(observations, missing)
        except FAILURES as error:  # the boundary of one scoring
            done.failed.setdefault(work, error)
            continue
        done.scored.add(work)
        done.new_sets += fresh
        done.fresh |= {work} if fresh else set()
        store.put_outcome(run, part.observer, work, "done", detail=part.detail)
    return done


def score_shards(
    tasks: Sequence[Task], shards: Sequence[RunReport], store: Store, command: str, note: str
) -> RunReport:
    """Score the trials that the shards of a plan have stored, and return the outcome of each task. shards: their
    reports, in order; note: stored with the run if nothing has failed."""
    run = store.begin_run(command, environment_record("none", 1))
    report, codes, suites = RunReport(), Codes(), suites_of(tasks)
    # The first shard's reason is the one that a single run would give.
    rows = [row for shard in reversed(shards) for row in shard.tasks.items()]
    stated = dict(rows)
    failed = {work: why for work, (status, why) in rows if status == "failed"}
    answered = {work for work, (status, _) in rows if status == "partial"}
    ended = "interrupted"
    try:
        done = complete_parts(store, run, suites, codes)
        failed = {work: f"scoring failed: {failure_line(error)}" for work, error in done.failed.items()} | failed
        for part in _open_parts(store):  # a task that failed on one shard does not wait for the others
            work = part.observer_name, part.suite, part.space
            if work in failed:
                store.put_outcome(run, part.observer, work, "failed", failed[work], part.detail)
        for task in tasks:
            work = task.work
            status, reason = stated.get(work, ("failed", "its shard did not come to its end"))
            if work in failed:
                status, reason = "failed", failed[work]
            elif work in done.scored:
                status, reason = ("done" if work in done.fresh | answered else "cached"), ""
            elif status not in ("not applicable", "waiting for data"):
                status = "failed"
                if work in stated:
                    reason = done.waiting.get(f"{work[0]} under {work[1]}", reason)
            report.add(work, status, reason)
        for suite in suites:
            score_imported(Scorer(store=store, run=run, suite=suite, codes=codes), report)
        ended = report.status
    finally:
        store.end_run(run, ended, note if ended == "done" else "")
    return report


def _open_parts(store: Store) -> list[Outcome]:
    """Return outcomes "partial" that were neither scored nor given up since, once for each plan of an observer."""
    newest = {(outcome.observer, outcome.suite, outcome.detail): outcome for outcome in store.outcomes(latest=False)}
    return [outcome for outcome in newest.values() if outcome.status == "partial"]
