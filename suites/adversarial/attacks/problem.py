"""All attacks share their input, the judgement of a network's answers, and the verdicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from suites.adversarial.config import LossName, NormName

Forward = Callable[[Tensor], Tensor]
Rows = NDArray[np.int64]
TINY = 1e-12

# What an attack drives up, [n]. z: logits [n, c]; y: true class [n]; t: target class [n] (None: untargeted).


def cross_entropy(z: Tensor, y: Tensor, t: Tensor | None = None) -> Tensor:
    """Return the cross entropy to the true class; targeted: minus that to the target (Goodfellow et al. 2015; Madry et
    al. 2018). Its gradient vanishes where the softmax saturates."""
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


@dataclass(kw_only=True)
class GradientTrace:
    """The last gradient of the margin (the most likely incorrect class over the correct one) along which PGD moved each
    of some images. It was taken in the attack's own batch, at budgets up to `within`."""

    wanted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))  # [n] images
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
    failed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", np.zeros(len(self.images), dtype=np.bool_))

    def at(self, rows: Rows) -> "Problem":
        """Return the problem of the images at `rows` only."""
        parts = {name: getattr(self, name) for name in ("images", "labels", "seeds", "targets", "first", "rest")}
        return replace(self, **{name: part[rows] for name, part in parts.items() if part is not None})


@dataclass(kw_only=True)
class Verdicts:
    """Hold the result of an attack in arrays [n], one entry per attacked image."""

    broken: NDArray[np.bool_]  # some point of the attack is answered incorrectly
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

    def judge(self, problem: Problem, norm: NormName, rows: Rows, point: Tensor, z: Tensor) -> NDArray[np.bool_]:
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

    def drop(self, problem: Problem, rows: Rows, gradient: Tensor, epsilon: NDArray[np.float64]) -> NDArray[np.bool_]:
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


def gradient_of(loss: Tensor, point: Tensor) -> Tensor:
    """Return d loss / d point, zero where the network passes no gradient on; it may be NaN or infinite."""
    if not loss.requires_grad:
        return torch.zeros_like(point)
    (gradient,) = torch.autograd.grad(loss.sum(), point, allow_unused=True)
    return torch.zeros_like(point) if gradient is None else gradient


def not_finite(values: Tensor) -> Tensor:
    """Return [n] bool: some value of an image is NaN or infinite."""
    return ~torch.isfinite(values.flatten(1)).all(dim=1)


def taken(images: Tensor, rows: Rows) -> Tensor:
    """Return images[rows], in their memory layout: whole images are copied at twice the speed of indexing."""
    whole = [images[row : row + 1] for row in rows.tolist()]
    return torch.cat(whole) if whole else images[:0]


def fallen(problem: Problem, rows: Rows, point: Tensor, z: Tensor) -> NDArray[np.bool_]:
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


# Balls in pixel space. Images and perturbations are NCHW; epsilon and step sizes are one number per image, [n]. A clean
# image lies in the box [0,1], so clamping moves a point no further from it: a point in the ball stays there.

Draw = Callable[[torch.Size, torch.Generator], Tensor]
SPARSITY = 0.01  # share of the entries that one L1 step moves


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
    drawn: Tensor = normal / normal.norm().clamp_min(TINY) * radius
    return drawn


def l2_size(delta: Tensor) -> Tensor:
    """Return the Euclidean length."""
    return torch.as_tensor(torch.linalg.vector_norm(delta, dim=(1, 2, 3)))


def l1_direction(gradient: Tensor) -> Tensor:
    """Return the signs of the 1 % of entries with the largest gradients, at unit sum (Tramer & Boneh 2019, SLIDE)."""
    flat = gradient.flatten(1)
    count = max(1, round(SPARSITY * flat.shape[1]))
    top = flat.abs().topk(count, dim=1).indices
    sparse = torch.zeros_like(flat).scatter(1, top, flat.gather(1, top).sign())
    return (sparse / sparse.abs().sum(dim=1, keepdim=True).clamp_min(1.0)).view(gradient.shape)


def l1_project(delta: Tensor, epsilon: Tensor) -> Tensor:
    """Return the Euclidean projection: every entry shrinks by one threshold (Duchi et al. 2008, ICML, figure 1)."""
    flat = delta.flatten(1)
    ranked = flat.abs().sort(dim=1, descending=True).values
    excess = ranked.cumsum(dim=1) - epsilon[:, None]
    count = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    last = (ranked * count > excess).sum(dim=1, keepdim=True).clamp_min(1)
    threshold = (excess.gather(1, last - 1) / last).clamp_min(0.0)
    shrunk = flat.sign() * (flat.abs() - threshold).clamp_min(0.0)
    # what float32 sums leave above epsilon
    scale = (epsilon / shrunk.double().abs().sum(dim=1).clamp_min(TINY)).clamp_max(1.0)
    return (shrunk * scale.to(flat.dtype)[:, None]).view(delta.shape)


def l1_draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return exponentials with random signs over the sum of one more than there are entries: uniform in the ball."""
    count = shape.numel()
    lengths = -torch.rand(count + 1, generator=generator).clamp_min(TINY).log()
    signs = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    return (signs * lengths[:-1] / lengths.sum()).reshape(shape)


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
    "l1": Ball(
        direction=l1_direction, project=l1_project, draw=l1_draw, size=lambda delta: delta.abs().sum(dim=(1, 2, 3))
    ),
}
