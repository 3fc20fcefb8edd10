"""The fast gradient sign method (Goodfellow, Shlens & Szegedy 2015, section 4): one gradient, every epsilon.

Each epsilon is judged on its own, as published: FGSM is not monotone in epsilon.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.losses import cross_entropy, margin
from suites.adversarial.attacks.problem import Problem, fallen, gradient_of, lost, not_finite


@dataclass(frozen=True)
class Slope:
    """Every image at rest. z: logits [n, c]; gradient: of the cross entropy, like the images; loss, margin: [n]
    (margin above 0: wrong). failed: [n], logits or gradient are NaN or infinite; the gradient is zero then."""

    z: Tensor
    gradient: Tensor
    loss: Tensor
    margin: Tensor
    failed: Tensor


def slope(problem: Problem) -> Slope:
    """One gradient pass per image."""
    parts = [_slope(problem, part) for part in _batches(problem)]
    return Slope(
        torch.cat([part.z for part in parts]),
        torch.cat([part.gradient for part in parts]),
        torch.cat([part.loss for part in parts]),
        torch.cat([part.margin for part in parts]),
        torch.cat([part.failed for part in parts]),
    )


def fgsm(problem: Problem, gradient: Tensor, epsilons: tuple[float, ...]) -> NDArray[np.bool_]:
    """[n, epsilons]: the answer at x + epsilon sign(gradient), cut to the box, is wrong."""
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for part in _batches(problem):
        images, sign = problem.images[part], gradient[part].sign()
        for column, epsilon in enumerate(epsilons):
            shifted = torch.add(images, sign, alpha=epsilon).clamp_(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(shifted)
            broken[part, column] = fallen(problem, part, shifted, z).cpu().numpy()
    return broken


def _batches(problem: Problem) -> Iterator[slice]:
    return (slice(i, i + problem.batch) for i in range(0, len(problem.images), problem.batch))


def _slope(problem: Problem, part: slice) -> Slope:
    y = problem.labels[part]
    none = torch.full_like(y, -1)
    point = problem.images[part].detach().requires_grad_()
    z = problem.forward(point)
    loss = cross_entropy(z, y, none)
    gradient = gradient_of(loss, point)
    still = z.detach()
    failed = lost(problem, part, gradient) | not_finite(still)
    gradient[failed] = 0.0
    return Slope(still, gradient, loss.detach(), margin(still, y, none), failed)
