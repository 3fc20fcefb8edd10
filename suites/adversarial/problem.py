"""What an attack is given, and how a network's answers are judged. Every attack shares it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.losses import margin

Forward = Callable[[Tensor], Tensor]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What is attacked. images: [n, c, h, w] in [0,1]; labels: [n] class positions; targets: [n, k], the most likely
    wrong classes in order; seeds: one number per image; first: the gradient of the cross entropy at the images, where
    it is known already (the first step of every stage that starts there then costs nothing); rest: the margin there.

    plain: the network as it was loaded, in float32. An answer of `forward` whose margin is within `sure` of zero is
    the answer of `plain` to that image alone: folding, layout, precision and company move the last bits.
    failed: [n], set by the attacks where an answer or a gradient was NaN or infinite; such an image counts as broken.
    """

    forward: Forward
    images: Tensor
    labels: Tensor
    seeds: NDArray[np.uint64]
    targets: Tensor
    first: Tensor | None = None
    rest: Tensor | None = None
    batch: int = 32
    plain: Forward | None = None
    sure: float = 0.0
    failed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if len(self.failed) != len(self.images):
            object.__setattr__(self, "failed", np.zeros(len(self.images), dtype=np.bool_))


def gradient_of(loss: Tensor, point: Tensor) -> Tensor:
    """d loss / d point, zero where the network passes no gradient on; it may be NaN or infinite."""
    if not loss.requires_grad:
        return torch.zeros_like(point)
    (found,) = torch.autograd.grad(loss.sum(), point, allow_unused=True)
    return torch.zeros_like(point) if found is None else found


def lost(problem: Problem, rows: Tensor | Rows | slice, gradient: Tensor) -> Tensor:
    """[n] bool: the gradient of the images at `rows` is NaN or infinite somewhere. They are noted as failed."""
    gone = not_finite(gradient)
    if bool(gone.any()):
        _note(problem, rows, gone)
    return gone


def not_finite(values: Tensor) -> Tensor:
    """[n] bool: some value of an image is NaN or infinite. A finite sum settles it; only else every one is looked
    at."""
    if bool(torch.isfinite(values.sum())):
        return torch.zeros(len(values), dtype=torch.bool, device=values.device)
    return ~torch.isfinite(values.flatten(1)).all(dim=1)


def taken(images: Tensor, rows: Rows) -> Tensor:
    """images[rows], in their memory layout: whole images are copied at twice the speed of indexing."""
    whole = [images[row : row + 1] for row in rows.tolist()]
    return torch.cat(whole) if whole else images[:0]


def fallen(problem: Problem, rows: Tensor | Rows | slice, point: Tensor, z: Tensor) -> Tensor:
    """[n] bool: the answers z at the points [n, c, h, w] of the images at `rows` are wrong; near the boundary, the
    plain network's answers. Those that are NaN or infinite are noted as failed."""
    y = problem.labels[rows]
    fell, gone = wrong(z, y), not_finite(z)
    if problem.plain is not None:
        sure = margin(z, y, torch.full_like(y, -1)).abs() > problem.sure
        for place in (~sure).nonzero()[:, 0].tolist():
            alone = slice(place, place + 1)
            exact = problem.plain(point[alone])
            fell[alone], gone[alone] = wrong(exact, y[alone]), not_finite(exact)
    if bool(gone.any()):
        _note(problem, rows, gone)
    return fell


def wrong(z: Tensor, y: Tensor) -> Tensor:
    """[n] bool: the answer is not y; exact ties go to the first class, as everywhere. NaN and infinity are no
    answers."""
    return (z.argmax(dim=1) != y) | not_finite(z)


def _note(problem: Problem, rows: Tensor | Rows | slice, which: Tensor) -> None:
    at = rows.cpu().numpy() if isinstance(rows, Tensor) else np.arange(len(problem.failed))[rows]
    problem.failed[at[which.cpu().numpy()]] = True


def likely_wrong(z: Tensor, y: Tensor, count: int) -> Tensor:
    """[n, count]: the wrong classes with the largest logits, in order (at least one)."""
    others = z.scatter(1, y[:, None], float("-inf"))
    return others.topk(max(1, min(count, z.shape[1] - 1)), dim=1).indices
