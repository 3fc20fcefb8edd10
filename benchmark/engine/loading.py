"""Observers in memory: cards loaded in groups that fit the device, what cannot be loaded recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.contracts import Observer, ObserverKind
from benchmark.engine import tuning
from benchmark.engine.inference import Resident, failure_line
from benchmark.engine.outcomes import Outcomes
from benchmark.engine.planning import Task
from benchmark.errors import FAILURES
from benchmark.settings import Settings
from registry.cards import ModelCard
from registry.ideal import IdealObserver
from registry.load import load_observer
from registry.model import LoadedModel

CPU_BYTES = 4 * 2**30
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


@dataclass(frozen=True)
class Loaded:
    """An observer in memory with its row in the store and its tasks."""

    resident: Resident
    identity: str
    row: int
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Loader:
    """Loads what a run asks for onto its device; an observer that fails or suits no task is an outcome."""

    settings: Settings
    device: str
    outcomes: Outcomes

    def groups(self, tasks: Sequence[Task]) -> Iterator[list[Loaded]]:
        """Observers in groups whose weights fit in memory together, so that they share decoding."""
        group: list[Loaded] = []
        room = budget = _budget(self.device)
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
                device=self.device,
            )
        except FAILURES as error:  # the boundary of one model's loading: recorded
            for task in wanted:
                self.outcomes.record(None, task, "failed", failure_line(error))
            return None
        wanted = [task for task in wanted if not self._lacks_gradients(observer, task)]
        if not wanted:
            return None
        resident = Resident(
            card.name, observer if isinstance(observer, IdealObserver) else _unfed(observer)
        )
        row = self.outcomes.store.put_observer(
            Observer(card.name, _kind(card), observer.identity, _described(card, observer))
        )
        return Loaded(resident, observer.identity, row, tuple(wanted))

    def _does_not_apply(self, task: Task) -> bool:
        if task.plan.blocks:
            return False
        self.outcomes.record(None, task, "not applicable", task.reason)
        return True

    def _lacks_gradients(self, observer: LoadedModel | IdealObserver, task: Task) -> bool:
        if isinstance(observer, IdealObserver) or observer.gradients:
            return False
        if task.suite.needs != "gradients":
            return False
        reason = f"no gradient reaches the input of an exported program such as {task.card.arch}"
        self.outcomes.record(None, task, "not applicable", reason)
        return True


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


def _described(card: ModelCard, observer: LoadedModel | IdealObserver) -> dict[str, Any]:
    """The card as plain data, with the number of parameters where there are any."""
    plain: dict[str, Any] = card.model_dump(mode="json")
    if isinstance(observer, IdealObserver):
        return plain
    return plain | {"parameters": sum(one.numel() for one in observer.module.parameters())}
