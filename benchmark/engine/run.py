"""One run: load observers in groups that fit the device, show what is missing, score, record what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmark.contracts import Observer, ObserverKind, Policy
from benchmark.engine import devices
from benchmark.engine.canary import COUNT, Canary
from benchmark.engine.devices import TunedModel, keep_pages, numerics, require_sound, resting_heap
from benchmark.engine.environment import environment
from benchmark.engine.inference import Job, Made, Reporter, Resident, Walk
from benchmark.engine.plan import Task, chunk_index, suites_of
from benchmark.engine.score_shards import Outcomes, Owed, RunReport
from benchmark.engine.scoring import Scorer
from benchmark.errors import FAILURES, failure_line
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import Observation, Store
from registry.cards import ModelCard
from registry.loading import load_observer
from registry.model import LoadedModel
from registry.simulated import IdealObserver

# Where observers are loaded and shown: on one device of this process.


CPU_BYTES = 4 * 2**30
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


@dataclass(frozen=True)
class Facts:
    """What a run must know of an observer in memory. described: its card as plain data; gradients: whether one
    reaches its input; size: bytes that it takes.
    """

    identity: str
    described: dict[str, Any]
    gradients: bool
    size: int


@dataclass
class OneDevice:
    """Everything in this process, on one device as torch names it ("cuda:1")."""

    settings: Settings
    device: str
    policy: Policy
    walk: Walk
    budget: int = field(init=False)

    def __post_init__(self) -> None:
        self.budget = memory_for_weights(self.device)

    @property
    def decoded(self) -> int:
        """How many images were decoded."""
        return self.walk.decoded

    def load(self, card: ModelCard) -> tuple[Resident, Facts]:
        """The observer on this device, not yet tuned."""
        observer = load_observer(card, self.settings.place, device=self.device)
        facts = Facts(
            observer.identity,
            _described(card, observer),
            isinstance(observer, IdealObserver) or observer.gradients,
            _bytes(observer),
        )
        loaded = observer if isinstance(observer, IdealObserver) else _unfed(observer)
        return Resident(card.name, loaded), facts

    def tune(self, resident: Resident, batch: int | None) -> None:
        """Bring a network into the form in which it is fed. batch: as the user gave it; None measures it.

        Raises Unsound where its answers depend on more than the image, and what its code raises.
        """
        if isinstance(resident.observer, IdealObserver):
            return
        model, notes, reporter = resident.observer.model, self.settings.tuning, self.walk.reporter
        setting = (
            devices.stated(batch)
            if batch
            else devices.tune(model, self.device, notes, lambda: reporter.tuning(resident.name))
        )
        resident.observer = devices.feed(
            model, setting, device=self.device, compile_model=self.policy.compile
        )
        resident.batch = setting.batch
        require_sound(resident.observer, self.policy.precision)

    def show(self, jobs: Sequence[Job]) -> Iterable[Made]:
        """The walk over the jobs' blocks."""
        return self.walk.show(jobs)


def memory_for_weights(device: str) -> int:
    """Bytes that a group of observers may take on a device."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0] * GPU_SHARE)
    return CPU_BYTES


def _unfed(model: LoadedModel) -> devices.TunedModel:
    return devices.TunedModel(model, devices.stated(1), model.forward)


def _bytes(observer: LoadedModel | IdealObserver) -> int:
    """Bytes of weights, twice: the tuned form is kept beside the plain one."""
    if isinstance(observer, IdealObserver):
        return 0
    return 2 * sum(p.numel() * p.element_size() for p in observer.module.parameters())


def _described(card: ModelCard, observer: LoadedModel | IdealObserver) -> dict[str, Any]:
    """The card as plain data, with the number of parameters where there are any."""
    plain: dict[str, Any] = card.model_dump(mode="json")
    if isinstance(observer, IdealObserver):
        return plain
    return plain | {"parameters": sum(one.numel() for one in observer.module.parameters())}


# Answers on their way into the store, and the blocks that need no more of them.


@dataclass(frozen=True)
class Keeper:
    """Stores what a run has made, one transaction per chunk and block, and asks suites whether that is enough."""

    store: Store
    run: int
    _settled: set[str] = field(default_factory=set)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Before any is shown: a run that was cut short stops where an uninterrupted one would have."""
        for job in jobs:
            self._settle(job, min(job.chunks))

    def keep(self, made: Made) -> None:
        """Store the rows. The chunks of a block that may be settled come in their order."""
        self.store.put_chunks(self.run, made.rows)
        for job in made.jobs:
            self._settle(job, made.chunk + 1)

    def over(self, job: Job) -> bool:
        """Whether a job has failed, or its block is settled."""
        return job.failed or job.key in self._settled

    def _settle(self, job: Job, chunks: int) -> None:
        """End a block whose first `chunks` chunks are enough for its suite. Asked at every chunk at first, then at
        each eighth more: the looks depend on nothing but the grid, and any schedule of looks is valid.
        """
        rule = job.suite.stopping.settled
        if rule is None or chunks < 1 or chunks % max(1, chunks // 8) or self.over(job):
            return
        try:
            trials = self.store.trials((job.key,))
            if rule(job.suite.config, trials):
                self.store.settle(self.run, job.key, len(trials))
                self._settled.add(job.key)
        except FAILURES as error:  # the boundary of one suite's rule
            job.fail(error)


# Observers in memory: cards loaded in groups that fit the device, what cannot be loaded recorded.


@dataclass(frozen=True)
class Loaded:
    """An observer in memory with its row in the store and its tasks."""

    resident: Resident
    facts: Facts
    row: int
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Loader:
    """Loads what a run asks for; an observer that fails or suits no task is an outcome, and `idle` is told its name."""

    executor: OneDevice
    outcomes: Outcomes
    idle: Callable[[str], None] = lambda _observer: None

    def groups(self, tasks: Sequence[Task]) -> Iterator[list[Loaded]]:
        """Observers in groups whose weights fit in memory together, so that they share decoding."""
        group: list[Loaded] = []
        room = budget = self.executor.budget
        for card, mine in _by_card(tasks):
            loaded = self._load(card, mine)
            if loaded is None:
                self.idle(card.name)
                continue
            if group and loaded.facts.size > room:
                yield group
                group, room = [], budget
            group.append(loaded)
            room -= loaded.facts.size
        if group:
            yield group

    def _load(self, card: ModelCard, tasks: Sequence[Task]) -> Loaded | None:
        wanted = [task for task in tasks if not self._does_not_apply(task)]
        if not wanted:
            return None
        try:
            resident, facts = self.executor.load(card)
        except FAILURES as error:  # the boundary of one model's loading: recorded
            for task in wanted:
                self.outcomes.record(None, task, "failed", failure_line(error))
            return None
        wanted = [task for task in wanted if not self._lacks_gradients(facts, task)]
        if not wanted:
            return None
        row = self.outcomes.store.put_observer(
            Observer(card.name, _kind(card), facts.identity, facts.described)
        )
        return Loaded(resident, facts, row, tuple(wanted))

    def _does_not_apply(self, task: Task) -> bool:
        if task.plan.blocks:
            return False
        self.outcomes.record(None, task, "not applicable", task.reason)
        return True

    def _lacks_gradients(self, facts: Facts, task: Task) -> bool:
        if facts.gradients or task.suite.needs != "gradients":
            return False
        reason = f"no gradient reaches the input of an exported program such as {task.card.arch}"
        self.outcomes.record(None, task, "not applicable", reason)
        return True


def _kind(card: ModelCard) -> ObserverKind:
    if card.source == "ideal":
        return "ideal"
    return "simulated" if card.simulated else "network"


def _by_card(tasks: Sequence[Task]) -> list[tuple[ModelCard, list[Task]]]:
    groups: dict[str, tuple[ModelCard, list[Task]]] = {}
    for task in tasks:
        groups.setdefault(task.card.name, (task.card, []))[1].append(task)
    return list(groups.values())


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
