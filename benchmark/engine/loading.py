"""Observers in memory: cards loaded in groups that fit the device, what cannot be loaded recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmark.contracts import Observer, ObserverKind
from benchmark.engine.executors import Facts, OneDevice
from benchmark.engine.jobs import Resident
from benchmark.engine.outcomes import Outcomes
from benchmark.engine.planning import Task
from benchmark.errors import FAILURES, failure_line
from registry.cards import ModelCard


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
