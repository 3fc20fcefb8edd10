"""Perturbations made on other networks. What breaks an image without having seen its network needs no gradient of it,
so masked gradients do not stop it (Papernot et al. 2017)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import OtherNetwork
from benchmark.errors import BenchError
from suites.adversarial.attacks.problem import (
    Forward,
    Problem,
    batches,
    cross_entropy,
    fallen,
    gradient_of,
    per_category,
    wide,
)

STEPS = 10  # of momentum FGSM (Dong et al. 2018), all of them taken
SAME = 1e-3  # relative distance of logits below which two networks are one
KEPT = 1.0  # of the gradients before, in each step (the decay of momentum FGSM)


def transferred(
    problem: Problem, surrogates: list[Forward], epsilons: tuple[float, ...], z: Tensor
) -> tuple[NDArray[np.bool_], int]:
    """[n, epsilons]: broken by what was made on some other network within that Linf epsilon; and the forward passes of
    the attacked network that each image cost. surrogates: images at the attacked network's input -> logits [n,
    categories]; z: the attacked network's own at the images.

    Raises BenchError if none of them is another network: one that gives the attacked one's logits is that network, by
    whatever name."""
    some = slice(0, 8)
    with torch.no_grad():
        apart = [(run(problem.images[some]) - z[some]).abs().amax() for run in surrogates]
    others = [run for run, far in zip(surrogates, apart, strict=True) if not bool(far <= SAME * z[some].abs().amax())]
    if not others:
        raise BenchError(
            "no other network to make perturbations on: none of those named answers in this decision space, has its "
            "weights on disk and differs from the attacked one"
        )
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for rows in batches(problem):
        for run in others:
            for column, epsilon in enumerate(epsilons):
                for point in crafted(run, problem.images[rows], problem.labels[rows], epsilon):
                    with torch.no_grad():
                        answers = problem.forward(point)
                    broken[rows, column] |= fallen(problem, rows, point, answers)
    return broken, 2 * len(others) * len(epsilons)


def surrogate(network: OtherNetwork, space: str, categories: tuple[str, ...], device: str) -> Forward:
    """A network on a device, with one logit for each of the categories."""
    model = network.load(device)
    grouping = model.labels.grouping(space)
    outputs = dict(zip(grouping.categories, grouping.indices, strict=True))
    answers = per_category(tuple(outputs[name] for name in categories))
    return lambda images: answers(model.forward(model.fit(images)))


def crafted(forward: Forward, images: Tensor, labels: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Points within Linf epsilon of the images that raise another network's cross entropy: after one whole step
    (FGSM), and after `STEPS` steps of epsilon / STEPS along the signs of the summed gradients."""
    bound = torch.full((len(images),), epsilon, device=images.device)
    low, high = (images - wide(bound)).clamp_min(0.0), (images + wide(bound)).clamp_max(1.0)
    gathered, point, fast = torch.zeros_like(images), images, images
    for number in range(STEPS):
        at = point.detach().clone().requires_grad_()
        way = gradient_of(cross_entropy(forward(at), labels), at).nan_to_num(0.0, 0.0, 0.0)
        gathered = KEPT * gathered + way / wide(way.abs().flatten(1).sum(dim=1)).clamp_min(1e-12)
        if number == 0:
            fast = (images + epsilon * way.sign()).clamp(0.0, 1.0)
        point = (point + epsilon / STEPS * gathered.sign()).clamp(low, high)
    return fast, point
