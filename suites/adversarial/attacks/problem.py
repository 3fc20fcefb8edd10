"""What an attack is given, how a network's answers are judged, and what came of it. Every attack shares it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from suites.adversarial.config import LossName, NormName

# What an attack drives up: cross entropy, margin, difference-of-logits ratio. All [n], one value per image.
#
# z: logits [n, c]; y: true class [n]; t: target class [n], -1 where the attack is untargeted.


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


# Balls in pixel space: which way is up, the nearest point inside, a random point inside, how far out.
#
# Images and perturbations are NCHW; epsilon and step sizes are one number per image, [n]. The box [0,1] is exact: a
# clean image lies in it, so clamping moves a point no further from that image in any of the three norms, and a point
# that was in the ball stays there.


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


def move(ball: Geometry, origin: Tensor, at: Tensor, way: Tensor, sizes: tuple[Tensor, Tensor]) -> Tensor:
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
