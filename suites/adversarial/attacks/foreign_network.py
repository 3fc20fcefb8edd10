"""What the attacks of other packages need of us: the network as they expect it, and randomness of their own.

The packages draw from one generator per batch, so an image's random start depends on which images are attacked with
it: batches hold `BATCH` images on every device, and every call begins from the same seed. A verdict can therefore
change where another image's does; it cannot change with the device's own batch size.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import PluginError
from suites.adversarial.attacks.problem import Problem

BATCH = 32
SEED = 0


class Network(nn.Module):
    """The attacked network as the packages expect it: plain contiguous images in, gradients of the same layout out.
    passes, forwards: how many images it was shown with and without a gradient."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        self.passes = 0
        self.forwards = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, all finite: NaN and infinity are zero, and what they say of an image is judged afterwards."""
        if torch.is_grad_enabled() and images.requires_grad:
            self.passes += len(images)
            apply: Any = _Contiguous.apply
            return self.problem.forward(apply(images)).nan_to_num(0.0, 0.0, 0.0)
        self.forwards += len(images)
        with torch.no_grad():
            return self.problem.forward(images).nan_to_num(0.0, 0.0, 0.0)


class _Contiguous(torch.autograd.Function):
    """The identity, whose gradient is contiguous: packages call `view` on it."""

    @staticmethod
    def forward(_: Any, images: Tensor) -> Tensor:
        return images.view_as(images)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def installed(module: str, extra: str) -> ModuleType:
    """An optional package, imported. Raises PluginError that names the extra."""
    try:
        return import_module(module)
    except ImportError as error:
        raise PluginError(
            f"this attack needs the package '{module}', which is not installed: pip install 'gestaltbench[{extra}]'"
        ) from error


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """The global generators of torch, NumPy and Python from a fixed seed, and put back afterwards."""
    numbers, plain = np.random.get_state(), random.getstate()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(SEED)
        np.random.seed(SEED)
        random.seed(SEED)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(plain)
