"""What a plan would cost, without loading a model: for `bench run --dry-run`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.engine.planning import Task
from benchmark.engine.tuning import remembered_seconds
from benchmark.errors import BenchError
from benchmark.settings import Settings
from benchmark.store import Store, open_store
from registry.load import availability


@dataclass(frozen=True)
class Estimate:
    """One line of the dry run. cached: trials already stored; seconds: 0 where the speed is not known."""

    model: str
    suite: str
    space: str
    trials: int
    cached: str
    note: str
    seconds: float


def estimates(tasks: Sequence[Task], settings: Settings, device: str) -> Iterator[Estimate]:
    """One line per task that applies. Speeds are those that tuning measured on this device."""
    store = _store(settings)
    try:
        for task in tasks:
            yield _estimate(task, settings, store, device)
    finally:
        if store is not None:
            store.close()


def _store(settings: Settings) -> Store | None:
    if "://" not in settings.db and not Path(settings.db).exists():
        return None
    return open_store(settings.db, write=False)


def _estimate(task: Task, settings: Settings, store: Store | None, device: str) -> Estimate:
    names = (task.card.name, task.suite.name, task.space)
    there = availability(task.card, settings.weights)
    cached = _cached(task, store) if store else 0
    owed = task.trials - cached
    if owed <= 0:
        return Estimate(*names, task.trials, str(cached), "stored", 0.0)
    if not there.on_disk:
        return Estimate(*names, task.trials, str(cached), there.note, 0.0)
    if task.card.source == "ideal":
        return Estimate(*names, task.trials, str(cached), "< 1 s", 0.0)
    per_image = remembered_seconds(task.card, device, settings.tuning)
    if per_image is None:
        return Estimate(
            *names, task.trials, str(cached), "not timed yet: its first run tunes it", 0.0
        )
    seconds = per_image * task.suite.passes * owed
    return Estimate(*names, task.trials, str(cached), f"{seconds:.1f} s", seconds)


def _cached(task: Task, store: Store) -> int:
    """Trials of this card's name on the very same stimuli; the run itself compares weights and code as well."""
    try:
        found = store.observations(observer=task.card.name, suite=task.suite.name)
    except BenchError:
        return 0
    sizes = {o.stimuli: o.n for o in found if store.complete(o.key)}
    return sum(sizes.get(block.stimuli.digest, 0) for block in task.plan.blocks)
