"""The callback of Lightning, from whichever of its two packages the training uses."""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gestaltbench.watch import Watch

_PACKAGES = ("pytorch_lightning", "lightning.pytorch")
_HERE = [name for name in _PACKAGES if name in sys.modules] or [n for n in _PACKAGES if find_spec(n.partition(".")[0])]
Callback: Any = import_module((_HERE or _PACKAGES)[-1]).Callback


class LightningWatch(Callback):  # type: ignore[misc]
    """Evaluate the module of a Lightning trainer, at multiples of `every` optimiser steps or after each epoch.

        Trainer(callbacks=[LightningWatch(name="my-run", every=500, suites="cue-conflict", labels="imagenet1k")])

    Parameters are those of `Watch`, without net and log: values go to all loggers of the trainer."""

    def __init__(self, *, every: int | None = None, **how: Any) -> None:
        self._watch = Watch(None, every=every, log=self._write, **how)
        self._trainer: Any = None

    def _write(self, values: Mapping[str, float], step: int) -> None:
        for logger in self._trainer.loggers:
            logger.log_metrics(values, step=step)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Evaluate the network before its first step."""
        self._trainer, self._watch.net = trainer, pl_module
        self._watch.evaluate(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Evaluate it after every n-th step."""
        self._watch(trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Evaluate it after each epoch if no steps are given."""
        if self._watch.every is None:
            self._watch.evaluate(trainer.global_step)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Evaluate it after its last step."""
        self._watch.evaluate(trainer.global_step)
