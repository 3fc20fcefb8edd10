"""What an attack drives up, [n]. z: logits [n, c]; y: true class [n]; t: target class [n] (None: untargeted)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from suites.adversarial.attacks.balls import TINY
from suites.adversarial.config import LossName


def cross_entropy(z: Tensor, y: Tensor, t: Tensor | None = None) -> Tensor:
    """Return the cross entropy to the true class (Goodfellow et al. 2015); targeted: minus that to the target."""
    if t is None:
        return functional.cross_entropy(z, y, reduction="none")
    return -functional.cross_entropy(z, t, reduction="none")


def margin(z: Tensor, y: Tensor, t: Tensor | None = None) -> Tensor:
    """Return max_{i != y} z_i - z_y; targeted: z_t - z_y (Carlini & Wagner 2017, f6 without its softmax)."""
    rival = z.scatter(1, y[:, None], float("-inf")).amax(dim=1) if t is None else z.gather(1, t[:, None])[:, 0]
    return rival - z.gather(1, y[:, None])[:, 0]


def dlr(z: Tensor, y: Tensor, t: Tensor | None = None) -> Tensor:
    """Return the margin over z_(1) - z_(3), sorted logits: free of shift and scale (Croce & Hein 2020, eq. 5);
    targeted: over z_(1) - (z_(3) + z_(4)) / 2 (eq. 6). Needs three classes, targeted four."""
    top = z.topk(min(4, z.shape[1]), dim=1).values
    lower = top[:, min(2, top.shape[1] - 1)] if t is None else (top[:, -2] + top[:, -1]) / 2
    return margin(z, y, t) / (top[:, 0] - lower + TINY)


Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
LOSSES: Mapping[LossName, Loss] = {"ce": cross_entropy, "margin": margin, "dlr": dlr}


def gradient_of(loss: Tensor, point: Tensor) -> Tensor:
    """Return d loss / d point, zero where the network passes no gradient on; it may be NaN or infinite."""
    if not loss.requires_grad:
        return torch.zeros_like(point)
    (gradient,) = torch.autograd.grad(loss.sum(), point, allow_unused=True)
    return torch.zeros_like(point) if gradient is None else gradient
