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
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import PluginError, foreign_code
from suites.adversarial.added import Attack
from suites.adversarial.attacks.problem import Problem, geometry

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


# An attack that another package adds, one device batch at a time; what it returns is checked before it is judged.


ROUNDING = 1.2e-7  # what a float32 pixel of at most 1 may be off by
ROOM = 1 + 1e-4  # over epsilon: what a float32 sum over many entries may be off by


def points(
    attack: Attack, network: Network, images: Tensor, labels: Tensor, epsilon: float, seeds: NDArray[np.uint64]
) -> Tensor:
    """The perturbed images, like `images`. Raises PluginError that names the attack where it fails, or gives another
    shape, NaN, or points outside the ball or [0,1]."""
    parts = [
        _points(attack, network, images[part], labels[part], epsilon, seeds[part])
        for part in (
            slice(start, start + network.problem.batch) for start in range(0, len(images), network.problem.batch)
        )
    ]
    return torch.cat(parts)


def _points(
    attack: Attack, network: Network, images: Tensor, labels: Tensor, epsilon: float, seeds: NDArray[np.uint64]
) -> Tensor:
    with foreign_code(f"the attack '{attack.title}'"), own_randomness(images.device):
        reached = attack.points(network, images.clone(), labels, epsilon, seeds)
    if fault := _fault(attack, images, reached, epsilon):
        raise PluginError(f"the attack '{attack.title}' gave {fault}.")
    moved: Tensor = reached.detach().to(images)
    return moved


def _fault(attack: Attack, images: Tensor, reached: object, epsilon: float) -> str:
    """What is wrong with the points; "" where nothing is."""
    if not isinstance(reached, Tensor):
        return f"a {type(reached).__name__}: expected a tensor of images"
    if reached.shape != images.shape or not reached.is_floating_point():
        return (
            f"{list(reached.shape)} of {reached.dtype} for images {list(images.shape)}: expected the same shape, "
            "floating point"
        )
    points = reached.detach().to(images)
    if not (float(points.amin()) >= 0 and float(points.amax()) <= 1):
        return "values outside [0, 1] or NaN"
    measure = geometry(attack.norm).size
    rounded = float(measure(torch.full_like(images[:1], ROUNDING)).max())
    size = float(measure(points - images).max())
    if size > epsilon * ROOM + rounded:
        return f"a perturbation of {attack.norm} norm {size:.4g}, beyond the budget of {epsilon:.4g}"
    return ""
