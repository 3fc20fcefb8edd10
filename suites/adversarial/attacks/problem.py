"""All attacks share their input, the judgement of a network's answers, and the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.balls import BALLS
from suites.adversarial.attacks.losses import cross_entropy, margin
from suites.adversarial.config import NormName

Forward = Callable[[Tensor], Tensor]
Rows = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(kw_only=True)
class GradientTrace:
    """The last gradient of the margin (the most likely incorrect class over the correct one) along which PGD moved each
    of some images. It was taken in the attack's own batch, at budgets up to `within`."""

    wanted: Truths = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))  # [n] images
    within: float = 0.0  # the largest budget
    point: dict[int, Tensor] = field(default_factory=dict)  # row -> where the gradient was taken
    direction: dict[int, Tensor] = field(default_factory=dict)  # row -> the gradient there
    rival: dict[int, int] = field(default_factory=dict)  # row -> the wrong class

    def note(self, row: int, point: Tensor, direction: Tensor, rival: int) -> None:
        """Remember one gradient."""
        if bool(torch.isfinite(direction).all()):
            self.point[row], self.direction[row], self.rival[row] = point.clone(), direction.clone(), rival


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Hold the attacked images and network."""

    forward: Forward
    images: Tensor  # [n, c, h, w] in [0,1]
    labels: Tensor  # [n] class positions
    seeds: NDArray[np.uint64]  # one number per image
    targets: Tensor  # [n, k], the most likely incorrect classes in order
    first: Tensor | None = None  # the gradient of the cross entropy at the images, if it is known already
    rest: Tensor | None = None  # the margin at the images, if it is known already
    batch: int = 32  # images at a time on the device
    plain: Forward | None = None  # the network as it was loaded, in float32
    sure: float = 0.0  # answers of a smaller margin are asked of the plain network
    followed: GradientTrace = field(default_factory=GradientTrace)  # gradients that PGD records for the trust report
    # [n], set if an answer or a gradient was NaN or infinite: the image counts as broken
    failed: Truths = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", np.zeros(len(self.images), dtype=np.bool_))

    def at(self, rows: Rows) -> "Problem":
        """Return the problem of the images at `rows` only."""
        parts = {name: getattr(self, name) for name in ("images", "labels", "seeds", "targets", "first", "rest")}
        return replace(self, **{name: part[rows] for name, part in parts.items() if part is not None})


@dataclass(kw_only=True)
class Verdicts:
    """Hold the result of an attack in arrays [n], one entry per attacked image."""

    broken: Truths  # some point of the attack is answered incorrectly
    size: NDArray[np.float64]  # norm of that perturbation (NaN: none was found)
    loss: NDArray[np.float64]  # cross entropy at the last point judged
    margin: NDArray[np.float64]  # at the last point judged
    passes: Rows  # with a gradient
    forwards: Rows  # without one

    @classmethod
    def none(cls, n: int) -> "Verdicts":
        """Return the verdicts on n images that have not been attacked yet."""
        broken, costs = np.zeros(n, dtype=np.bool_), np.zeros((2, n), dtype=np.int64)
        size, loss, margin = np.full((3, n), np.nan)
        return cls(broken=broken, size=size, loss=loss, margin=margin, passes=costs[0], forwards=costs[1])

    def judge(self, problem: Problem, norm: NormName, rows: Rows, point: Tensor, z: Tensor) -> Truths:
        """Record the logits z at points of the images at `rows`. Returns [len(rows)] bool: broken at that point."""
        y = problem.labels[rows]
        fell = fallen(problem, rows, point, z)
        self.loss[rows] = cross_entropy(z, y).cpu().numpy()
        self.margin[rows] = margin(z, y).cpu().numpy()
        if fell.any():
            places = np.flatnonzero(fell)
            self.broken[rows[places]] = True
            delta = taken(point, places) - taken(problem.images, rows[places])
            self.size[rows[places]] = BALLS[norm].size(delta).cpu().numpy()
        return fell

    def drop(self, problem: Problem, rows: Rows, gradient: Tensor, epsilon: NDArray[np.float64]) -> Truths:
        """Return [len(rows)] bool: images whose gradient is not finite; they count as broken within their epsilon."""
        gone = not_finite(gradient).cpu().numpy()
        problem.failed[rows[gone]] = True
        new = gone & ~self.broken[rows]
        self.broken[rows[new]] = True
        self.size[rows[new]] = epsilon[new]
        return gone


def device_batches(problem: Problem) -> list[Rows]:
    """Return the rows of a problem, a device batch at a time."""
    rows = np.arange(len(problem.images))
    return np.array_split(rows, range(problem.batch, len(rows), problem.batch))


def not_finite(values: Tensor) -> Tensor:
    """Return [n] bool: some value of an image is NaN or infinite."""
    return ~torch.isfinite(values.flatten(1)).all(dim=1)


def taken(images: Tensor, rows: Rows) -> Tensor:
    """Return images[rows], in their memory layout: whole images are copied at twice the speed of indexing."""
    whole = [images[row : row + 1] for row in rows.tolist()]
    return torch.cat(whole) if whole else images[:0]


def fallen(problem: Problem, rows: Rows, point: Tensor, z: Tensor) -> Truths:
    """Return [n] bool: the answers z at the points [n, c, h, w] of the images at `rows` are wrong."""
    y = problem.labels[rows]
    fell, gone = wrong(z, y), not_finite(z)
    if problem.plain is not None:
        # Folding, layout, precision and other images change the last bits: near zero the plain network decides, alone.
        for place in (~(margin(z, y).abs() > problem.sure)).nonzero()[:, 0].tolist():
            alone = slice(place, place + 1)
            exact = problem.plain(point[alone])
            fell[alone], gone[alone] = wrong(exact, y[alone]), not_finite(exact)
    problem.failed[rows[gone.cpu().numpy()]] = True
    return np.asarray(fell.cpu().numpy(), dtype=np.bool_)


def wrong(z: Tensor, y: Tensor) -> Tensor:
    """Return [n] bool: the answer is not y; exact ties are decided for the first class, as everywhere."""
    return (z.argmax(dim=1) != y) | not_finite(z)


def likely_wrong(z: Tensor, y: Tensor, count: int) -> Tensor:
    """Return [n, count]: the wrong classes with the largest logits, in order (at least one)."""
    others = z.scatter(1, y[:, None], float("-inf"))
    return others.topk(max(1, min(count, z.shape[1] - 1)), dim=1).indices


def per_category(outputs: tuple[tuple[int, ...], ...]) -> Forward:
    """Return the map from logits [n, classes] to [n, categories], with outputs[c] the columns of category c. Several
    columns become the log of their mean exponential: up to one constant per image, the log of the mean probability."""
    if all(len(columns) == 1 for columns in outputs):
        single = [int(columns[0]) for columns in outputs]
        return lambda z: z[:, single]

    def pooled(z: Tensor, columns: tuple[int, ...]) -> Tensor:
        return z[:, torch.tensor(columns, device=z.device)].logsumexp(dim=1) - log(len(columns))

    return lambda z: torch.stack([pooled(z, columns) for columns in outputs], dim=1)
