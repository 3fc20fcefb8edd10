"""Balls in pixel space: which way is up, the nearest point inside, a random point inside, how far out.

Images and perturbations are NCHW; epsilon and step sizes are one number per image, [n]. The box [0,1] is exact: a
clean image lies in it, so clamping moves a point no further from that image in any of the three norms, and a point
that was in the ball stays there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from suites.adversarial.config import NormName

TINY = 1e-12
Draw = Callable[[torch.Size, torch.Generator], Tensor]
SPARSITY = 0.01  # share of the entries that one L1 step moves


@dataclass(frozen=True)
class Geometry:
    """One norm. direction(gradient): the steepest ascent of unit norm; project(delta, epsilon): onto the ball;
    draw(shape, generator): uniform in the unit ball, one image [c, h, w] on the CPU; size(delta): [n]."""

    direction: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, Tensor], Tensor]
    draw: Draw
    size: Callable[[Tensor], Tensor]


def geometry(norm: NormName) -> Geometry:
    """The geometry of a norm."""
    found = {
        "linf": Geometry(linf_direction, linf_project, linf_draw, linf_size),
        "l2": Geometry(l2_direction, l2_project, l2_draw, l2_size),
        "l1": Geometry(l1_direction, l1_project, l1_draw, l1_size),
    }
    return found[norm]


def move(
    ball: Geometry, origin: Tensor, at: Tensor, way: Tensor, sizes: tuple[Tensor, Tensor]
) -> Tensor:
    """One step of projected ascent (Madry et al. 2018, eq. 3): from `at` along the steepest direction of gradient
    `way`, back into the ball around `origin`, into the box. sizes: epsilon [n], step [n]."""
    epsilon, step = sizes
    delta = (ball.direction(way) * wide(step)).add_(at).sub_(origin)
    return ball.project(delta, epsilon).add_(origin).clamp_(0.0, 1.0)


def random_start(ball: Geometry, origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
    """A point of the ball around each image, uniform before the box is cut; each from its own seed."""
    delta = seeded(ball.draw, origin, seeds) * wide(epsilon)
    return (origin + ball.project(delta, epsilon)).clamp(0.0, 1.0)


def seeded(draw: Draw, like: Tensor, seeds: list[int]) -> Tensor:
    """One draw per image of `like`, each from a generator of its own: no batch and no device changes it."""
    made = [draw(like.shape[1:], torch.Generator().manual_seed(seed % 2**63)) for seed in seeds]
    return torch.stack(made).to(like)


def wide(values: Tensor) -> Tensor:
    """[n] -> [n, 1, 1, 1]."""
    return values.reshape(-1, 1, 1, 1)


def linf_direction(gradient: Tensor) -> Tensor:
    """Sign; an entry without gradient does not move."""
    return gradient.sign()


def linf_project(delta: Tensor, epsilon: Tensor) -> Tensor:
    """Entries clamped to +-epsilon."""
    bound = wide(epsilon)
    return torch.minimum(torch.maximum(delta, -bound), bound)


def linf_draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Uniform in [-1, 1]."""
    return 2 * torch.rand(shape, generator=generator) - 1


def linf_size(delta: Tensor) -> Tensor:
    """Largest absolute entry."""
    return delta.abs().amax(dim=(1, 2, 3))


def l2_direction(gradient: Tensor) -> Tensor:
    """The gradient at unit length; zero stays zero. Where squares would vanish it is scaled up first."""
    length = l2_size(gradient)
    if bool((length < TINY).any()):
        gradient = gradient / wide(linf_size(gradient)).clamp_min(1e-38)
        length = l2_size(gradient)
    return gradient / wide(length).clamp_min(TINY)


def l2_project(delta: Tensor, epsilon: Tensor) -> Tensor:
    """Shortened to epsilon where it is longer."""
    return delta * wide((epsilon / l2_size(delta).clamp_min(TINY)).clamp_max(1.0))


def l2_draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """A normal direction at radius u^(1/d), u uniform (Muller 1959)."""
    normal = torch.randn(shape, generator=generator)
    radius = torch.rand(1, generator=generator) ** (1 / normal.numel())
    drawn: Tensor = normal / normal.norm().clamp_min(TINY) * radius
    return drawn


def l2_size(delta: Tensor) -> Tensor:
    """Euclidean length."""
    length: Tensor = torch.linalg.vector_norm(delta, dim=(1, 2, 3))
    return length


def l1_direction(gradient: Tensor) -> Tensor:
    """The signs of the entries with the largest gradients, 1 % of them, at unit sum (Tramer & Boneh 2019, SLIDE)."""
    flat = gradient.flatten(1)
    count = max(1, round(SPARSITY * flat.shape[1]))
    top = flat.abs().topk(count, dim=1).indices
    sparse = torch.zeros_like(flat).scatter(1, top, flat.gather(1, top).sign())
    return (sparse / sparse.abs().sum(dim=1, keepdim=True).clamp_min(1.0)).view(gradient.shape)


def l1_project(delta: Tensor, epsilon: Tensor) -> Tensor:
    """Euclidean projection: every entry shrinks by one threshold (Duchi et al. 2008, ICML, figure 1)."""
    flat = delta.flatten(1)
    ranked = flat.abs().sort(dim=1, descending=True).values
    excess = ranked.cumsum(dim=1) - epsilon[:, None]
    count = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    last = (ranked * count > excess).sum(dim=1, keepdim=True).clamp_min(1)
    threshold = (excess.gather(1, last - 1) / last).clamp_min(0.0)
    shrunk = flat.sign() * (flat.abs() - threshold).clamp_min(0.0)
    return l1_trimmed(shrunk, epsilon).view(delta.shape)


def l1_trimmed(flat: Tensor, epsilon: Tensor) -> Tensor:
    """Scaled back by what float32 sums leave above epsilon."""
    total = flat.double().abs().sum(dim=1)
    return flat * (epsilon / total.clamp_min(TINY)).clamp_max(1.0).to(flat.dtype)[:, None]


def l1_draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Exponentials with random signs over the sum of one more than there are entries: uniform in the ball."""
    count = shape.numel()
    lengths = -torch.rand(count + 1, generator=generator).clamp_min(TINY).log()
    signs = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    return (signs * lengths[:-1] / lengths.sum()).reshape(shape)


def l1_size(delta: Tensor) -> Tensor:
    """Sum of absolute entries."""
    return delta.abs().sum(dim=(1, 2, 3))
