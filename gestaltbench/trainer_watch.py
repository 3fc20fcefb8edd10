"""The callback of transformers' Trainer."""

from typing import Any

from transformers import TrainerCallback

from gestaltbench.watch import Watch


class TrainerWatch(TrainerCallback):
    """Evaluate the model of a transformers trainer, at multiples of `every` optimiser steps or after each epoch.

        trainer.add_callback(TrainerWatch(trainer, name="my-run", every=500, preprocess=processor))

    Parameters are those of `Watch`, without net and log: values go through `trainer.log` to all that it reports to."""

    def __init__(self, trainer: Any, *, every: int | None = None, **how: Any) -> None:
        self._watch = Watch(trainer.model, every=every, log=lambda values, _step: trainer.log(values), **how)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Evaluate the network before its first step."""
        self._watch.evaluate(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Evaluate it after every n-th step."""
        self._watch(state.global_step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Evaluate it after each epoch if no steps are given."""
        if self._watch.every is None:
            self._watch.evaluate(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Evaluate it after its last step."""
        self._watch.evaluate(state.global_step)
