"""Evaluate a network while it trains: `Watch` for a loop, `LightningWatch` and `TrainerWatch` as callbacks."""

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gestaltbench.watch import Watch


class _OfLightning:
    """Evaluate the module of a Lightning trainer before the first step, after the last, and at multiples of `every` or
    after each epoch. Parameters are those of `Watch`, without net and log: values go to the trainer's loggers.

        Trainer(callbacks=[LightningWatch(name="my-run", every=500, suites="cue-conflict", labels="imagenet1k")])
    """

    def __init__(self, **how: Any) -> None:
        self._watch = Watch(None, **how)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._watch.net = pl_module
        self._watch.log = lambda values, step: [each.log_metrics(values, step=step) for each in trainer.loggers]
        self._watch.evaluate(trainer.global_step)

    on_train_end = on_train_start

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._watch(trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._watch(trainer.global_step, ends_epoch=True)


class _OfTransformers:
    """Do the same with the model of a transformers trainer; values go through `trainer.log` to all that it reports to.

    trainer.add_callback(TrainerWatch(trainer, name="my-run", every=500, preprocess=processor))
    """

    def __init__(self, trainer: Any, **how: Any) -> None:
        self._watch = Watch(trainer.model, log=lambda values, _step: trainer.log(values), **how)

    def on_train_begin(self, _args: Any, state: Any, *_: Any, **_more: Any) -> None:
        self._watch.evaluate(state.global_step)

    on_train_end = on_train_begin

    def on_step_end(self, _args: Any, state: Any, *_: Any, **_more: Any) -> None:
        self._watch(state.global_step)

    def on_epoch_end(self, _args: Any, state: Any, *_: Any, **_more: Any) -> None:
        self._watch(state.global_step, ends_epoch=True)


@cache
def __getattr__(name: str) -> Any:
    """Return a callback as a class of its framework, which is imported when it is first asked for."""
    if name == "TrainerWatch":
        return type(name, (_OfTransformers, import_module("transformers").TrainerCallback), {"__module__": __name__})
    if name == "LightningWatch":  # of whichever of its two packages the training uses
        is_new = "lightning" in sys.modules or not find_spec("pytorch_lightning")
        package = import_module("lightning.pytorch" if is_new else "pytorch_lightning")
        return type(name, (_OfLightning, package.Callback), {"__module__": __name__})
    raise AttributeError(f"module 'gestaltbench.training' has no attribute '{name}'")
