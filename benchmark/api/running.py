"""Plan and run suites on models."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
from benchmark.api.options import Db, Limit, Names, Option, Precision, Seed, SuiteNames, Target, command_line, joined
from benchmark.contracts import Policy
from benchmark.engine import tasks as planning
from benchmark.engine.reporters import Reporter
from benchmark.engine.score_shards import RunReport
from benchmark.failures import BenchError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry, missing_set, stimuli_folder
from benchmark.store import Store, open_store, require_usable
from benchmark.store.versions import is_there
from benchmark.variables import set_defaults
from registry.cards import ModelCard, read_cards, select_cards
from registry.files import digest_data

if TYPE_CHECKING:
    from benchmark.engine.costs import CostEstimate
    from benchmark.store.rows import Work
    from registry.model import LoadedModel


#: Models of `bench run` without --model: all that need no download.
DEFAULT_MODELS = "bundled"


@dataclass(frozen=True)
class RunRequest:
    """Run suites on models, store every trial and score it; stored trials are not computed again.

    Without a model, everything runs that needs no download (the built-in world's networks and observers, weights of
    installed packages). A limit changes what is scored; shards are scored when they are merged."""

    models: Annotated[Names, Option("Run these names or globs.", "--model", "-m", metavar="PATTERN")] = DEFAULT_MODELS
    suites: SuiteNames = "all"
    _: KW_ONLY
    limit: Limit = None
    device: Annotated[str, Option("Use auto, cpu, cuda, cuda:1, mps, or several: cuda:all, cuda:0,cuda:2.")] = "auto"
    precision: Precision = "fp32"
    batch: Annotated[int | None, Option("Use batches of this size.", "--batch-size", least=1, most=9_999_999)] = None
    decoders: Annotated[int | None, Option("Decode with this many threads (one per core).", least=1, most=999)] = None
    compile: Annotated[bool, Option("Apply torch.compile to the networks.")] = False
    seed: Seed = 0
    precision_target: Target = None
    stimuli: Annotated[Names, Option("Use these sets first in their roles.", metavar="SET")] = ""
    shard: Annotated[str | None, Option("Run part I of N; `bench db merge` scores it.", metavar="I/N")] = None
    executor: Annotated[str, Option("Run on this machine or on a Ray cluster.", metavar="local|ray")] = "local"
    address: Annotated[str | None, Option("Join the Ray cluster at this address (default: this machine).")] = None
    gpus_per_task: Annotated[float, Option("Give a Ray task this share of a GPU (0.5: half).", above=0, most=65)] = 1.0
    db: Db = None
    reporter: Reporter | None = None


def wanted_sets(names: str, settings: Settings) -> list[Entry]:
    """Return the sets of a comma list. Raise UnknownName with close matches, MissingStimuli for a set not on disk."""
    entries = [find_entry(part.strip(), settings) for part in names.split(",") if part.strip()]
    for entry in entries:
        if stimuli_folder(entry, settings) is None:
            raise missing_set(entry)
    return entries


def choose_cards(pattern: str, settings: Settings) -> list[ModelCard]:
    """Return cards by name, glob or comma list. "bundled" (the default) means every card whose weights are on disk
    through gestaltbench or an installed package. It includes gestaltbench's untrained networks and ideal observers.
    Networks that differ only in their seed appear once, with the first seed."""
    from registry.download import missing_weights

    cards = read_cards(settings.cards)
    if pattern != DEFAULT_MODELS:
        return select_cards(pattern, cards)
    first: dict[tuple[Any, ...], ModelCard] = {}
    for card in cards.values():
        weights = card.weights or ""
        untrained = weights.startswith("random:") and card.arch.startswith("python:registry.")
        is_bundled = card.source in ("ideal", "package") or weights.startswith("builtin:") or untrained
        if is_bundled and not missing_weights(card, settings.place):
            own_name = card.name if card.simulated or card.source == "ideal" else ""
            first.setdefault((card.arch, card.training, own_name), card)
    return list(first.values())


#: Estimated seconds that are worth a second process: for each suite it imports torch again, and estimates are high.
LONG_ENOUGH = 60.0
NO_SUITES = plugins.SuiteShelf({}, {})


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A plan, to be shown (dry run) or carried out."""

    settings: Settings
    request: RunRequest
    cards: tuple[ModelCard, ...]
    tasks: Sequence[planning.Task] = ()  # none, and no suites, before it is `planned`
    suites: plugins.SuiteShelf = NO_SUITES
    only: tuple[str, ...] = ()  # names of the planned suites to run; (): all
    part: str = ""  # name of the shard
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)  # networks in memory, by name
    enough: Callable[[Store, Mapping[Work, Sequence[str]]], Collection[Work]] | None = None  # as in `RunOptions`

    def planned(self) -> RunPlan:
        """Return the plan with a task for every card and suite."""
        request, pattern = self.request, joined(self.request.suites)
        shelf = plugins.find_suites(pattern)
        suites = plugins.requested_suites(pattern, request.precision_target, shelf)
        suites = [suite for suite in suites if suite.name in self.only or not self.only]
        stimuli = [entry.name for entry in wanted_sets(joined(request.stimuli), self.settings)]
        tasks = planning.plan_tasks(self.cards, suites, self.settings, request.limit, stimuli)
        return replace(self, tasks=tasks, suites=shelf)

    def on_all_cores(self) -> RunPlan:
        """Return the plan for two processes if the device is "auto", the CPU has several cores and the work is long."""
        # An endpoint's cap on requests holds for one process. Only commands call this: scripts would run in each.
        from benchmark.engine.device_choice import cores

        request = self.request
        able = request.device == "auto" and not self.part and cores() > 1 and devices_and_policy(request)[0] == ("cpu",)
        if able and all(card.source != "api" for card in self.cards) and estimates(self, least=LONG_ENOUGH):
            return replace(self, request=replace(request, device="cpu,cpu"))
        return self

    def steps(self) -> list[RunPlan]:
        """Return the suites one by one; the whole plan on a cluster, as a shard, or if shards are lacking."""
        if self.part or self.request.executor == "ray":
            return [self]
        if is_there(self.settings.db):
            with open_store(self.settings.db, write=False) as store:
                if _lacks_parts(store):
                    return [self]
        return self.by_suite()

    def by_suite(self) -> list[RunPlan]:
        """Return the plan suite by suite, the cheapest first."""
        costs = self.passes("suite.name")
        return [
            replace(self, tasks=[task for task in self.tasks if task.suite.name == suite], only=(suite,))
            for suite in sorted(costs, key=lambda name: (costs[name], name))
        ]

    def passes(self, of: str) -> dict[str, float]:
        """Return the forward passes of each "suite.name" or "card.name" if nothing is stored."""
        passes = defaultdict[str, float](float)
        for task in self.tasks:
            passes[attrgetter(of)(task)] += task.passes
        return passes


Agreed = Callable[[RunPlan], bool]  # asks the user whether to start


def prepare(request: RunRequest, settings: Settings, loaded: Sequence[LoadedModel] = ()) -> RunPlan:
    """Turn names into cards, suites and tasks. loaded: networks in memory. Raise UnknownName, BenchError."""
    shard = planning.parse_shard(request.shard) if request.shard is not None else None
    on_ray, device = request.executor == "ray", request.device
    if request.executor not in ("local", "ray"):
        raise BenchError(f"--executor must be local or ray, not '{request.executor}'.")
    if request.limit is not None and request.limit < 1:
        raise BenchError(f"--limit must be at least 1, not {request.limit}.")
    if on_ray and device not in ("auto", "cpu", "cuda"):
        raise BenchError(f"each Ray task has its own device: --device must be auto, cpu or cuda, not '{device}'.")
    if request.shard and (on_ray or device == "cuda:all" or "," in device):
        raise BenchError(f"--shard {request.shard} runs on one device: give each one (--device cuda:0 --shard 1/8).")
    if not on_ray and (request.address is not None or request.gpus_per_task != 1):
        raise BenchError("--address and --gpus-per-task need --executor ray.")
    held = {each.card.name: each for each in loaded}
    cards = tuple([each.card for each in loaded] or choose_cards(joined(request.models), settings))
    prepared = RunPlan(settings=settings, request=request, cards=cards, loaded=held).planned()
    shown = {block.stimuli.name for task in prepared.tasks for block in task.plan.blocks}
    for entry in wanted_sets(joined(request.stimuli), settings):
        if entry.name not in shown:
            what = f"the stimulus set '{entry.name}' (role '{entry.role}', space '{entry.space}')"
            raise BenchError(f"{what} is not used by these suites for these models.")
    return cut_plan(prepared, devices_and_policy(request)[1], shard[1])[shard[0] - 1] if shard else prepared


def array_script(request: RunRequest, db: str, tasks: int) -> str:
    """Return a bash script that submits a plan to Slurm as an array of shards, then a job that merges and scores. Each
    shard starts its own leaderboard with the trials of `db`; a server's leaderboard is shared."""
    from benchmark import templates
    from benchmark.store.location import parse_location

    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(f"each shard has its own device: --device must be auto, cpu or cuda, not '{request.device}'.")
    device = "cpu" if request.device == "cpu" else "cuda"  # never the CPU by accident
    listed = {name: joined(getattr(request, name)) for name in ("models", "suites", "stimuli")}
    asked = {**vars(request), **listed, "device": device, "db": None, "reporter": None}
    words = command_line(RunRequest, "bench run", **asked)
    path, folder = parse_location(db).path, ""
    if path is not None:
        db = str(path.absolute())
        folder = f"{db}-shards-{digest_data([words, tasks])[:8]}"
    script = Path(templates.__file__).with_name("slurm.sh" if folder else "slurm_server.sh").read_text(encoding="utf-8")
    places = {"leaderboard": shlex.quote(db), "folder": shlex.quote(folder)}
    return script.format(tasks=tasks, run=words, gpus="" if device == "cpu" else " --gpus=1", **places)


def require_possible(request: RunRequest, settings: Settings) -> None:
    """Raise as a run would for suites, device, precision or leaderboard, before models are registered or awaited."""
    shelf = plugins.find_suites(joined(request.suites))
    plugins.requested_suites(joined(request.suites), request.precision_target, shelf)
    wanted_sets(joined(request.stimuli), settings)
    devices_and_policy(request)
    require_usable(settings.db)


def cut_plan(prepared: RunPlan, policy: Policy, n: int) -> list[RunPlan]:
    """Cut a plan into shards of about equal cost, each with its name."""
    from benchmark.engine.costs import operations

    cost = operations(prepared.tasks)
    plan = planning.plan_digest(prepared.tasks, policy, cost)
    return [
        replace(prepared, tasks=tasks, part=planning.part_name(index, n, plan))
        for index, tasks in enumerate(planning.cut_shards(prepared.tasks, n, cost), 1)
    ]


def _lacks_parts(store: Store) -> bool:
    ended = planning.ended_parts(store.run_notes())
    return bool(planning.lacking_parts(ended, ended))


def run_here(plan: RunPlan, reporter: Reporter, command: str = "bench run", known: Collection[str] = ()) -> RunReport:
    """Carry out a plan or a shard here, on one device. known: keys of complete observations of another leaderboard."""
    from benchmark.engine.run import RunOptions, execute_tasks

    request = plan.request
    devices, policy = devices_and_policy(request)
    # Beside models, suites and policy, a command needs these to show the same stimuli again.
    asked = {"limit": request.limit, "stimuli": joined(request.stimuli), "batch": request.batch}
    with open_store(plan.settings.db) as store:
        # In a leaderboard that lacks parts of a plan, a whole run is noted as the one part of its own plan. Otherwise
        # the note is not needed, and it costs counting the operations of each architecture.
        is_note = not plan.part and _lacks_parts(store)
        options = RunOptions(
            device=devices[0],
            policy=policy,
            batch=request.batch,
            command=command,
            part=plan.part,
            note=cut_plan(plan, policy, 1)[0].part if is_note else "",
            asked={name: value for name, value in asked.items() if value},
            known=known,
            loaded=plan.loaded,
            enough=plan.enough,
        )
        if request.decoders:
            options = replace(options, decoders=request.decoders)
        if policy.device == "cuda":
            set_defaults("CUBLAS_WORKSPACE_CONFIG")
        return execute_tasks(plan.tasks, store, plan.settings, options, reporter)


@dataclass(frozen=True, kw_only=True)
class ShardWork:
    """One shard of a plan. Its process or machine plans again by names: suites and stimuli are not pickled."""

    plan: RunPlan  # without tasks
    shown: Mapping[Work, Mapping[int, frozenset[int]] | None]  # what the shard has of each task, as `Task.only`
    policy: Policy  # of the whole plan: a worker may know its device by another name
    digest: str  # of what these tasks ask
    command: str
    threads: int

    def carry_out(self, reporter: Reporter, known: Collection[str] = ()) -> RunReport:
        """Plan again and run. Raise BenchError if this machine makes another plan."""
        import torch

        torch.set_num_threads(self.threads)
        plan = self.plan.planned()
        tasks = [replace(task, only=self.shown[task.work]) for task in plan.tasks if task.work in self.shown]
        if (digest := planning.plan_digest(tasks, self.policy)) != self.digest:
            raise BenchError(f"{plan.part} has another plan there ({digest}): machines differ in folders or programs")
        return run_here(replace(plan, tasks=tasks), reporter, self.command, known)


Result = Callable[[], RunReport]


def estimates(prepared: RunPlan, *, least: float | None = None) -> list[CostEstimate]:
    """Estimate each task's cost and stored trials; [] for less than `least` seconds, and for a cluster."""
    from benchmark.engine import costs

    if least is not None and prepared.request.executor != "local":
        return []
    planned = [task for task in prepared.tasks if task.plan.blocks]
    devices, policy = devices_and_policy(prepared.request)
    return costs.cost_estimates(planned, prepared.settings, devices[0], policy, least or 0.0)


def devices_and_policy(request: RunRequest) -> tuple[tuple[str, ...], Policy]:
    """Return the devices, and how numbers are computed on them."""
    from benchmark.engine.device_choice import choose_devices, make_policy

    devices = choose_devices(request.device)
    policy = make_policy(devices[0], request.precision, compile_model=request.compile, seed=request.seed)
    return devices, policy
