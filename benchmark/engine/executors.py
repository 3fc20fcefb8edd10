"""Where observers are loaded and shown: on one device of this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmark.contracts import Policy
from benchmark.engine import tuning
from benchmark.engine.inference import Made, Walk
from benchmark.engine.jobs import Job, Resident
from benchmark.engine.sound import require_sound
from benchmark.settings import Settings
from registry.cards import ModelCard
from registry.loading import load_observer
from registry.model import LoadedModel
from registry.simulated import IdealObserver

CPU_BYTES = 4 * 2**30
GPU_SHARE = 0.4  # of the free memory; the rest is for activations


@dataclass(frozen=True)
class Facts:
    """What a run must know of an observer in memory. described: its card as plain data; gradients: whether one
    reaches its input; size: bytes that it takes.
    """

    identity: str
    described: dict[str, Any]
    gradients: bool
    size: int


@dataclass
class OneDevice:
    """Everything in this process, on one device as torch names it ("cuda:1")."""

    settings: Settings
    device: str
    policy: Policy
    walk: Walk
    budget: int = field(init=False)

    def __post_init__(self) -> None:
        self.budget = memory_for_weights(self.device)

    @property
    def decoded(self) -> int:
        """How many images were decoded."""
        return self.walk.decoded

    def load(self, card: ModelCard) -> tuple[Resident, Facts]:
        """The observer on this device, not yet tuned."""
        observer = load_observer(card, self.settings.place, device=self.device)
        facts = Facts(
            observer.identity,
            _described(card, observer),
            isinstance(observer, IdealObserver) or observer.gradients,
            _bytes(observer),
        )
        loaded = observer if isinstance(observer, IdealObserver) else _unfed(observer)
        return Resident(card.name, loaded), facts

    def tune(self, resident: Resident, batch: int | None) -> None:
        """Bring a network into the form in which it is fed. batch: as the user gave it; None measures it.

        Raises Unsound where its answers depend on more than the image, and what its code raises.
        """
        if isinstance(resident.observer, IdealObserver):
            return
        model, notes, reporter = resident.observer.model, self.settings.tuning, self.walk.reporter
        setting = (
            tuning.stated(batch)
            if batch
            else tuning.tune(model, self.device, notes, lambda: reporter.tuning(resident.name))
        )
        resident.observer = tuning.feed(
            model, setting, device=self.device, compile_model=self.policy.compile
        )
        resident.batch = setting.batch
        require_sound(resident.observer, self.policy.precision)

    def show(self, jobs: Sequence[Job]) -> Iterable[Made]:
        """The walk over the jobs' blocks."""
        return self.walk.show(jobs)


def memory_for_weights(device: str) -> int:
    """Bytes that a group of observers may take on a device."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0] * GPU_SHARE)
    return CPU_BYTES


def _unfed(model: LoadedModel) -> tuning.TunedModel:
    return tuning.TunedModel(model, tuning.stated(1), model.forward)


def _bytes(observer: LoadedModel | IdealObserver) -> int:
    """Bytes of weights, twice: the tuned form is kept beside the plain one."""
    if isinstance(observer, IdealObserver):
        return 0
    return 2 * sum(p.numel() * p.element_size() for p in observer.module.parameters())


def _described(card: ModelCard, observer: LoadedModel | IdealObserver) -> dict[str, Any]:
    """The card as plain data, with the number of parameters where there are any."""
    plain: dict[str, Any] = card.model_dump(mode="json")
    if isinstance(observer, IdealObserver):
        return plain
    return plain | {"parameters": sum(one.numel() for one in observer.module.parameters())}
