"""What an attack drives up: cross entropy, margin, difference-of-logits ratio. All [n], one value per image.

z: logits [n, c]; y: true class [n]; t: target class [n], -1 where the attack is untargeted.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from suites.adversarial.config import LossName

KINDS: tuple[LossName, ...] = ("ce", "margin", "dlr")


def cross_entropy(z: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Cross entropy to the true class; targeted: minus that to the target (Goodfellow et al. 2015; Madry et al.
    2018). Its gradient vanishes where the softmax saturates."""
    away = functional.cross_entropy(z, y, reduction="none")
    towards = functional.cross_entropy(z, t.clamp_min(0), reduction="none")
    return torch.where(t < 0, away, -towards)


def margin(z: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """max_{i != y} z_i - z_y; targeted: z_t - z_y (Carlini & Wagner 2017, f6 without its softmax). Above 0: wrong.
    Its gradient does not saturate."""
    rival = torch.where(t < 0, best_other(z, y), at_class(z, t.clamp_min(0)))
    return rival - at_class(z, y)


def dlr(z: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """The margin over z_(1) - z_(3), sorted logits: free of shift and scale (Croce & Hein 2020, eq. 5); targeted:
    over z_(1) - (z_(3) + z_(4)) / 2 (eq. 6). Needs three classes, targeted four."""
    top = z.topk(min(4, z.shape[1]), dim=1).values
    plain = top[:, 0] - top[:, min(2, top.shape[1] - 1)]
    aimed = top[:, 0] - (top[:, -2] + top[:, -1]) / 2
    return margin(z, y, t) / (torch.where(t < 0, plain, aimed) + 1e-12)


def loss_named(name: LossName) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A loss by its name: (z, y, t) -> [n]."""
    found = {"ce": cross_entropy, "margin": margin, "dlr": dlr}
    return found[name]


def attack_loss(z: Tensor, y: Tensor, t: Tensor, kind: Tensor) -> Tensor:
    """The loss of each image's own kind [n] (positions in `KINDS`); only kinds that occur are computed."""
    functions = [loss_named(name) for name in KINDS]
    present: list[int] = sorted(set(kind.tolist()))
    if len(present) == 1:
        return functions[present[0]](z, y, t)
    total = torch.zeros_like(z[:, 0])
    for one in present:
        rows = (kind == one).nonzero()[:, 0]
        total = total.index_add(0, rows, functions[one](z[rows], y[rows], t[rows]))
    return total


def at_class(z: Tensor, y: Tensor) -> Tensor:
    """z_y."""
    return z.gather(1, y[:, None])[:, 0]


def best_other(z: Tensor, y: Tensor) -> Tensor:
    """max_{i != y} z_i."""
    return z.scatter(1, y[:, None], float("-inf")).amax(dim=1)
