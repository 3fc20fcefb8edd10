"""Every checkpoint of a training run as one family: registered, run under the cheapest suites first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.checkpoint_cards import registered, require_own_run
from benchmark.api.parallel import execute
from benchmark.api.running import Prepared, prepare, require_possible
from benchmark.api.training_run import Say, Sweep, Swept
from benchmark.errors import BenchError
from benchmark.settings import Settings

if TYPE_CHECKING:
    from benchmark.engine.run import RunReporter
    from registry.cards import ModelCard
    from registry.training_runs import Placed


def sweep(
    wanted: Sweep,
    settings: Settings,
    reporter: RunReporter,
    *,
    say: Say = lambda _line: None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
    command: str = "bench sweep",
) -> Swept | None:
    """Register and run the checkpoints that are there; None where `agreed` says no. Doing it twice computes what is
    missing. BenchError: no such folder, no checkpoint, none that says a step."""
    from registry.training_runs import checkpoint_files, placed

    require_folder(wanted)
    require_own_run(wanted, settings)
    require_possible(wanted.request, settings)
    files = checkpoint_files(wanted.folder, wanted.pattern)
    if not files:
        like = f" like '{wanted.pattern}'" if wanted.pattern else ""
        raise BenchError(f"{wanted.folder} has no checkpoints{like}. --pattern '*.pt' says which.")
    found = placed(files, folder=wanted.folder)
    if not found.steps:
        path, why = next(iter(found.left_out.items()))
        raise BenchError(
            f"none of the {len(files)} files in {wanted.folder} can be put in order: {wanted.inside(path)}: {why}. "
            "Name them like step_1000.pt or epoch_3.pt."
        )
    done = Swept(wanted.run, found.unit)
    cards = list(registered(wanted, thinned(found, wanted.every), settings, done, say))
    return (
        done
        if run_cheapest_first(wanted, cards, settings, reporter, done, agreed, command)
        else None
    )


def require_folder(wanted: Sweep) -> None:
    """BenchError where the folder is none, or the pattern is no glob within it."""
    if not wanted.folder.is_dir():
        raise BenchError(f"{wanted.folder} is no folder: name the one that holds the checkpoints.")
    if Path(wanted.pattern).is_absolute() or ".." in Path(wanted.pattern).parts:
        raise BenchError(
            f"--pattern is a glob within the folder, such as '*.pt', not '{wanted.pattern}'."
        )


def thinned(found: Placed, every: int, *, last: bool = True) -> Placed:
    """Each n-th checkpoint, and the last one."""
    paths = list(found.steps)
    kept = dict.fromkeys([*paths[::every], *(paths[-1:] if last else [])])
    return replace(found, steps={path: found.steps[path] for path in paths if path in kept})


def run_cheapest_first(
    wanted: Sweep,
    cards: Sequence[ModelCard],
    settings: Settings,
    reporter: RunReporter,
    done: Swept,
    agreed: Callable[[Prepared], bool],
    command: str,
) -> bool:
    """All checkpoints under the suite that costs least, then under the next: curves of the cheap ones come first.
    False where `agreed` says no."""
    from benchmark.engine.estimating import passes_of

    if not cards:
        return True
    names = ",".join(card.name for card in cards)
    prepared = prepare(replace(wanted.request, models=names), settings)
    if not agreed(prepared):
        return False
    costs: dict[str, float] = {}
    for task in prepared.tasks:
        costs[task.suite.name] = costs.get(task.suite.name, 0.0) + passes_of(task)
    for suite in sorted(costs, key=lambda name: (costs[name], name)):
        tasks = [task for task in prepared.tasks if task.suite.name == suite]
        spec = replace(prepared.spec, only=(suite,))
        report = execute(replace(prepared, tasks=tasks, spec=spec), reporter, command)
        done.counts.update({str(status): n for status, n in report.counts.items()})
        done.failed |= report.failed
    return True
