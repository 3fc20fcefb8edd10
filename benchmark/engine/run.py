"""One run: load observers in groups that fit the device, show them the missing images, score, record failures."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from benchmark.contracts import Observer, ObserverKind, Policy
from benchmark.engine import devices
from benchmark.engine.device_choice import Tuning, cores, remembered
from benchmark.engine.devices import TunedModel, limit_malloc, numerics, require_sound
from benchmark.engine.inference import InferenceLoop, Job, LoadedObserver, grouped
from benchmark.engine.reporters import Reporter
from benchmark.engine.score_shards import RunReport, Status, owed_text, score_imported
from benchmark.engine.scoring import AGAINST, BEYOND, Scorer, one_blas_thread
from benchmark.engine.stored_answers import changed_answers, precision_remark
from benchmark.engine.tasks import Task, chunk_index, is_look, suites_of
from benchmark.failures import FAILURES, failure_line
from benchmark.identity import environment_record, observation_key
from benchmark.settings import Settings
from benchmark.store import Observation, Store
from benchmark.store.rows import Work
from registry.cards import ModelCard
from registry.files import digest_data
from registry.loading import load_observer
from registry.model import LoadedModel
from registry.simulated import IdealObserver

CPU_BYTES = 4 * 2**30  # that a group of observers may take
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is made."""

    device: str  # as torch names it ("cuda:1")
    policy: Policy  # as stored
    batch: int | None = None  # None: tuned
    command: str = "bench run"
    #: The shard of a plan that this run is ("shard 2/3 of plan 0123456789ab"): it stores trials and what they belong
    #: to, and `engine.score_shards` scores them together with the other shards'. "": the run is complete, and scored.
    part: str = ""
    note: str = ""  # stored with the end of a complete run
    #: What else a command needs to show the same stimuli again ("limit", "stimuli", "batch"), stored with the trials.
    asked: Mapping[str, Any] = field(default_factory=dict)
    known: Collection[str] = ()  # keys of observations that another leaderboard has complete: not made again
    #: (store, task -> keys of its observations) -> tasks that need no more images; such a run stores no scores.
    enough: Callable[[Store, Mapping[Work, Sequence[str]]], Collection[Work]] | None = None
    decoders: int = field(default_factory=cores)  # threads that decode and resize images
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)  # networks in memory, by name


def execute_tasks(
    tasks: Sequence[Task], store: Store, settings: Settings, options: RunOptions, reporter: Reporter
) -> RunReport:
    """Carry out a plan, or resume it. Every failure becomes a row, and other work continues."""
    limit_malloc()
    run = store.begin_run(options.command, environment_record(options.device, torch.get_num_threads()))
    seed, device, status, report = options.policy.seed, options.device, "interrupted", RunReport()
    loop = InferenceLoop(seed=seed, device=device, reporter=reporter, cache=settings.decoded, decoders=options.decoders)
    try:
        with numerics(options.policy), one_blas_thread():
            _Run(store=store, run=run, settings=settings, options=options, report=report, loop=loop).all(tasks)
        status = report.status
    finally:
        store.end_run(run, status, options.part or options.note)
    return report


@dataclass(kw_only=True)
class _AskedTask:
    """A task of a loaded observer. It does not hold the network, whose memory is free once its trials are stored."""

    row: str  # the observer's id in the store
    task: Task
    observations: list[Observation]  # one per block
    failure: str = ""
    worked: bool = False  # whether trials were missing


@dataclass(frozen=True, kw_only=True)
class _Run:
    store: Store
    run: str  # its id in the store
    settings: Settings
    options: RunOptions
    report: RunReport
    loop: InferenceLoop

    def all(self, tasks: Sequence[Task]) -> None:
        """Load, show and store, and then score."""
        answered = [asked for group in self._groups(tasks) for asked in self._show(group)]
        codes = self.loop.codes
        scorers = {s.name: Scorer(store=self.store, run=self.run, suite=s, codes=codes) for s in suites_of(tasks)}
        for asked in answered:
            self._finish(asked, scorers[asked.task.suite.name])
        for scorer in () if self.options.part or self.options.enough else scorers.values():
            score_imported(scorer, self.report)

    def _groups(self, tasks: Sequence[Task]) -> Iterator[list[LoadedObserver]]:
        """Yield the observers in groups whose weights fit in memory together, so that they share decoding."""
        budget = CPU_BYTES
        if self.options.device.startswith("cuda"):
            budget = int(torch.cuda.mem_get_info(self.options.device)[0] * GPU_SHARE)
        group: list[LoadedObserver] = []
        for own_tasks in grouped(tasks, lambda task: task.card.name):
            observer = self._load(own_tasks[0].card, own_tasks)
            if observer is None:
                self.loop.reporter.done(own_tasks[0].card.name)
                continue
            # A comparison asks both networks after each chunk, so it holds both whatever their size.
            if group and not self.options.enough and sum(other.size for other in (*group, observer)) > budget:
                yield group
                group = []
            group.append(observer)
        if group:
            yield group

    def _load(self, card: ModelCard, tasks: Sequence[Task]) -> LoadedObserver | None:
        """Load an observer, not yet tuned; None if no task is left. Failures and other tasks are recorded."""
        wanted = [task for task in tasks if task.plan.blocks]
        for task in tasks:
            if not task.plan.blocks:
                self._record(None, task, task.unplanned, task.reason)
        if not wanted:
            return None
        try:
            observer = self.options.loaded.get(card.name) or load_observer(
                card, self.settings.place, device=self.options.device
            )
        except FAILURES as error:  # the boundary of one model's loading: recorded
            for task in wanted:
                self._record(None, task, "failed", failure_line(error))
            return None
        described: dict[str, Any] = card.model_dump(mode="json")
        if isinstance(observer, IdealObserver):
            size = 0
            answering: TunedModel | IdealObserver = observer
        else:
            weights = list(observer.module.parameters())
            described["parameters"] = sum(weight.numel() for weight in weights)
            # Twice, because the tuned form is kept beside the plain one.
            size = 2 * sum(weight.numel() * weight.element_size() for weight in weights)
            known = remembered(card, self.options.device, self.settings.tuning)
            threads = known[0].threads if known else torch.get_num_threads()
            answering = TunedModel(model=observer, tuning=Tuning(1, threads), run=observer.forward)
        kind: ObserverKind = "ideal" if card.source == "ideal" else "simulated" if card.simulated else "network"
        row = self.store.put_observer(Observer(name=card.name, kind=kind, identity=observer.identity, card=described))
        return LoadedObserver(name=card.name, observer=answering, row=row, size=size, tasks=wanted)

    def _show(self, group: Sequence[LoadedObserver]) -> list[_AskedTask]:
        """Make every missing observation of the group. Scores wait: some observers are scored against others."""
        asked = [
            (observer, _AskedTask(row=observer.row, task=task, observations=self._observations(observer, task)))
            for observer in group
            for task in observer.tasks
        ]
        known = self._known(asked)
        jobs = [job for observer, own in asked if own.task.work not in known for job in self._jobs(observer, own)]
        for observer in group:
            self._tune(observer, [job for job in jobs if job.loaded is observer])
        for _, own in asked:
            if own.worked and not self.options.enough:
                # Stored before any answer, as another run may make some of them or this run may be interrupted.
                part, owed = self.options.part or "begun", owed_text(own.observations, own.task.plan.missing)
                self.store.put_outcome(self.run, own.row, own.task.work, "partial", part, owed)
        for job in jobs:  # a resumed run settles a block where an uninterrupted one would have
            self._settle(job, min(job.chunks))
        for answered, chunk, answers in self.loop.show(jobs):
            self.store.put_chunks(self.run, answers)
            for job in answered:  # the chunks of a block that may be settled come in their order
                self._settle(job, chunk + 1)
            look = self.options.enough and is_look(chunk + 1)
            if look and any(job.block is own.task.plan.blocks[-1] for job in answered for _, own in asked):
                known = self._known(asked)
                for job in jobs:
                    job.settled |= (job.loaded.name, job.suite.name, job.space) in known
        for observer in group:
            self.loop.reporter.done(observer.name)
            network = observer.observer
            if isinstance(network, TunedModel) and (remark := getattr(network.model.module, "remark", "")):
                self.loop.reporter.note(f"{observer.name}: {remark}")
        for observer, own in asked:
            if own.worked and isinstance(observer.observer, TunedModel) and self.options.policy.precision != "fp32":
                self._in_float32(observer, own)
            own.failure = observer.failure or observer.failures.get((own.task.suite.name, own.task.space), "")
        return [own for _, own in asked]

    def _in_float32(self, observer: LoadedObserver, asked: _AskedTask) -> None:
        """Answer a sample of a task in float32 also, and say and store what the precision of the run changes."""
        task, rows = asked.task, asked.observations
        jobs = [
            Job(loaded=observer, suite=task.suite, space=task.space, block=block, key=rows[i].key, chunks=chunks)
            for i, block in task.shown.items()
            if (chunks := frozenset(self.store.chunks(rows[i].key)))
        ]
        if not jobs or (task.suite.name, task.space) in observer.failures or observer.failure:
            return
        precision = self.options.policy.precision
        try:
            remark = precision_remark(self.store, self.loop, jobs, precision)
        except FAILURES as error:  # the boundary of one model's work
            remark = f"{precision} {AGAINST} failed: {failure_line(error)}, {BEYOND}"
        self.loop.reporter.note(f"{observer.name} under {task.suite.name}: {remark}")
        self.store.put_outcome(self.run, observer.row, task.work, "partial", remark, owed_text(rows, task.plan.missing))

    def _known(self, asked: Sequence[tuple[LoadedObserver, _AskedTask]]) -> Collection[Work]:
        """Return the tasks that need no more images: those with enough, or all if a failure leaves no comparison."""
        if not self.options.enough:
            return ()
        keys = {own.task.work: [row.key for row in own.observations if self.store.chunks(row.key)] for _, own in asked}
        is_over = self.report.failed or any(observer.failure or observer.failures for observer, _ in asked)
        return keys if is_over else self.options.enough(self.store, keys)

    def _settle(self, job: Job, chunks: int) -> None:
        """End a block whose first `chunks` chunks are enough for its suite."""
        rule = job.suite.stopping.settled
        if rule is None or not is_look(chunks) or job.over:  # any schedule of looks is valid
            return
        try:
            trials = self.store.trials((job.key,))
            if rule(job.suite.config, trials):
                self.store.settle(self.run, job.key, len(trials))
                job.settled = True
        except FAILURES as error:  # the boundary of one suite's rule
            job.fail(error)

    def _tune(self, loaded: LoadedObserver, jobs: Sequence[Job]) -> None:
        model, batch, device = loaded.observer, self.options.batch, self.options.device
        notes = self.settings.tuning
        trials = [sum(len(chunk_index(job.block.stimuli, chunk)) for chunk in job.chunks) for job in jobs]
        passes = sum(n * job.suite.passes for n, job in zip(trials, jobs, strict=True))
        if jobs and isinstance(model, TunedModel):
            try:
                announce = partial(self.loop.reporter.tuning, loaded.name)
                setting = Tuning(batch) if batch else devices.tune(model.model, device, notes, announce, passes)
                compiled = self.options.policy.compile
                with devices.working_threads(setting.threads):
                    tuned = devices.feed(model.model, setting, device=device, compile_model=compiled)
                    loaded.observer, loaded.batch = tuned, setting.batch
                    require_sound(tuned, self.options.policy)
            except FAILURES as error:  # the boundary of one model's work
                loaded.failure = failure_line(error)
        self.loop.reporter.expect(loaded.name, sum(trials), passes)

    def _jobs(self, observer: LoadedObserver, asked: _AskedTask) -> Iterator[Job]:
        task = asked.task
        for i, block in task.shown.items():
            key = asked.observations[i].key
            if key in self.options.known:
                continue
            there = self.store.chunks(key)
            chunks = task.chunks(i) - there
            if chunks and not self.store.complete(key):
                if not there:
                    self.store.put_stimuli(block.stimuli)
                    self.store.put_observation(self.run, asked.observations[i])
                asked.worked = True
                yield Job(loaded=observer, suite=task.suite, space=task.space, block=block, key=key, chunks=chunks)

    def _observations(self, observer: LoadedObserver, task: Task) -> list[Observation]:
        policy, blocks, network = self.options.policy, task.plan.blocks, observer.observer
        details: dict[str, Any] = {"policy": policy.__dict__, "missing": dict(task.plan.missing)}
        if self.options.asked:
            details["asked"] = dict(self.options.asked)
        identity = network.model.identity if isinstance(network, TunedModel) else network.identity
        keys = [observation_key(identity, block, task.suite, policy, self.loop.codes) for block in blocks]
        # A network that answers otherwise than is stored under its keys gets others, and so on until they are its own.
        # Each request of an endpoint costs money.
        while isinstance(network, TunedModel) and network.model.card.source != "api":
            asked = dict(zip(keys, blocks, strict=True))
            wrong, shown = changed_answers(self.store, self.loop, task, observer, asked, policy.precision)
            if not wrong:
                break
            self.loop.reporter.note(
                f"{observer.name}: answers {wrong} of {shown} images otherwise than when its trials of "
                f"{task.suite.name} were stored (an environment variable, data, a patch or another version of a "
                "library): these are not used"
            )
            keys = [digest_data([key, "answers otherwise"]) for key in keys]
        return [
            Observation(
                key=key,
                observer=observer.row,
                suite=task.suite.name,
                version=task.suite.version,
                space=task.space,
                stimuli=block.stimuli.digest,
                role=block.role,
                condition=block.condition,
                presentation=block.presentation,
                transform=block.transform.name if block.transform else "",
                n=len(block.stimuli),
                details=details,
            )
            for block, key in zip(blocks, keys, strict=True)
        ]

    def _finish(self, asked: _AskedTask, scorer: Scorer) -> None:
        """Score a task. A task of a shard is only noted as partial: other shards have the rest of its trials."""
        task, failure, part, fresh = asked.task, asked.failure, self.options.part, False
        owed = owed_text(asked.observations, task.plan.missing)
        if part and not failure:
            self.report.add(task.work, "partial" if asked.worked else "cached", part)
            self.store.put_outcome(self.run, asked.row, task.work, "partial", part, owed)
            return
        if not failure and not self.options.enough:
            try:
                fresh = scorer.observer(asked.observations, task.plan.missing)
            except FAILURES as error:  # the boundary of one scoring: recorded
                failure = f"scoring failed: {failure_line(error)}"
        status: Status = "failed" if failure else "done" if fresh or asked.worked else "cached"
        # The same detail closes the outcome "partial" that was stored before the first answer.
        self._record(asked.row, task, status, failure, "" if part or self.options.enough else owed)

    def _record(self, row: str | None, task: Task, status: Status, reason: str, detail: str = "") -> None:
        """Record how a task ended, in the store unless it gave nothing new. row: of an observer that was loaded."""
        self.report.add(task.work, status, reason)
        if status != "cached":
            self.store.put_outcome(self.run, row, task.work, status, reason, detail)
