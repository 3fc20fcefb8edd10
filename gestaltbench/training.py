"""Evaluate a network while it trains: `Watch` for a loop, `LightningWatch` and `TrainerWatch` as callbacks.

Lightning and transformers are imported when their callback is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gestaltbench.watch import Watch

if TYPE_CHECKING:
    from gestaltbench.lightning_watch import LightningWatch
    from gestaltbench.trainer_watch import TrainerWatch

__all__ = ["LightningWatch", "TrainerWatch", "Watch"]


_MODULES = {"LightningWatch": "lightning_watch", "TrainerWatch": "trainer_watch"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'gestaltbench.training' has no attribute '{name}'")
    return getattr(import_module(f"gestaltbench.{_MODULES[name]}"), name)
