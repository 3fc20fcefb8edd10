"""The fast gradient sign method (Goodfellow, Shlens & Szegedy 2015, section 4): one gradient, every epsilon.

Each epsilon is judged on its own, as published: FGSM is not monotone in epsilon.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.losses import cross_entropy, margin
from suites.adversarial.problem import Problem, checked, fallen, gradient_of


@dataclass(frozen=True)
class Slope:
    """Every image at rest. z: logits [n, c]; gradient: of the cross entropy, like the images; loss, margin: [n]
    (margin above 0: wrong)."""

    z: Tensor
    gradient: Tensor
    loss: Tensor
    margin: Tensor


def slope(problem: Problem) -> Slope:
    """One gradient pass per image. Raises ModelFailure on logits or gradients that are not finite."""
    parts = [_slope(problem, rows) for rows in _batches(problem)]
    return Slope(
        torch.cat([part.z for part in parts]),
        torch.cat([part.gradient for part in parts]),
        torch.cat([part.loss for part in parts]),
        torch.cat([part.margin for part in parts]),
    )


def fgsm(problem: Problem, gradient: Tensor, epsilons: tuple[float, ...]) -> NDArray[np.bool_]:
    """[n, epsilons]: the answer at x + epsilon sign(gradient), cut to the box, is wrong."""
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    sign = gradient.sign()
    for column, epsilon in enumerate(epsilons):
        for rows in _batches(problem):
            shifted = (problem.images[rows] + epsilon * sign[rows]).clamp(0.0, 1.0)
            with torch.no_grad():
                z = checked(problem.forward(shifted), "logits")
            broken[rows.cpu().numpy(), column] = fallen(problem, rows, shifted, z).cpu().numpy()
    return broken


def _batches(problem: Problem) -> tuple[Tensor, ...]:
    rows = torch.arange(len(problem.images), device=problem.images.device)
    return torch.split(rows, problem.batch)


def _slope(problem: Problem, rows: Tensor) -> Slope:
    y = problem.labels[rows]
    none = torch.full_like(y, -1)
    point = problem.images[rows].requires_grad_()
    z = checked(problem.forward(point), "logits")
    loss = cross_entropy(z, y, none)
    gradient = gradient_of(loss, point)
    still = z.detach()
    return Slope(still, gradient, loss.detach(), margin(still, y, none))
