"""Run suites on models: a request, its plan, what it would cost, and carrying it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import plugins
from benchmark.api.requested_names import DEFAULT_MODELS, choose_cards, wanted_sets
from benchmark.api.workers import Recipe, local_workers, ray_workers
from benchmark.errors import BenchError
from benchmark.plugins import SuiteShelf
from benchmark.settings import Settings

if TYPE_CHECKING:
    from benchmark.contracts import Policy
    from benchmark.engine.estimating import Estimate
    from benchmark.engine.outcomes import RunReport
    from benchmark.engine.planning import Task
    from benchmark.engine.running import RunReporter
    from benchmark.engine.sharding import Shard
    from benchmark.engine.workers.messages import Start
    from benchmark.store import Store


@dataclass(frozen=True)
class RunRequest:
    """What to run. models, suites: names, globs, comma lists; limit: stimuli per set; batch: None tunes it;
    precision_target: sample each condition only until its interval is at most +-so wide, where a suite can;
    stimuli: names of stimulus sets that play their roles before all others; shard: "2/3" runs the second of three
    parts of the plan, and scores nothing; executor: "local"; "ray", a cluster at `address` (None: of this machine);
    or "slurm", a job array (slurm: KEY=VALUE each); gpus_per_task: of each worker or task there.
    """

    models: str = DEFAULT_MODELS
    suites: str = "all"
    limit: int | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch: int | None = None
    compile: bool = False
    seed: int = 0
    precision_target: float | None = None
    stimuli: str = ""
    shard: str = ""
    executor: str = "local"
    address: str | None = None
    gpus_per_task: float = 1.0
    slurm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A plan that can be looked at (dry run) or carried out. recipe: makes the whole plan, here or in a worker;
    part: which part of it this is, in words.
    """

    tasks: list[Task]
    settings: Settings
    request: RunRequest
    suites: SuiteShelf
    recipe: Recipe
    part: str = ""


def prepare(request: RunRequest, settings: Settings) -> Prepared:
    """Names -> cards and suites -> tasks. Raises UnknownName with close matches, BenchError on an impossible part."""
    from benchmark.engine.sharding import parse_shard

    shard = parse_shard(request.shard) if request.shard else None
    _require_heard(request)
    shelf = plugins.find_suites(request.suites)
    if request.limit is not None and request.limit < 1:
        raise BenchError(f"--limit is a number of stimuli of at least 1, not {request.limit}.")
    cards = tuple(choose_cards(request.models, settings))
    wanted = wanted_sets(request.stimuli, settings)
    named = tuple(entry.name for entry in wanted)
    recipe = Recipe(cards, request.suites, request.precision_target, request.limit, named, settings)
    tasks = recipe()
    shown = {block.stimuli.name for task in tasks for block in task.plan.blocks}
    for entry in wanted:
        if entry.name not in shown:
            raise BenchError(
                f"the stimulus set '{entry.name}' (role '{entry.role}', space '{entry.space}') is not shown by any "
                "of these suites to any of these models."
            )
    tasks, part = _part(tasks, _how(request)[1], shard) if shard else (tasks, "")
    return Prepared(tasks, settings, request, shelf, recipe, part)


def _require_heard(request: RunRequest) -> None:
    """BenchError for what an executor would not hear."""
    if request.shard and request.executor == "slurm":
        raise BenchError("--executor slurm makes the shards itself: leave out --shard.")
    for option, given, executors in (
        ("--address", request.address is not None, ("ray",)),
        ("--slurm", bool(request.slurm), ("slurm",)),
        ("--gpus-per-task", request.gpus_per_task != 1, ("ray", "slurm")),
    ):
        if given and request.executor not in executors:
            raise BenchError(
                f"{option} is for --executor {' or '.join(executors)}, this run's is {request.executor}: leave "
                "it out, or name that executor."
            )


def require_possible(request: RunRequest, settings: Settings) -> None:
    """Raises as a run would for what no model decides (suites, device, precision, leaderboard): before models are
    registered for it, or waited for."""
    from benchmark.store import require_usable

    shelf = plugins.find_suites(request.suites)
    plugins.requested_suites(request.suites, request.precision_target, shelf)
    wanted_sets(request.stimuli, settings)
    _how(request)
    require_usable(settings.db)


def _part(tasks: list[Task], policy: Policy, shard: Shard) -> tuple[list[Task], str]:
    """A part of a plan, and what it is called."""
    from benchmark.engine.sharding import part_name, plan_digest, split, stated_cost

    cost = stated_cost(tasks)
    plan = plan_digest(tasks, policy, cost)
    return split(tasks, shard.of, cost)[shard.index - 1], part_name(shard, plan)


def _note(prepared: Prepared, policy: Policy, store: Store) -> str:
    """What a whole run is called in a leaderboard that lacks parts of a plan: the one part of its own. Nobody asks
    otherwise, and the operations of each architecture would be counted."""
    from benchmark.engine.sharding import Shard, ended_parts, lacking_parts

    parts = ended_parts(store.run_notes())
    if prepared.part or not lacking_parts(parts, parts):
        return ""
    return _part(prepared.tasks, policy, Shard(1, 1))[1]


def execute(
    prepared: Prepared,
    reporter: RunReporter,
    command: str = "bench run",
    known: str | None = None,
    enough: Callable[[Store], bool] | None = None,
) -> RunReport:
    """Carry out a plan by this machine's devices or by Ray's. known: a leaderboard whose answers are not made again;
    enough: asked whenever a chunk of all blocks is stored, and where it says yes, the run ends there.
    """
    from benchmark.engine.running import RunOptions
    from benchmark.engine.running import execute as run_tasks
    from benchmark.store import open_store

    batch, part = prepared.request.batch, prepared.part
    with ExitStack() as stack:
        device, policy, workers = stack.enter_context(_workers(prepared))
        store = stack.enter_context(open_store(prepared.settings.db))
        there = known and ("://" in known or Path(known).exists())
        elsewhere = stack.enter_context(open_store(known, write=False)) if known and there else None
        note, asked = _note(prepared, policy, store), _asked(prepared.request)
        options = RunOptions(
            device, policy, batch, command, part, note, workers, asked, elsewhere, enough
        )
        return run_tasks(prepared.tasks, store, prepared.settings, options, reporter)


@contextmanager
def _workers(prepared: Prepared) -> Iterator[tuple[str, Policy, tuple[Start, ...]]]:
    """The device and how numbers are computed on it, and how each worker is started, if there are any."""
    request = prepared.request
    if request.executor == "ray":
        with ray_workers(
            prepared.recipe, request.device, request.address, request.gpus_per_task
        ) as ray:
            policy = _policy(request, ray.device)
            yield ray.device, policy, ray.starts(policy)
        return
    devices, policy = _how(request)
    yield devices[0], policy, local_workers(prepared.recipe, devices, policy)


def _asked(request: RunRequest) -> dict[str, Any]:
    """What a command needs beside models, suites and policy to show the same again."""
    asked = {"limit": request.limit, "stimuli": request.stimuli, "batch": request.batch}
    return {name: value for name, value in asked.items() if value}


def estimates(prepared: Prepared) -> list[Estimate]:
    """What a plan would cost, and what of it is stored: one line per task that applies. Runs nothing."""
    from benchmark.engine import estimating

    planned = [task for task in prepared.tasks if task.plan.blocks]
    devices, policy = _how(prepared.request)
    return list(estimating.estimates(planned, prepared.settings, devices[0], policy))


def long_plan(prepared: Prepared, begins: Callable[[str], None]) -> list[Estimate]:
    """The estimates of a plan that takes more than some minutes, [] of any other; `begins` is told each network whose
    speed has to be measured for it. What a cluster takes is not known here: []."""
    from benchmark.engine import estimating

    if prepared.request.executor != "local":
        return []
    planned = [task for task in prepared.tasks if task.plan.blocks]
    devices, policy = _how(prepared.request)
    return estimating.long_plan(planned, prepared.settings, devices[0], policy, begins)


def planned_passes(prepared: Prepared) -> dict[str, float]:
    """Model -> forward passes that its part of the plan costs, with nothing stored."""
    from benchmark.engine.estimating import passes_of

    found: dict[str, float] = {}
    for task in prepared.tasks:
        found[task.card.name] = found.get(task.card.name, 0.0) + passes_of(task)
    return found


def _how(request: RunRequest) -> tuple[tuple[str, ...], Policy]:
    """The devices, and how numbers are computed on them."""
    from benchmark.engine.device import choose_devices

    devices = choose_devices(request.device)
    return devices, _policy(request, devices[0])


def _policy(request: RunRequest, device: str) -> Policy:
    from benchmark.engine.device import make_policy

    return make_policy(device, request.precision, compile_model=request.compile, seed=request.seed)


class Silent:
    """A reporter that tells nothing."""

    def note(self, *_: object, **__: object) -> None:
        """Ignored."""

    tuning = expect = advance = work = done = note
