"""Balls in pixel space: images NCHW, epsilon and step sizes [n]; clamping to the box keeps a point in its ball."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from suites.adversarial.config import NormName

TINY = 1e-12
Draw = Callable[[torch.Size, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class Ball:
    """One norm. `direction(gradient)` is the steepest ascent of unit norm, `project(delta, epsilon)` projects onto the
    ball. `draw(shape, generator)` is uniform in the unit ball, one image [c, h, w] on the CPU; `size(delta)` is [n]."""

    direction: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, Tensor], Tensor]
    draw: Draw
    size: Callable[[Tensor], Tensor]

    def move(self, origin: Tensor, at: Tensor, way: Tensor, epsilon: Tensor, step: Tensor) -> Tensor:
        """Return one step of projected ascent (Madry et al. 2018, eq. 3): from `at` along the steepest direction of
        gradient `way`, back into the ball around `origin`, into the box. epsilon, step: [n]."""
        delta = (self.direction(way) * wide(step)).add_(at).sub_(origin)
        return self.project(delta, epsilon).add_(origin).clamp_(0.0, 1.0)

    def random_start(self, origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
        """Return a point of the ball around each image, uniform before the box is cut; each from its own seed."""
        delta = seeded(self.draw, origin, seeds) * wide(epsilon)
        return (origin + self.project(delta, epsilon)).clamp(0.0, 1.0)


def seeded(draw: Draw, like: Tensor, seeds: list[int]) -> Tensor:
    """Return one draw per image of `like`, each from a generator of its own: no batch and no device changes it."""
    draws = [draw(like.shape[1:], torch.Generator().manual_seed(seed % 2**63)) for seed in seeds]
    return torch.stack(draws).to(like)


def wide(values: Tensor) -> Tensor:
    """Reshape [n] to [n, 1, 1, 1]."""
    return values.reshape(-1, 1, 1, 1)


def linf_size(delta: Tensor) -> Tensor:
    """Return the largest absolute entry."""
    return delta.abs().amax(dim=(1, 2, 3))


def l2_direction(gradient: Tensor) -> Tensor:
    """Return the gradient at unit length; zero remains zero. It is scaled up first if squares would vanish."""
    length = l2_size(gradient)
    if bool((length < TINY).any()):
        gradient = gradient / wide(linf_size(gradient)).clamp_min(1e-38)
        length = l2_size(gradient)
    return gradient / wide(length).clamp_min(TINY)


def l2_draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return a normal direction at radius u^(1/d), u uniform (Muller 1959)."""
    normal = torch.randn(shape, generator=generator)
    radius = torch.rand(1, generator=generator) ** (1 / normal.numel())
    return torch.as_tensor(normal / normal.norm().clamp_min(TINY) * radius)


def l2_size(delta: Tensor) -> Tensor:
    """Return the Euclidean length."""
    return torch.as_tensor(torch.linalg.vector_norm(delta, dim=(1, 2, 3)))


BALLS: Mapping[NormName, Ball] = {
    "linf": Ball(
        direction=torch.sign,
        project=lambda delta, epsilon: torch.minimum(torch.maximum(delta, -wide(epsilon)), wide(epsilon)),
        draw=lambda shape, generator: 2 * torch.rand(shape, generator=generator) - 1,
        size=linf_size,
    ),
    "l2": Ball(
        direction=l2_direction,
        project=lambda delta, epsilon: delta * wide((epsilon / l2_size(delta).clamp_min(TINY)).clamp_max(1.0)),
        draw=l2_draw,
        size=l2_size,
    ),
}
