"""One run: load observers in groups that fit the device, show what is missing, score, record what failed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmark.contracts import Policy, Suite
from benchmark.engine.canary import COUNT, Canary
from benchmark.engine.completing import Owed
from benchmark.engine.decoding import chunk_count, chunk_index
from benchmark.engine.device import keep_pages, numerics, resting_heap
from benchmark.engine.environment import environment
from benchmark.engine.executors import Executor, OneDevice
from benchmark.engine.inference import Walk
from benchmark.engine.jobs import Job, failure_line
from benchmark.engine.keeping import Keeper
from benchmark.engine.loading import Loaded, Loader
from benchmark.engine.outcomes import Outcomes, RunReport
from benchmark.engine.pace import Reporter
from benchmark.engine.planning import Task
from benchmark.engine.scoring import Scorer
from benchmark.engine.tuning import TunedModel
from benchmark.engine.workers.messages import Start
from benchmark.engine.workers.pool import Pool
from benchmark.engine.workers.slots import Slot, close_slots, open_slots
from benchmark.errors import FAILURES
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.store import Observation, Store


@dataclass(frozen=True)
class RunOptions:
    """How a run is made. batch: None tunes it; device: as torch names it ("cuda:1"); policy: as stored.

    part: which part of a plan this run is ("shard 2/3 of plan 0123456789ab"). It stores trials and what they are for;
    `engine.completing` scores them where the other parts' are, too. "": the run is whole, and scored.
    note: kept with the end of a whole run.
    workers: how each worker is started, where the run is not made in this process.
    asked: what else a command needs to show the same stimuli again ("limit", "stimuli", "batch"), kept with the trials.
    elsewhere: another leaderboard, whose complete observations are not made again.
    enough: asked before anything is shown, and whenever a chunk of all blocks is stored; where it says yes, the run
    ends there and scores nothing.
    """

    device: str
    policy: Policy
    batch: int | None = None
    command: str = "bench run"
    part: str = ""
    note: str = ""
    workers: tuple[Start, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: Store | None = None
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
    slots = open_slots(options.workers)
    try:
        run = store.begin_run(options.command, _environment(options, slots))
        outcomes = Outcomes(store, run)
        report = outcomes.report
        status = "interrupted"
        try:
            with numerics(options.policy):
                _Run(store, run, settings, options, reporter, outcomes, slots).all(tasks)
            status = {0: "done", 1: "failed"}.get(report.exit_code, "partial")
        except _Enough:
            status = "enough"
        finally:
            store.end_run(run, status, options.part or options.note)
    finally:
        close_slots(slots)
    return report


def _environment(options: RunOptions, slots: Sequence[Slot]) -> dict[str, Any]:
    """What the numbers are made with; of several workers the first one's, and all their names."""
    if not slots:
        return environment(options.device, torch.get_num_threads())
    return {**slots[0].ready.environment, "workers": [slot.name for slot in slots]}


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
    slots: Sequence[Slot] = ()
    codes: Codes = field(default_factory=Codes)
    _planned: dict[tuple[int, int], list[Observation]] = field(default_factory=dict)
    _canary: dict[int, Canary] = field(default_factory=dict)

    def all(self, tasks: Sequence[Task]) -> None:
        keeper = Keeper(self.store, self.run)
        executor = self._executor(keeper)
        waiting: list[_Answered] = []
        for group in Loader(executor, self.outcomes, self.reporter.done).groups(tasks):
            waiting += self._group(group, executor, keeper)
        executor.close()
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
            self._others(scorer)

    def _executor(self, keeper: Keeper) -> Executor:
        if self.slots:
            return Pool(self.slots, self.reporter, self.codes, keeper.over)
        policy, device = self.options.policy, self.options.device
        cache = self.settings.decoded
        walk = Walk(policy.seed, device, self.reporter, cache, self.codes, keeper.over)
        return OneDevice(self.settings, device, policy, walk)

    def _others(self, scorer: Scorer) -> None:
        """Scores of imported observers on what was shown; an error there takes nothing from the run's own."""
        try:
            scorer.imported()
        except FAILURES as error:  # the boundary of one scoring: recorded
            reason = f"scoring failed: {failure_line(error)}"
            self.outcomes.unscored("imported observers", scorer.suite.name, PUBLISHED_SPACE, reason)

    def _group(
        self, group: Sequence[Loaded], executor: Executor, keeper: Keeper
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
            if self.options.elsewhere and self.options.elsewhere.complete(key):
                continue
            there = self.store.chunks(key)
            chunks = frozenset(range(chunk_count(block.stimuli))) - there
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
        stores = [self.options.elsewhere, self.store] if self.options.elsewhere else [self.store]
        stored = {
            row.key: str(row.details.get("canary", ""))
            for store in stores
            for row in store.observations(observer=loaded.resident.name, suite=suite)
        }
        canary = self._canary.setdefault(loaded.row, Canary(observer.model, self.options.device))
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
        row, task, record = answered.row, answered.task, self.outcomes.record
        if answered.failure:
            record(row, task, "failed", answered.failure)
            return
        owed = Owed(tuple(one.key for one in answered.observations), task.plan.missing)
        record(row, task, "partial", self.options.part, owed.text())

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


def suites_of(tasks: Sequence[Task]) -> list[Suite]:
    """The suites of a plan, each once."""
    return list({task.suite.name: task.suite for task in tasks}.values())
