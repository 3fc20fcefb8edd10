"""An attack that another package adds, one device batch at a time; what it returns is checked before it is judged."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import PluginError, foreign_code
from suites.adversarial.added import Attack
from suites.adversarial.attacks.foreign_network import Network, own_randomness
from suites.adversarial.attacks.norms import geometry

ROUNDING = 1.2e-7  # what a float32 pixel of at most 1 may be off by
ROOM = 1 + 1e-4  # over epsilon: what a float32 sum over many entries may be off by


def points(
    attack: Attack,
    network: Network,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    seeds: NDArray[np.uint64],
) -> Tensor:
    """The perturbed images, like `images`. Raises PluginError that names the attack where it fails, or gives another
    shape, NaN, or points outside the ball or [0,1]."""
    parts = [
        _points(attack, network, images[part], labels[part], epsilon, seeds[part])
        for part in (
            slice(start, start + network.problem.batch)
            for start in range(0, len(images), network.problem.batch)
        )
    ]
    return torch.cat(parts)


def _points(
    attack: Attack,
    network: Network,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    seeds: NDArray[np.uint64],
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
        return (
            f"a perturbation of {attack.norm} norm {size:.4g}, beyond the budget of {epsilon:.4g}"
        )
    return ""
