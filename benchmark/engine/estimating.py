"""What a plan would cost, without loading a model: for `bench run --dry-run`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.engine.planning import Task
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


def estimates(tasks: Sequence[Task], settings: Settings, seed: int) -> Iterator[Estimate]:
    """One line per task. Speeds come from runs that the leaderboard remembers."""
    del seed
    store = _store(settings)
    try:
        for task in tasks:
            yield _estimate(task, settings, store)
    finally:
        if store is not None:
            store.close()


def _store(settings: Settings) -> Store | None:
    if "://" not in settings.db and not Path(settings.db).exists():
        return None
    return open_store(settings.db, write=False)


def _estimate(task: Task, settings: Settings, store: Store | None) -> Estimate:
    names = (task.card.name, task.suite.name, task.space)
    if not task.plan.blocks:
        return Estimate(*names, 0, "", f"not applicable: {task.reason}", 0.0)
    there = availability(task.card, settings.weights)
    cached = _cached(task, store) if store else 0
    if not there.on_disk:
        return Estimate(*names, task.trials, str(cached), there.note, 0.0)
    return Estimate(
        *names, task.trials, str(cached), "stored" if cached >= task.trials else "to run", 0.0
    )


def _cached(task: Task, store: Store) -> int:
    """Trials of this card's name on the very same stimuli; the run itself compares weights and code as well."""
    try:
        found = store.observations(observer=task.card.name, suite=task.suite.name)
    except BenchError:
        return 0
    sizes = {o.stimuli: o.n for o in found if store.complete(o.key)}
    return sum(sizes.get(block.stimuli.digest, 0) for block in task.plan.blocks)
