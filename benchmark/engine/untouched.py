"""The state of a process that an evaluation in the middle of a training leaves as it was."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch.nn.modules import module as hooked


@contextmanager
def training_untouched() -> Iterator[None]:
    """Compute within the block as in a fresh process: float32, gradients on, no autocast, no hooks on every module.
    Afterwards all of that and every generator of random numbers (Python, NumPy, torch on each device) is as it was."""
    gpus, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.enter_context(torch.random.fork_rng(range(gpus)))
        if mps:
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        # Hooks of all modules: profilers and loggers of a training would see the copy's passes as the network's.
        for name, hooks in vars(hooked).items():
            if name.startswith("_global_") and isinstance(hooks, dict):
                stack.callback(hooks.update, dict(hooks))
                hooks.clear()
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        if torch.empty(0).device.type != "cpu":  # torch.set_default_device
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", *["cuda"] * bool(gpus), *["mps"] * mps):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield
