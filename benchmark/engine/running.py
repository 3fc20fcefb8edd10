"""One run: load observers in groups that fit the device, show what is missing, score, record what failed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmark.contracts import Policy
from benchmark.engine.canary import COUNT, Canary
from benchmark.engine.device import keep_pages, numerics, resting_heap
from benchmark.engine.environment import environment
from benchmark.engine.executors import OneDevice
from benchmark.engine.inference import Walk
from benchmark.engine.jobs import Job
from benchmark.engine.keeping import Keeper
from benchmark.engine.loading import Loaded, Loader
from benchmark.engine.outcomes import Outcomes, RunReport
from benchmark.engine.pace import Reporter
from benchmark.engine.planning import Task, chunk_index, suites_of
from benchmark.engine.score_shards import Owed
from benchmark.engine.scoring import Scorer
from benchmark.engine.tuning import TunedModel
from benchmark.errors import FAILURES, failure_line
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import Observation, Store


@dataclass(frozen=True)
class Known:
    """An observation that is in another leaderboard."""

    complete: bool
    canary: str


@dataclass(frozen=True)
class RunOptions:
    """How a run is made. batch: None tunes it; device: as torch names it ("cuda:1"); policy: as stored.

    part: which shard of a plan this run is ("shard 2/3 of plan 0123456789ab"). It stores trials and what they are for;
    `engine.score_shards` scores them where the other shards' are, too. "": the run is whole, and scored.
    note: kept with the end of a whole run.
    asked: what else a command needs to show the same stimuli again ("limit", "stimuli", "batch"), kept with the trials.
    known: what another leaderboard has of the observers, by key; what is complete there is not made again.
    enough: asked before anything is shown, and whenever a chunk of all blocks is stored; where it says yes, the run
    ends there and scores nothing.
    """

    device: str
    policy: Policy
    batch: int | None = None
    command: str = "bench run"
    part: str = ""
    note: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Known] = field(default_factory=dict)
    enough: Callable[[Store], bool] | None = None


class _Enough(Exception):
    """What is stored answers the question."""


class RunReporter(Reporter, Protocol):
    """The walk's reporter, told beforehand how many answers an observer still owes."""

    def expect(self, observer: str, trials: int, passes: float) -> None:
        """`observer` owes `trials` answers, which cost about so many forward passes."""

    def done(self, observer: str) -> None:
        """`observer` owes nothing more: all is stored, was enough, or has failed."""


@resting_heap()
def execute(
    tasks: Sequence[Task],
    store: Store,
    settings: Settings,
    options: RunOptions,
    reporter: RunReporter,
) -> RunReport:
    """Carry out a plan. Every failure becomes a row; the rest goes on. Interrupted runs resume by the same call."""
    keep_pages()
    run = store.begin_run(options.command, environment(options.device, torch.get_num_threads()))
    outcomes = Outcomes(store, run)
    report = outcomes.report
    status = "interrupted"
    try:
        with numerics(options.policy):
            _Run(store, run, settings, options, reporter, outcomes).all(tasks)
        status = {0: "done", 1: "failed"}.get(report.exit_code, "partial")
    except _Enough:
        status = "enough"
    finally:
        store.end_run(run, status, options.part or options.note)
    return report


@dataclass(frozen=True)
class _Answered:
    """A task whose trials are stored, or whose observer failed. The network itself is no longer needed."""

    row: int
    failure: str
    task: Task
    observations: list[Observation]
    worked: bool


@dataclass(frozen=True)
class _Run:
    store: Store
    run: int
    settings: Settings
    options: RunOptions
    reporter: RunReporter
    outcomes: Outcomes
    codes: Codes = field(default_factory=Codes)
    _planned: dict[tuple[int, int], list[Observation]] = field(default_factory=dict)
    _canary: dict[int, Canary] = field(default_factory=dict)

    def all(self, tasks: Sequence[Task]) -> None:
        keeper = Keeper(self.store, self.run)
        policy, device, cache = self.options.policy, self.options.device, self.settings.decoded
        walk = Walk(policy.seed, device, self.reporter, cache, self.codes, keeper.over)
        executor = OneDevice(self.settings, device, policy, walk)
        waiting: list[_Answered] = []
        for group in Loader(executor, self.outcomes, self.reporter.done).groups(tasks):
            waiting += self._group(group, executor, keeper)
        self.outcomes.report.decoded = executor.decoded
        if self.options.part:
            for answered in waiting:
                self._leave(answered)
            return
        scorers = {
            suite.name: Scorer(self.store, self.run, suite, self.codes)
            for suite in suites_of(tasks)
        }
        for answered in waiting:
            self._finish(answered, scorers[answered.task.suite.name])
        for scorer in scorers.values():
            self.outcomes.score_imported(scorer)

    def _group(
        self, group: Sequence[Loaded], executor: OneDevice, keeper: Keeper
    ) -> list[_Answered]:
        """Make every missing observation of the group. Scores wait until everybody has answered."""
        jobs = [
            job for loaded in group for task in loaded.tasks for job in self._jobs(loaded, task)
        ]
        for loaded in group:
            mine = [job for job in jobs if job.resident is loaded.resident]
            try:
                if mine:
                    executor.tune(loaded.resident, self.options.batch)
            except FAILURES as error:  # the boundary of one model's work
                loaded.resident.failure = failure_line(error)
            owed = [(_trials(job), job.suite.passes) for job in mine]
            passes = sum(trials * each for trials, each in owed)
            self.reporter.expect(loaded.resident.name, sum(map(_trials, mine)), passes)
        keeper.begin(jobs)
        enough, before = self.options.enough, None
        if enough and jobs and enough(self.store):
            raise _Enough
        for made in executor.show(jobs):
            keeper.keep(made)
            if enough and before not in (None, made.chunk) and enough(self.store):
                raise _Enough
            before = made.chunk
        for loaded in group:
            self.reporter.done(loaded.resident.name)
        worked = {job.key for job in jobs}
        return [
            _Answered(
                loaded.row,
                loaded.resident.failure
                or loaded.resident.failures.get((task.suite.name, task.space), ""),
                task,
                observations,
                any(o.key in worked for o in observations),
            )
            for loaded in group
            for task in loaded.tasks
            for observations in [self._observations(loaded, task)]
        ]

    def _jobs(self, loaded: Loaded, task: Task) -> Iterator[Job]:
        observations = self._observations(loaded, task)
        for place, block in task.shown.items():
            observation = observations[place]
            key = observation.key
            if key in self.options.known and self.options.known[key].complete:
                continue
            there = self.store.chunks(key)
            chunks = task.chunks(place) - there
            if chunks and not self.store.complete(key):
                if not there:
                    self.store.put_stimuli(block.stimuli)
                    self.store.put_observation(self.run, observation)
                yield Job(loaded.resident, task.suite, task.space, block, key, chunks)

    def _observations(self, loaded: Loaded, task: Task) -> list[Observation]:
        """What the task asks of the observer, one per block; made once, for keys take time."""
        at = (loaded.row, id(task))
        if at not in self._planned:
            self._planned[at] = self._made(loaded, task)
        return self._planned[at]

    def _made(self, loaded: Loaded, task: Task) -> list[Observation]:
        policy = self.options.policy
        details: dict[str, Any] = {"policy": policy.__dict__, "missing": dict(task.plan.missing)}
        if self.options.asked:
            details["asked"] = dict(self.options.asked)
        keys = [
            observation_key(loaded.facts.identity, block, task.suite, policy, self.codes)
            for block in task.plan.blocks
        ]
        canaries = self._canaries(loaded, task, keys)
        return [
            Observation(
                key=key,
                observer=loaded.row,
                suite=task.suite.name,
                version=task.suite.version,
                space=task.space,
                stimuli=block.stimuli.digest,
                role=block.role,
                condition=block.condition,
                presentation=block.presentation,
                transform=block.transform.name if block.transform else "",
                n=len(block.stimuli),
                details=details | ({"canary": canary} if canary else {}),
            )
            for block, (key, canary) in zip(task.plan.blocks, canaries, strict=True)
        ]

    def _canaries(self, loaded: Loaded, task: Task, keys: Sequence[str]) -> list[tuple[str, str]]:
        """(key, canary answers) of each block: other keys where what is stored was answered otherwise."""
        observer, suite = loaded.resident.observer, task.suite.name
        if not isinstance(observer, TunedModel):
            return [(key, "") for key in keys]
        stored = {key: row.canary for key, row in self.options.known.items()}
        stored |= {
            row.key: str(row.details.get("canary", ""))
            for row in self.store.observations(observer=loaded.resident.name, suite=suite)
        }
        canary = self._canary.setdefault(
            loaded.row, Canary(observer.model, self.options.device, self.codes)
        )
        pairs = [
            canary.key(key, block, stored)
            for key, block in zip(keys, task.plan.blocks, strict=True)
        ]
        if [key for key, _ in pairs] != list(keys):
            self.reporter.note(
                f"{loaded.resident.name}: answers {COUNT} fixed images otherwise than when its trials of {suite} were "
                "stored (an environment variable, data, a patch or another version of a library): these are not used"
            )
        return pairs

    def _leave(self, answered: _Answered) -> None:
        """Answered in part: which observations are to be scored together, whoever makes the others."""
        row, task = answered.row, answered.task
        if answered.failure:
            self.outcomes.record(row, task, "failed", answered.failure)
            return
        owed = Owed(tuple(row.key for row in answered.observations), task.plan.missing)
        self.outcomes.leave(row, task, self.options.part, owed.text(), worked=answered.worked)

    def _finish(self, answered: _Answered, scorer: Scorer) -> None:
        task, record = answered.task, self.outcomes.record
        if answered.failure:
            record(answered.row, task, "failed", answered.failure)
            return
        try:
            fresh = scorer.observer(answered.observations, task.plan.missing)
        except FAILURES as error:  # the boundary of one scoring: recorded
            record(answered.row, task, "failed", f"scoring failed: {failure_line(error)}")
            return
        record(answered.row, task, "done" if fresh or answered.worked else "cached")


def _trials(job: Job) -> int:
    return sum(len(chunk_index(job.block.stimuli, chunk)) for chunk in job.chunks)
