"""Perturbations made on other networks. What breaks an image without having seen its network needs no gradient of it,
so masked gradients do not stop it (Papernot et al. 2017).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Network
from benchmark.errors import BenchError
from suites.adversarial.attacks.problem import Problem, cross_entropy, fallen, gradient_of, per_category, wide
from suites.adversarial.config import Transfer

SAME = 1e-3  # relative distance of logits below which two networks are one
KEPT = 1.0  # of the gradients before, in each step (the decay of momentum FGSM)


@dataclass(frozen=True)
class Surrogate:
    """Another network. forward: images at the attacked network's input [n, c, h, w] -> logits [n, categories]."""

    name: str
    forward: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Space:
    """A decision space, its categories in the attacked network's order, and the other networks that answer in it."""

    name: str
    categories: tuple[str, ...]
    networks: tuple[Network, ...]


def transferred(
    problem: Problem, transfer: Transfer, space: Space, epsilons: tuple[float, ...], z: Tensor
) -> tuple[NDArray[np.bool_], int]:
    """[n, epsilons]: broken by what was made on some other network within that Linf epsilon; and the forward passes of
    the attacked network that each image cost. z: its logits [n, categories] at the images.

    Raises BenchError where no network of `transfer` is another one with weights on disk.
    """
    others = [one for one in surrogates(space, str(problem.images.device)) if not _alike(one.forward, problem, z)]
    if not others:
        raise BenchError(
            f"no other network to make perturbations on: of {', '.join(transfer.networks)} none answers in "
            f"'{space.name}', has its weights on disk and differs from the attacked one"
        )
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for rows in torch.split(torch.arange(len(problem.images)), problem.batch):
        for one in others:
            for column, epsilon in enumerate(epsilons):
                broken[rows.numpy(), column] |= _judged(problem, one, rows, epsilon, transfer.steps)
    return broken, 2 * len(others) * len(epsilons)


def surrogates(space: Space, device: str) -> tuple[Surrogate, ...]:
    """The space's networks on a device, each with one logit per category."""
    return tuple(_loaded(network, space, device) for network in space.networks)


def crafted(
    forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, epsilon: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Points within Linf epsilon of the images that raise another network's cross entropy: after one whole step
    (FGSM), and after `steps` steps of epsilon / steps along the signs of the summed gradients."""
    bound = torch.full((len(images),), epsilon, device=images.device)
    low, high = (images - wide(bound)).clamp_min(0.0), (images + wide(bound)).clamp_max(1.0)
    gathered, point, fast = torch.zeros_like(images), images, images
    for number in range(steps):
        way = _slope(forward, point, labels)
        gathered = KEPT * gathered + way / wide(way.abs().flatten(1).sum(dim=1)).clamp_min(1e-12)
        if number == 0:
            fast = (images + epsilon * way.sign()).clamp(0.0, 1.0)
        point = (point + epsilon / steps * gathered.sign()).clamp(low, high)
    return fast, point


def _judged(problem: Problem, other: Surrogate, rows: Tensor, epsilon: float, steps: int) -> NDArray[np.bool_]:
    images, labels = problem.images[rows], problem.labels[rows]
    broken = torch.zeros_like(labels, dtype=torch.bool)
    for point in crafted(other.forward, images, labels, epsilon, steps):
        with torch.no_grad():
            z = problem.forward(point)
        broken |= fallen(problem, rows, point, z)
    return broken.cpu().numpy()


def _slope(forward: Callable[[Tensor], Tensor], point: Tensor, labels: Tensor) -> Tensor:
    at = point.detach().clone().requires_grad_()
    loss = cross_entropy(forward(at), labels, torch.full_like(labels, -1))
    return gradient_of(loss, at).nan_to_num(0.0, 0.0, 0.0)


def _alike(forward: Callable[[Tensor], Tensor], problem: Problem, z: Tensor) -> bool:
    """Whether a network gives the attacked one's logits: it is that network, by whatever name."""
    some = slice(0, min(8, len(z)))
    with torch.no_grad():
        apart = (forward(problem.images[some]) - z[some]).abs().amax()
    return bool(apart <= SAME * z[some].abs().amax())


def _loaded(network: Network, space: Space, device: str) -> Surrogate:
    model = network.load(device)
    grouping = model.labels.grouping(space.name)
    outputs = dict(zip(grouping.categories, grouping.indices, strict=True))
    answers = per_category(tuple(outputs[name] for name in space.categories))
    return Surrogate(network.name, lambda x: answers(model.forward(model.fit(x))))
