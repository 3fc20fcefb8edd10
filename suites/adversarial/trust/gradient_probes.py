"""Is the gradient the slope of what the network answers, and is the answer the image's own?

Attacks go where gradients point. A gradient that is blurred, thinned out, noisy or made up by a custom backward pass is
not zero, and the loss may rise along it, but slowly: the image seems robust. Central differences of the margin along
random directions show it, whatever the mask. An answer that depends on the other images of the batch (normalisation by
batch statistics) has no gradient of its own either.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.losses import at_class
from suites.adversarial.attacks.problem import gradient_of

Forward = Callable[[Tensor], Tensor]
ONE_IN = 4  # images that are asked, by their seeds
#: L2 norms of half the way between the two points of a difference. The first is far above what float32 rounds off, and
#: so short that networks hardly bend; the second is nearer to what attacks move, so that it shows ripples, whose own
#: slope is true and leads nowhere.
LENGTHS = (0.01, 0.2)
DIRECTIONS = 4
PROBES = 2 * DIRECTIONS * len(LENGTHS) + 4  # plain passes per image that is asked
#: Images are moved by up to so much first: some gradients hold at the images themselves and nowhere else.
SHIFT = 2 / 255
#: Differences below so many roundings of the largest logit say nothing.
ROUNDINGS = 64
SEED = 3_000_017


def probed(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n]: the images that are asked; whether one is does not depend on the others."""
    return np.asarray(seeds % np.uint64(ONE_IN) == 1)


def gradient_errors(
    forward: Forward, plain: Forward, images: Tensor, labels: Tensor, seeds: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """[n]: how far the slopes of the margin along random directions, as the gradient has them, are from differences of
    the plain network: |g.v - d| over the longer of the two, both as vectors over the directions. 0: equal; 1: nothing
    in common; the larger one of both `LENGTHS`."""
    rows = zip(torch.split(images, 1), torch.split(labels, 1), seeds.tolist(), strict=True)
    return np.array([_gradient_error(forward, plain, *row) for row in rows], dtype=np.float64)


def company_differences(
    plain: Forward, images: Tensor, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[rows], twice: how far the logits of an image beside a copy of itself are from those beside the next image of the
    chunk, and from those of the copy; distances of logits at unit length."""
    pairs = [_company(plain, images, int(row)) for row in rows]
    apart = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return apart[:, 0], apart[:, 1]


def _gradient_error(
    forward: Forward, plain: Forward, image: Tensor, label: Tensor, seed: int
) -> float:
    generator = torch.Generator().manual_seed((seed + SEED) % 2**63)
    shift = SHIFT * (2 * torch.rand(image.shape, generator=generator) - 1).to(image)
    point = (image + shift).clamp(0.0, 1.0)
    ways = torch.randint(2, (DIRECTIONS, *image.shape[1:]), generator=generator) * 2.0 - 1
    ways = ways.to(image) / image.numel() ** 0.5
    rival, gradient = _slope(forward, point, label)
    claimed = (gradient.double() * ways.double()).flatten(1).sum(dim=1)
    pair = torch.cat([rival, label])
    return max(_error(plain, point, ways, length, pair, claimed) for length in LENGTHS)


def _slope(forward: Forward, point: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely wrong class [1] at a point, and the gradient of its logit over the right one's."""
    at = point.clone().requires_grad_()
    with torch.autocast(point.device.type, enabled=False):
        z = forward(at)
        rival = z.detach().scatter(1, label[:, None], float("-inf")).argmax(dim=1)
        return rival, gradient_of(at_class(z, rival) - at_class(z, label), at)


def _error(
    plain: Forward, point: Tensor, ways: Tensor, length: float, pair: Tensor, claimed: Tensor
) -> float:
    """|claimed - measured| over the longer of the two; 0 where both drown in rounding. pair: the two classes."""
    ends = plain(torch.cat([point + length * ways, point - length * ways])).double()
    gap = ends[:, pair[0]] - ends[:, pair[1]]
    measured = (gap[: len(ways)] - gap[len(ways) :]) / (2 * length)
    longer = torch.maximum(measured.norm(), claimed.norm())
    rounding = ROUNDINGS * torch.finfo(torch.float32).eps * ends.abs().amax()
    if not bool(2 * length * longer > rounding):
        return 0.0
    return float((claimed - measured).norm() / longer)


def _company(plain: Forward, images: Tensor, row: int) -> tuple[float, float]:
    image, other = images[row : row + 1], images[(row + 1) % len(images)][None]
    alone, copy = _unit(plain(torch.cat([image, image])))
    beside = _unit(plain(torch.cat([image, other])))[0]
    return float((alone - beside).norm()), float((alone - copy).norm())


def _unit(z: Tensor) -> Tensor:
    z = z.double()
    length: Tensor = z.norm(dim=1, keepdim=True)
    return z / length
