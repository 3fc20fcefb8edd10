"""Evaluate a network while it trains: `Watch` for a loop, `LightningWatch` and `TrainerWatch` as callbacks.

Lightning and transformers are imported when their callback is first asked for."""

from typing import TYPE_CHECKING, Any

from gestaltbench.watch import Watch

if TYPE_CHECKING:
    from gestaltbench.lightning_watch import LightningWatch
    from gestaltbench.trainer_watch import TrainerWatch

__all__ = ["LightningWatch", "TrainerWatch", "Watch"]


def __getattr__(name: str) -> Any:
    if name == "LightningWatch":
        from gestaltbench.lightning_watch import LightningWatch

        return LightningWatch
    if name == "TrainerWatch":
        from gestaltbench.trainer_watch import TrainerWatch

        return TrainerWatch
    raise AttributeError(f"module 'gestaltbench.training' has no attribute '{name}'")
