"""What an attack is given, how a network's answers are judged, and what came of it. Every attack shares it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.losses import margin

Forward = Callable[[Tensor], Tensor]
Rows = NDArray[np.int64]
Outputs = tuple[tuple[int, ...], ...]


@dataclass
class Followed:
    """The last gradient of the margin (the most likely wrong class over the right one) along which PGD moved each of
    some images, in the attack's own batch, at budgets up to `within`. wanted: [n]; by row: the point, the gradient
    there, the class."""

    wanted: NDArray[np.bool_]
    within: float
    point: dict[int, Tensor] = field(default_factory=dict)
    way: dict[int, Tensor] = field(default_factory=dict)
    rival: dict[int, int] = field(default_factory=dict)

    def note(self, row: int, point: Tensor, way: Tensor, rival: int) -> None:
        """Remember one gradient."""
        if bool(torch.isfinite(way).all()):
            self.point[row], self.way[row], self.rival[row] = point.clone(), way.clone(), rival


@dataclass(frozen=True)
class Problem:
    """What is attacked. images: [n, c, h, w] in [0,1]; labels: [n] class positions; targets: [n, k], the most likely
    wrong classes in order; seeds: one number per image; first: the gradient of the cross entropy at the images, where
    it is known already (the first step of every stage that starts there then costs nothing); rest: the margin there.

    plain: the network as it was loaded, in float32. An answer of `forward` whose margin is within `sure` of zero is
    the answer of `plain` to that image alone: folding, layout, precision and company move the last bits.
    failed: [n], set by the attacks where an answer or a gradient was NaN or infinite; such an image counts as broken.
    followed: gradients that PGD is to note for the trust report.
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
    followed: Followed | None = None
    failed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        if len(self.failed) != len(self.images):
            object.__setattr__(self, "failed", np.zeros(len(self.images), dtype=np.bool_))


@dataclass(frozen=True)
class Outcome:
    """What one attack at one epsilon did; arrays [n], one entry per attacked image.

    broken: some point of the attack is answered wrongly; size: norm of that perturbation (NaN: none was found);
    loss, margin: cross entropy and margin at the last point judged; passes, forwards: gradient passes and plain
    passes that the image cost.
    """

    broken: NDArray[np.bool_]
    size: NDArray[np.float64]
    loss: NDArray[np.float64]
    margin: NDArray[np.float64]
    passes: NDArray[np.int64]
    forwards: NDArray[np.int64]


def unattacked(n: int) -> Outcome:
    """The outcome of n images that have not been attacked yet; arrays to be filled in."""
    return Outcome(
        np.zeros(n, dtype=np.bool_),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )


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


def per_category(outputs: Outputs) -> Callable[[Tensor], Tensor]:
    """Logits [n, classes] -> [n, categories], where outputs[c] are the columns that answer for category c.

    A single column is taken as it is. Several stand for the log of their mean exponential: up to one constant per image
    the log of the mean probability, so that the largest is the decision, and cross entropy, margin and DLR are those
    of the decision rule.
    """
    if any(len(columns) > 1 for columns in outputs):
        return lambda z: torch.stack([_pooled(z, columns) for columns in outputs], dim=1)
    first = tuple(columns[0] for columns in outputs)
    start, stop = first[0], first[0] + len(first)
    if first == tuple(range(start, stop)):  # all of them, or all but a background class in front
        return lambda z: z[:, start:stop]
    return lambda z: z[:, torch.tensor(first, device=z.device)]


def _pooled(z: Tensor, columns: tuple[int, ...]) -> Tensor:
    members = z[:, torch.tensor(columns, device=z.device)]
    return members.logsumexp(dim=1) - log(len(columns))
