"""One run: load observers in groups that fit the device, show them the missing images, score, record failures."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmark.contracts import Block, Observer, ObserverKind, Policy
from benchmark.engine import devices
from benchmark.engine.devices import TunedModel, limit_malloc, numerics, require_sound
from benchmark.engine.inference import InferenceLoop, Job, LoadedObserver, Reporter
from benchmark.engine.plan import Task, chunk_index, suites_of
from benchmark.engine.score_shards import Outcomes, RunReport, Status, owed_text
from benchmark.engine.scoring import Scorer, one_blas_thread
from benchmark.engine.stored_answers import PICTURES, canary_answers, changed_answers
from benchmark.errors import FAILURES, failure_line
from benchmark.identity import environment_record, observation_key
from benchmark.settings import Settings
from benchmark.store import Observation, Store
from registry.cards import ModelCard
from registry.code import Codes
from registry.determinism_checks import canaries_differ
from registry.files import digest_data
from registry.loading import load_observer
from registry.simulated import IdealObserver

CPU_BYTES = 4 * 2**30  # that a group of observers may take
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


def complete_observations(store: Store, observers: Iterable[str]) -> dict[str, str]:
    """Key -> canary answers, of the complete observations of observers."""
    rows = (row for name in observers for row in store.observations(observer=name))
    return {row.key: str(row.details.get("canary", "")) for row in rows if store.complete(row.key)}


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
    #: Observations that another leaderboard has complete, and that are not made again: key -> canary answers.
    known: Mapping[str, str] = field(default_factory=dict)
    #: Asked before anything is shown and whenever a chunk of all blocks is stored; True ends the run, without scores.
    enough: Callable[[Store], bool] | None = None
    decoders: int = field(default_factory=devices.cores)  # threads that decode and resize images


class _Enough(Exception):
    """The stored trials answer the question of the run."""


class RunReporter(Reporter, Protocol):
    """The loop's reporter, which also learns how much work an observer has left."""

    def expect(self, observer: str, trials: int, passes: float) -> None:
        """`observer` still owes `trials` answers, which cost about so many forward passes."""

    def done(self, observer: str) -> None:
        """`observer` has finished: its answers are stored or were enough, or it has failed."""


def execute(
    tasks: Sequence[Task], store: Store, settings: Settings, options: RunOptions, reporter: RunReporter
) -> RunReport:
    """Carry out a plan. Every failure becomes a row, and other work continues. The same call resumes an interrupted
    run."""
    limit_malloc()
    run = store.begin_run(options.command, environment_record(options.device, torch.get_num_threads()))
    loop = InferenceLoop(
        seed=options.policy.seed,
        device=options.device,
        reporter=reporter,
        cache=settings.decoded,
        decoders=options.decoders,
    )
    whole = _Run(
        store=store,
        run=run,
        settings=settings,
        options=options,
        reporter=reporter,
        outcomes=Outcomes(store=store, run=run),
        loop=loop,
        codes=loop.codes,
    )
    status = "interrupted"
    try:
        with numerics(options.policy), one_blas_thread():
            whole.all(tasks)
        status = whole.outcomes.report.status
    except _Enough:
        status = "enough"
    finally:
        store.end_run(run, status, options.part or options.note)
    return whole.outcomes.report


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """A task whose trials are stored, or whose observer failed. It does not hold the network, whose memory is free."""

    row: str
    failure: str
    task: Task
    observations: list[Observation]
    worked: bool


@dataclass(frozen=True, kw_only=True)
class _Run:
    store: Store
    run: str
    settings: Settings
    options: RunOptions
    reporter: RunReporter
    outcomes: Outcomes
    loop: InferenceLoop
    codes: Codes
    _planned: dict[tuple[str, int], list[Observation]] = field(default_factory=dict)
    _canary: dict[tuple[str, str], str] = field(default_factory=dict)

    def all(self, tasks: Sequence[Task]) -> None:
        """Load, show and store, and then score."""
        answered = [task for group in self._groups(tasks) for task in self._show(group)]
        self.outcomes.report.decoded = self.loop.decoded
        scorers = {
            suite.name: Scorer(store=self.store, run=self.run, suite=suite, codes=self.codes)
            for suite in suites_of(tasks)
        }
        for task in answered:
            self._finish(task, scorers[task.task.suite.name])
        for scorer in () if self.options.part else scorers.values():
            self.outcomes.score_imported(scorer)

    def _groups(self, tasks: Sequence[Task]) -> Iterator[list[LoadedObserver]]:
        """Yield the observers in groups whose weights fit in memory together, so that they share decoding."""
        budget = CPU_BYTES
        if self.options.device.startswith("cuda"):
            budget = int(torch.cuda.mem_get_info(self.options.device)[0] * GPU_SHARE)
        by_card: dict[str, list[Task]] = {}
        for task in tasks:
            by_card.setdefault(task.card.name, []).append(task)
        group: list[LoadedObserver] = []
        for name, own_tasks in by_card.items():
            observer = self._load(own_tasks[0].card, own_tasks)
            if observer is None:
                self.reporter.done(name)
                continue
            if group and sum(other.size for other in (*group, observer)) > budget:
                yield group
                group = []
            group.append(observer)
        if group:
            yield group

    def _load(self, card: ModelCard, tasks: Sequence[Task]) -> LoadedObserver | None:
        """Load an observer, not yet tuned. None if no task is left for it: failures and tasks that do not apply are
        recorded."""
        wanted = [task for task in tasks if task.plan.blocks]
        for task in tasks:
            if not task.plan.blocks:
                self.outcomes.record(None, task, "not applicable", task.reason)
        if not wanted:
            return None
        try:
            observer = load_observer(card, self.settings.place, device=self.options.device)
        except FAILURES as error:  # the boundary of one model's loading: recorded
            for task in wanted:
                self.outcomes.record(None, task, "failed", failure_line(error))
            return None
        described: dict[str, Any] = card.model_dump(mode="json")
        if isinstance(observer, IdealObserver):
            size = 0
            answering: TunedModel | IdealObserver = observer
        else:
            blind = [task for task in wanted if task.suite.needs == "gradients" and not observer.gradients]
            for task in blind:
                reason = f"no gradient reaches the input of an exported program such as {card.arch}"
                self.outcomes.record(None, task, "not applicable", reason)
            wanted = [task for task in wanted if task not in blind]
            if not wanted:
                return None
            weights = list(observer.module.parameters())
            described["parameters"] = sum(weight.numel() for weight in weights)
            # Twice, because the tuned form is kept beside the plain one.
            size = 2 * sum(weight.numel() * weight.element_size() for weight in weights)
            known = devices.remembered(card, self.options.device, self.settings.tuning)
            threads = known.threads if known else torch.get_num_threads()
            answering = TunedModel(model=observer, tuning=devices.Tuning(1, threads), run=observer.forward)
        kind: ObserverKind = "ideal" if card.source == "ideal" else "simulated" if card.simulated else "network"
        row = self.store.put_observer(Observer(name=card.name, kind=kind, identity=observer.identity, card=described))
        return LoadedObserver(name=card.name, observer=answering, row=row, size=size, tasks=wanted)

    def _show(self, group: Sequence[LoadedObserver]) -> list[_Answered]:
        """Make every missing observation of the group. Scores wait until all observers have answered, because some are
        scored against others."""
        jobs = [job for observer in group for task in observer.tasks for job in self._jobs(observer, task)]
        for observer in group:
            self._tune(observer, [job for job in jobs if job.loaded is observer])
        enough, before, worked = self.options.enough, None, {job.key for job in jobs}
        if not enough:
            self._begin(group, worked)
        for job in jobs:  # a resumed run settles a block where an uninterrupted one would have
            self._settle(job, min(job.chunks))
        if enough and jobs and enough(self.store):
            raise _Enough
        for asked, chunk, answers in self.loop.show(jobs):
            self.store.put_chunks(self.run, answers)
            for job in asked:  # the chunks of a block that may be settled come in their order
                self._settle(job, chunk + 1)
            if enough and before not in (None, chunk) and enough(self.store):
                raise _Enough
            before = chunk
        answered = []
        for observer in group:
            self.reporter.done(observer.name)
            network = observer.observer
            if isinstance(network, TunedModel) and (remark := getattr(network.model.module, "remark", "")):
                self.reporter.note(f"{observer.name}: {remark}")
            for task in observer.tasks:
                failure = observer.failure or observer.failures.get((task.suite.name, task.space), "")
                rows = self._observations(observer, task)
                answered.append(
                    _Answered(
                        row=observer.row,
                        failure=failure,
                        task=task,
                        observations=rows,
                        worked=any(row.key in worked for row in rows),
                    )
                )
        return answered

    def _settle(self, job: Job, chunks: int) -> None:
        """End a block whose first `chunks` chunks are enough for its suite. The rule is asked at every chunk at first,
        then after each eighth more: the looks depend on the chunk grid only, and any schedule of looks is valid."""
        rule = job.suite.stopping.settled
        if rule is None or chunks < 1 or chunks % max(1, chunks // 8) or job.over:
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
        if jobs and isinstance(model, TunedModel):
            try:
                setting = devices.Tuning(batch) if batch else devices.known_tuning(model.model, device, notes)
                if setting is None:
                    self.reporter.tuning(loaded.name)  # it takes seconds
                    setting = devices.tune(model.model, device, notes)
                compiled = self.options.policy.compile
                with devices.working_threads(setting.threads):
                    tuned = devices.feed(model.model, setting, device=device, compile_model=compiled)
                    loaded.observer, loaded.batch = tuned, setting.batch
                    require_sound(tuned, self.options.policy.precision)
            except FAILURES as error:  # the boundary of one model's work
                loaded.failure = failure_line(error)
        trials = [sum(len(chunk_index(job.block.stimuli, chunk)) for chunk in job.chunks) for job in jobs]
        passes = sum(n * job.suite.passes for n, job in zip(trials, jobs, strict=True))
        self.reporter.expect(loaded.name, sum(trials), passes)

    def _jobs(self, observer: LoadedObserver, task: Task) -> Iterator[Job]:
        observations = self._observations(observer, task)
        for i, block in task.shown.items():
            key = observations[i].key
            if key in self.options.known:
                continue
            there = self.store.chunks(key)
            chunks = task.chunks(i) - there
            if chunks and not self.store.complete(key):
                if not there:
                    self.store.put_stimuli(block.stimuli)
                    self.store.put_observation(self.run, observations[i])
                yield Job(loaded=observer, suite=task.suite, space=task.space, block=block, key=key, chunks=chunks)

    def _observations(self, observer: LoadedObserver, task: Task) -> list[Observation]:
        """Return what the task asks of the observer, one per block. Kept, because keys take time."""
        asked = (observer.row, id(task))
        if asked in self._planned:
            return self._planned[asked]
        policy, blocks, network = self.options.policy, task.plan.blocks, observer.observer
        details: dict[str, Any] = {"policy": policy.__dict__, "missing": dict(task.plan.missing)}
        if self.options.asked:
            details["asked"] = dict(self.options.asked)
        identity = network.model.identity if isinstance(network, TunedModel) else network.identity
        keys = [observation_key(identity, block, task.suite, policy, self.codes) for block in blocks]
        # A network that answers otherwise than is stored under its keys gets others, and so on until they are its own.
        while not self._gives_its_answers(observer, task, keys):
            keys = [digest_data([key, "answers otherwise"]) for key in keys]
        self._planned[asked] = [
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
                details=details | self._canaries(observer, key, block),
            )
            for block, key in zip(blocks, keys, strict=True)
        ]
        return self._planned[asked]

    def _gives_its_answers(self, observer: LoadedObserver, task: Task, keys: Sequence[str]) -> bool:
        """Whether the answers stored under the keys may be served and continued: the observer still gives them to a
        sample of the images. An endpoint is not asked again, because each request costs money."""
        network, known, precision = observer.observer, self.options.known, self.options.policy.precision
        if not isinstance(network, TunedModel) or network.model.card.source == "api":
            return True
        blocks = dict(zip(keys, task.plan.blocks, strict=True))
        wrong, shown = changed_answers(self.store, self.loop, task, observer, blocks, precision)
        said = f"{wrong} of {shown} images"
        for key in (key for key in keys if key in known and not shown):  # in another leaderboard
            now = self._canaries(observer, key, blocks[key]).get("canary", "")
            if now and known[key] and canaries_differ(known[key], now):
                wrong, said = PICTURES, f"{PICTURES} fixed images"
        if wrong:
            self.reporter.note(
                f"{observer.name}: answers {said} otherwise than when its trials of {task.suite.name} were stored (an "
                "environment variable, data, a patch or another version of a library): these are not used"
            )
        return not wrong

    def _canaries(self, observer: LoadedObserver, key: str, block: Block) -> dict[str, str]:
        """Return the canary answers to store with a new observation."""
        network, shown = observer.observer, (observer.row, block.presentation)
        if not isinstance(network, TunedModel) or network.model.card.source == "api" or self.store.chunks(key):
            return {}
        if shown not in self._canary:
            with devices.working_threads(network.tuning.threads):
                self._canary[shown] = canary_answers(network.model, block.presentation, self.options.device)
        return {"canary": self._canary[shown]} if self._canary[shown] else {}

    def _begin(self, group: Sequence[LoadedObserver], asked: Collection[str]) -> None:
        """Store, before any answer, which observations are scored together, even if another run makes some of them or
        this run is interrupted."""
        for observer in group:
            for task in observer.tasks:
                observations = self._observations(observer, task)
                if any(row.key in asked for row in observations):
                    names = observer.name, task.suite.name, task.space
                    owed = owed_text(observations, task.plan.missing)
                    self.store.put_outcome(self.run, observer.row, names, "partial", self.options.part or "begun", owed)

    def _finish(self, answered: _Answered, scorer: Scorer) -> None:
        """Score a task. A task of a shard is only noted as partial: other shards have the rest of its trials."""
        row, task, failure = answered.row, answered.task, answered.failure
        owed, part, fresh = owed_text(answered.observations, task.plan.missing), self.options.part, False
        if part and not failure:
            work = task.work
            self.outcomes.report.add(work, "partial" if answered.worked else "cached", part)
            self.store.put_outcome(self.run, row, work, "partial", part, owed)
            return
        if not failure:
            try:
                fresh = scorer.observer(answered.observations, task.plan.missing)
            except FAILURES as error:  # the boundary of one scoring: recorded
                failure = f"scoring failed: {failure_line(error)}"
        status: Status = "failed" if failure else "done" if fresh or answered.worked else "cached"
        # The same detail closes the outcome "partial" that `_begin` stored.
        self.outcomes.record(row, task, status, failure, "" if part else owed)
