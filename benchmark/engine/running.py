"""One run: load observers in groups that fit the device, show what is missing, score, record what failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch

from benchmark.contracts import Observer, ObserverKind, Policy, Suite
from benchmark.engine import tuning
from benchmark.engine.decoding import chunk_count, chunk_index
from benchmark.engine.device import keep_pages, numerics
from benchmark.engine.environment import environment
from benchmark.engine.inference import (
    Job,
    Reporter,
    Resident,
    Walk,
    failure_line,
)
from benchmark.engine.planning import Task
from benchmark.engine.scoring import PUBLISHED_SPACE, Scorer
from benchmark.engine.sound import require_sound
from benchmark.errors import FAILURES
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import Observation, Store
from registry.cards import ModelCard
from registry.ideal import IdealObserver
from registry.load import load_observer
from registry.model import LoadedModel

Status = Literal["done", "cached", "not applicable", "failed"]
CPU_BYTES = 4 * 2**30
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


@dataclass(frozen=True)
class RunOptions:
    """How a run is made. batch: None tunes it; device: as torch names it ("cuda:1"); policy: as stored."""

    device: str
    policy: Policy
    batch: int | None = None
    command: str = "bench run"


@dataclass
class RunReport:
    """What a run did: per task "done", "cached", "not applicable" or "failed", with the reasons of the last two."""

    counts: Counter[Status] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    decoded: int = 0

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some failed."""
        if not self.counts["done"] + self.counts["cached"]:
            return 1
        return 3 if self.failed else 0


class RunReporter(Reporter, Protocol):
    """The walk's reporter, told beforehand how many answers an observer still owes."""

    def expect(self, observer: str, trials: int) -> None:
        """`observer` owes `trials` answers."""


@dataclass(frozen=True)
class Loaded:
    """An observer in memory with its row in the store and its tasks."""

    resident: Resident
    identity: str
    row: int
    tasks: tuple[Task, ...]


def execute(
    tasks: Sequence[Task],
    store: Store,
    settings: Settings,
    options: RunOptions,
    reporter: RunReporter,
) -> RunReport:
    """Carry out a plan. Every failure becomes a row; the rest goes on. Interrupted runs resume by the same call."""
    keep_pages()
    report = RunReport()
    run = store.begin_run(options.command, environment(options.device, torch.get_num_threads()))
    status = "interrupted"
    try:
        with numerics(options.policy):
            _Run(store, run, settings, options, reporter, report).all(tasks)
        status = {0: "done", 1: "failed"}.get(report.exit_code, "partial")
    finally:
        store.end_run(run, status)
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
    report: RunReport
    codes: Codes = field(default_factory=Codes)
    _planned: dict[tuple[int, int], list[Observation]] = field(default_factory=dict)

    def all(self, tasks: Sequence[Task]) -> None:
        walk = Walk(
            self.store,
            self.run,
            self.options.policy.seed,
            self.options.device,
            self.reporter,
            self.settings.decoded,
            self.codes,
        )
        waiting: list[_Answered] = []
        for group in self._groups(tasks):
            waiting += self._group(group, walk)
        self.report.decoded = walk.decoded
        scorers = {
            suite.name: Scorer(self.store, self.run, suite, self.codes)
            for suite in suites_of(tasks)
        }
        for answered in waiting:
            self._finish(answered, scorers[answered.task.suite.name])
        for scorer in scorers.values():
            self._others(scorer)

    def _others(self, scorer: Scorer) -> None:
        """Scores of imported observers on what was shown; an error there takes nothing from the run's own."""
        try:
            scorer.imported()
        except FAILURES as error:  # the boundary of one scoring: recorded
            name, suite = "imported observers", scorer.suite.name
            reason = f"scoring failed: {failure_line(error)}"
            self.report.counts["failed"] += 1
            self.report.failed[f"{name} under {suite}"] = reason
            self.store.put_outcome(self.run, None, name, suite, PUBLISHED_SPACE, "failed", reason)

    def _group(self, group: Sequence[Loaded], walk: Walk) -> list[_Answered]:
        """Make every missing observation of the group. Scores wait until everybody has answered."""
        jobs = [
            job for loaded in group for task in loaded.tasks for job in self._jobs(loaded, task)
        ]
        for loaded in group:
            try:
                self._tune(loaded.resident, jobs)
            except FAILURES as error:  # the boundary of one model's work
                loaded.resident.failure = failure_line(error)
            owed = sum(_trials(job) for job in jobs if job.resident is loaded.resident)
            self.reporter.expect(loaded.resident.name, owed)
        walk.show(jobs)
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

    def _groups(self, tasks: Sequence[Task]) -> Iterator[list[Loaded]]:
        """Observers in groups whose weights fit in memory together, so that they share decoding."""
        group: list[Loaded] = []
        room = budget = _budget(self.options.device)
        for card, mine in _by_card(tasks):
            loaded = self._load(card, mine)
            if loaded is None:
                continue
            size = _bytes(loaded.resident)
            if group and size > room:
                yield group
                group, room = [], budget
            group.append(loaded)
            room -= size
        if group:
            yield group

    def _load(self, card: ModelCard, tasks: Sequence[Task]) -> Loaded | None:
        wanted = [task for task in tasks if not self._does_not_apply(task)]
        if not wanted:
            return None
        try:
            observer = load_observer(
                card,
                weights_folder=self.settings.weights,
                mirror=self.settings.mirror,
                caches=self.settings.caches,
                device=self.options.device,
            )
        except FAILURES as error:  # the boundary of one model's loading: recorded
            for task in wanted:
                self._record(None, task, "failed", failure_line(error))
            return None
        wanted = [task for task in wanted if not self._lacks_gradients(observer, task)]
        if not wanted:
            return None
        resident = Resident(
            card.name, observer if isinstance(observer, IdealObserver) else _unfed(observer)
        )
        row = self.store.put_observer(
            Observer(card.name, _kind(card), observer.identity, _described(card, observer))
        )
        return Loaded(resident, observer.identity, row, tuple(wanted))

    def _does_not_apply(self, task: Task) -> bool:
        if task.plan.blocks:
            return False
        self._record(None, task, "not applicable", task.reason)
        return True

    def _lacks_gradients(self, observer: LoadedModel | IdealObserver, task: Task) -> bool:
        if isinstance(observer, IdealObserver) or observer.gradients:
            return False
        if task.suite.needs != "gradients":
            return False
        reason = f"no gradient reaches the input of an exported program such as {task.card.arch}"
        self._record(None, task, "not applicable", reason)
        return True

    def _jobs(self, loaded: Loaded, task: Task) -> Iterator[Job]:
        planned = zip(task.plan.blocks, self._observations(loaded, task), strict=True)
        for block, observation in planned:
            key = observation.key
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
        return [
            Observation(
                key=observation_key(loaded.identity, block, task.suite, policy, self.codes),
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
                details={"policy": policy.__dict__, "missing": dict(task.plan.missing)},
            )
            for block in task.plan.blocks
        ]

    def _tune(self, resident: Resident, jobs: Sequence[Job]) -> None:
        """Only what has work is tuned. A batch size that the user gave is used as given."""
        if isinstance(resident.observer, IdealObserver) or not any(
            job.resident is resident for job in jobs
        ):
            return
        model, device = resident.observer.model, self.options.device
        found = tuning.stated(self.options.batch) if self.options.batch else self._tuned(model)
        resident.observer = tuning.feed(
            model, found, device=device, compile_model=self.options.policy.compile
        )
        resident.batch = found.batch
        require_sound(resident.observer, self.options.policy.precision)

    def _tuned(self, model: LoadedModel) -> tuning.Tuning:
        return tuning.tune(model, self.options.device, self.settings.tuning)

    def _finish(self, answered: _Answered, scorer: Scorer) -> None:
        task = answered.task
        if answered.failure:
            self._record(answered.row, task, "failed", answered.failure)
            return
        try:
            fresh = scorer.observer(answered.observations, task.plan.missing)
        except FAILURES as error:  # the boundary of one scoring: recorded
            reason = f"scoring failed: {failure_line(error)}"
            self._record(answered.row, task, "failed", reason)
            return
        self._record(answered.row, task, "done" if fresh or answered.worked else "cached", "")

    def _record(self, row: int | None, task: Task, status: Status, reason: str) -> None:
        name = f"{task.card.name} under {task.suite.name}"
        self.report.counts[status] += 1
        if status == "failed":
            self.report.failed[name] = reason
        elif status == "not applicable":
            self.report.skipped[name] = reason
        if status != "cached":
            self.store.put_outcome(
                self.run, row, task.card.name, task.suite.name, task.space, status, reason
            )


def _kind(card: ModelCard) -> ObserverKind:
    if card.source == "ideal":
        return "ideal"
    return "simulated" if card.simulated else "network"


def _unfed(model: LoadedModel) -> tuning.TunedModel:
    return tuning.TunedModel(model, tuning.stated(1), model.forward)


def _by_card(tasks: Sequence[Task]) -> list[tuple[ModelCard, list[Task]]]:
    groups: dict[str, tuple[ModelCard, list[Task]]] = {}
    for task in tasks:
        groups.setdefault(task.card.name, (task.card, []))[1].append(task)
    return list(groups.values())


def _trials(job: Job) -> int:
    return sum(len(chunk_index(job.block.stimuli, chunk)) for chunk in job.chunks)


def _bytes(resident: Resident) -> int:
    """Bytes of weights, twice: the tuned form is kept beside the plain one."""
    if isinstance(resident.observer, IdealObserver):
        return 0
    return 2 * sum(
        p.numel() * p.element_size() for p in resident.observer.model.module.parameters()
    )


def _budget(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0] * GPU_SHARE)
    return CPU_BYTES


def suites_of(tasks: Sequence[Task]) -> list[Suite]:
    """The suites of a plan, each once."""
    return list({task.suite.name: task.suite for task in tasks}.values())


def _described(card: ModelCard, observer: LoadedModel | IdealObserver) -> dict[str, Any]:
    """The card as plain data, with the number of parameters where there are any."""
    plain: dict[str, Any] = card.model_dump(mode="json")
    if isinstance(observer, IdealObserver):
        return plain
    return plain | {"parameters": sum(one.numel() for one in observer.module.parameters())}
