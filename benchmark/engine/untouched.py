"""What an evaluation in the middle of a training leaves as it was. The network itself is copied (`registry.in_memory`);
this is the state of the process."""

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
    python, arrays, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    kind, threads = torch.get_default_dtype(), torch.get_num_threads()
    # Hooks of all modules: profilers and loggers of a training would see the copy's passes as the network's.
    every = [value for name, value in vars(hooked).items() if name.startswith("_global_") and isinstance(value, dict)]
    hooks = [dict(each) for each in every]
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            if torch.empty(0).device.type != "cpu":  # torch.set_default_device
                stack.enter_context(torch.device("cpu"))
            for device in {"cpu", *(["cuda"] if gpus else []), *(["mps"] if mps is not None else [])}:
                stack.enter_context(torch.autocast(device, enabled=False))
            torch.set_default_dtype(torch.float32)
            for each in every:
                each.clear()
            yield
    finally:
        for each, kept in zip(every, hooks, strict=True):
            each.update(kept)
        torch.set_default_dtype(kind)
        torch.set_num_threads(threads)
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
        if mps is not None:
            torch.mps.set_rng_state(mps)
