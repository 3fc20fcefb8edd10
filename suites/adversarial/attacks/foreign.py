"""Attacks of other packages, judged here: what a package returns is brought into the ball and the box, and counts
where the network's answer at that point is wrong."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.added import ADDED
from suites.adversarial.attacks import autoattack, foreign_network
from suites.adversarial.attacks.foreign_network import Network, own_randomness
from suites.adversarial.attacks.problem import (
    Geometry,
    Outcome,
    Problem,
    cross_entropy,
    fallen,
    geometry,
    margin,
    unattacked,
)
from suites.adversarial.config import Library, NormName, PluggedIn


def foreign(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Library | PluggedIn) -> Outcome:
    """Attack every image of a problem, within epsilon [n], one for each, by an attack of another package.

    Gradient and plain passes are those of the whole call, shared out evenly. Raises PluginError where the package is
    not installed, has no such attack, or gives what is no perturbed image.
    """
    found = unattacked(len(problem.images))
    for bound in sorted(set(epsilon.tolist())):
        rows = (epsilon == bound).nonzero()[:, 0]
        network, at = Network(problem), rows.cpu().numpy()
        reached = _points(network, rows, norm, bound, recipe)
        _judge(problem, geometry(norm), at, reached.detach(), bound, found)
        found.passes[at] += _shared(network.passes, len(at))
        found.forwards[at] += _shared(network.forwards, len(at))
    return found


def _points(network: Network, rows: Tensor, norm: NormName, epsilon: float, recipe: Library | PluggedIn) -> Tensor:
    problem = network.problem
    images, labels = problem.images[rows].contiguous(), problem.labels[rows]
    if isinstance(recipe, PluggedIn):
        attack, seeds = ADDED.attacks[recipe.attack], problem.seeds[rows.cpu().numpy()]
        return foreign_network.points(attack, network, images, labels, epsilon, seeds)
    autoattack.check(recipe)
    with own_randomness(images.device):
        return autoattack.points(network, images, labels, norm, epsilon, recipe)


def _judge(
    problem: Problem, ball: Geometry, at: NDArray[np.int64], reached: Tensor, epsilon: float, found: Outcome
) -> None:
    """What the points are worth inside the ball and the box."""
    for part in np.array_split(np.arange(len(at)), range(problem.batch, len(at), problem.batch)):
        rows = at[part]
        origin, y = problem.images[rows], problem.labels[rows]
        bound = torch.full((len(rows),), epsilon, device=origin.device)
        delta = ball.project((reached[part] - origin).nan_to_num(0.0, 0.0, 0.0), bound)
        point = (origin + delta).clamp(0.0, 1.0)
        with torch.no_grad():
            z = problem.forward(point)
        none, fell = torch.full_like(y, -1), fallen(problem, rows, point, z).cpu().numpy()
        size = ball.size(point - origin).cpu().numpy()
        found.broken[rows] = fell
        found.size[rows] = np.where(fell, size, np.nan)
        found.loss[rows] = cross_entropy(z, y, none).cpu().numpy()
        found.margin[rows] = margin(z, y, none).cpu().numpy()
        found.forwards[rows] += 1


def _shared(total: int, count: int) -> NDArray[np.int64]:
    """A total shared out among images, the remainder to the first."""
    return np.full(count, total // count) + (np.arange(count) < total % count)
