"""What an attack is given, and how a network's answers are judged. Every attack shares it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import ModelFailure
from suites.adversarial.losses import margin

Forward = Callable[[Tensor], Tensor]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What is attacked. images: [n, c, h, w] in [0,1]; labels: [n] class positions; targets: [n, k], the most likely
    wrong classes in order; seeds: one number per image; first: the gradient of the cross entropy at the images, where
    it is known already (the first step of every stage that starts there then costs nothing).

    plain: the network as it was loaded, in float32. A wrong answer of `forward` whose margin is not above `sure`
    counts only if `plain` answers wrongly too: folding, layout and precision move the last bits.
    """

    forward: Forward
    images: Tensor
    labels: Tensor
    seeds: NDArray[np.uint64]
    targets: Tensor
    first: Tensor | None = None
    batch: int = 32
    plain: Forward | None = None
    sure: float = 0.0


def checked(values: Tensor, what: str) -> Tensor:
    """`values`, all finite; else ModelFailure. A finite sum settles it; only else every entry is looked at."""
    if not bool(torch.isfinite(values.sum())) and not bool(torch.isfinite(values).all()):
        count = int((~torch.isfinite(values.flatten(1)).all(dim=1)).sum())
        raise ModelFailure(
            f"{what} of {count} of {len(values)} attacked images are NaN or infinite"
        )
    return values


def gradient_of(loss: Tensor, point: Tensor) -> Tensor:
    """d loss / d point, zero where the network passes no gradient on."""
    if not loss.requires_grad:
        return torch.zeros_like(point)
    (found,) = torch.autograd.grad(loss.sum(), point, allow_unused=True)
    return torch.zeros_like(point) if found is None else checked(found, "gradients")


def taken(images: Tensor, rows: Rows) -> Tensor:
    """images[rows], in their memory layout: whole images are copied at twice the speed of indexing."""
    whole = [images[row : row + 1] for row in rows.tolist()]
    return torch.cat(whole) if whole else images[:0]


def fallen(problem: Problem, rows: Tensor | Rows | slice, point: Tensor, z: Tensor) -> Tensor:
    """[n] bool: the answers z at the points [n, c, h, w] of the images at `rows` are wrong, in full precision too."""
    y = problem.labels[rows]
    fell = wrong(z, y)
    if problem.plain is not None and bool(fell.any()):
        close = fell & (margin(z, y, torch.full_like(y, -1)) <= problem.sure)
        if bool(close.any()):
            fell[close] = wrong(checked(problem.plain(point[close]), "logits"), y[close])
    return fell


def wrong(z: Tensor, y: Tensor) -> Tensor:
    """[n] bool: the answer is not y; exact ties go to the first class, as everywhere."""
    return z.argmax(dim=1) != y


def likely_wrong(z: Tensor, y: Tensor, count: int) -> Tensor:
    """[n, count]: the wrong classes with the largest logits, in order (at least one)."""
    others = z.scatter(1, y[:, None], float("-inf"))
    return others.topk(max(1, min(count, z.shape[1] - 1)), dim=1).indices
