"""The attack loop. A batch is drawn from all images that are still standing, each at its own step of the schedule, so
it stays full although images leave one by one.

The forward pass that a gradient needs also judges the point that the last step reached: an image leaves as soon as
one of its points is misclassified. Where a stage starts anew, the last point of the stage before is judged by a
forward pass alone; such passes are collected until no full batch of gradients is ready.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.apgd_state import STARTS, Schedule
from suites.adversarial.attacks.problem import (
    KINDS,
    Geometry,
    Problem,
    Rows,
    attack_loss,
    cross_entropy,
    fallen,
    gradient_of,
    linf_size,
    lost,
    margin,
    move,
    not_finite,
    random_start,
    taken,
    wrong,
)
from suites.adversarial.config import CLOSE, VANISHING

CACHED = 2**18  # numbers of one operand: with the others of a step they fill 2 to 4 MB
LAST, CLEAN, RANDOM = range(len(STARTS))


@dataclass
class Pool:
    """Where every image stands; each array [n].

    point: the newest point; at: its next step; fresh: the point was placed by a start, not reached by a step;
    reached: [n, steps], the margin that each step reached (NaN: it was not taken, or the next start is not judged);
    standing: not broken and not finished; broken: the step whose point was misclassified (-1: none); size: norm of
    that perturbation (NaN: none); loss, margin: cross entropy and margin of the newest judged point; passes,
    forwards: gradient and plain passes; led: the newest step had a gradient; refused: wrong answers that full
    precision did not confirm; steps: the schedule's columns as tensors.
    """

    point: Tensor
    reached: NDArray[np.float64]
    at: Rows
    fresh: NDArray[np.bool_]
    standing: NDArray[np.bool_]
    broken: Rows
    size: NDArray[np.float64]
    loss: NDArray[np.float64]
    margin: NDArray[np.float64]
    passes: Rows
    forwards: Rows
    refused: Rows
    led: NDArray[np.bool_]
    leaps: Rows
    keeps: float
    steps: dict[str, Tensor] = field(default_factory=dict)


def attack(problem: Problem, ball: Geometry, schedule: Schedule) -> Pool:
    """Run a schedule on every image of a problem."""
    pool = _opened(problem, schedule)
    _place(pool, problem, ball, np.flatnonzero(pool.standing))
    while pool.standing.any():
        rows, only_judge = _next(pool, len(schedule), problem.batch)
        if only_judge:
            _finish(pool, problem, ball, rows)
        else:
            # One forward and backward pass: judge the points, move those that still hold.
            y = problem.labels[rows]
            steps = pool.at[rows]
            target = _targets(pool, problem, rows)
            point = taken(pool.point, rows).requires_grad_()
            z = problem.forward(point)
            way = gradient_of(attack_loss(z, y, target, pool.steps["kind"][steps]), point)
            pool.passes[rows] += 1
            still = point.detach()
            _judge(pool, problem, ball, rows, still, z.detach())
            _note(pool, problem, rows, (still, way, z.detach()))
            _leap(pool, problem, rows)
            _drop(pool, rows, lost(problem, rows, way))
            pool.led[rows] = _leads(way)
            _step(pool, problem, ball, rows, still, way)
            left = rows[pool.standing[rows]]
            pool.at[left] += 1
            pool.fresh[left] = False
    return pool


def _opened(problem: Problem, schedule: Schedule) -> Pool:
    n, device = len(problem.images), problem.images.device
    columns = {
        "epsilon": torch.tensor(schedule.epsilon, dtype=torch.float32, device=device),
        "size": torch.tensor(schedule.size, dtype=torch.float32, device=device),
        "kind": torch.tensor(schedule.kind, device=device),
        "start": torch.tensor(schedule.start),
        "target": torch.tensor(schedule.target, device=device),
    }
    return Pool(
        point=problem.images.clone(),
        reached=np.full((n, len(schedule)), np.nan),
        at=np.zeros(n, dtype=np.int64),
        fresh=np.zeros(n, dtype=np.bool_),
        standing=np.full(n, len(schedule) > 0),
        broken=np.full(n, -1, dtype=np.int64),
        size=np.full(n, np.nan),
        loss=np.full(n, np.nan),
        margin=np.full(n, np.nan),
        passes=np.zeros(n, dtype=np.int64),
        forwards=np.zeros(n, dtype=np.int64),
        refused=np.zeros(n, dtype=np.int64),
        led=np.ones(n, dtype=np.bool_),
        leaps=schedule.leap,
        keeps=schedule.keeps,
        steps=columns,
    )


def _next(pool: Pool, length: int, batch: int) -> tuple[Rows, bool]:
    """The next batch, and whether it is to be judged only. Full batches of gradients come first, images that have
    furthest to go before others, so that few are left at the end in a batch that is not full."""
    alive = np.flatnonzero(pool.standing)
    starts = np.append(pool.steps["start"].numpy() != LAST, True)
    at = pool.at[alive]
    done = ~pool.fresh[alive] & starts[at] & ((at > 0) | (at == length))
    ready, waiting = alive[~done], alive[done]
    if len(ready) >= batch or not len(waiting):
        return ready[np.argsort(pool.at[ready], kind="stable")[:batch]], False
    return waiting[:batch], True


def _note(pool: Pool, problem: Problem, rows: Rows, at: tuple[Tensor, Tensor, Tensor]) -> None:
    """Keep the gradients of the margin that are followed, for the trust report. at: points, gradients, logits."""
    seen = problem.followed
    if seen is None:
        return
    steps = pool.at[rows]
    margins = (pool.steps["kind"][steps].cpu() == KINDS.index("margin")).numpy()
    untargeted = (pool.steps["target"][steps].cpu() == 0).numpy()
    small = (pool.steps["epsilon"][steps].cpu() <= seen.within * CLOSE).numpy()
    which = seen.wanted[rows] & pool.standing[rows] & margins & untargeted & small
    for place in np.flatnonzero(which).tolist():
        others = at[2][place].index_fill(0, problem.labels[rows[place]], float("-inf"))
        seen.note(int(rows[place]), at[0][place], at[1][place], int(others.argmax()))


def _leap(pool: Pool, problem: Problem, rows: Rows) -> None:
    """Images that are still far from the boundary take this step at the next epsilon. Those that the stage before had
    no gradient for (a saturated cross entropy) may be near it."""
    if problem.rest is None or pool.keeps >= 1:
        return
    on = pool.leaps[pool.at[rows]]
    far = pool.margin[rows] < pool.keeps * problem.rest[rows].cpu().numpy()
    ahead = (on >= 0) & far & pool.led[rows] & pool.standing[rows]
    pool.at[rows[ahead]] = on[ahead]


def _leads(way: Tensor) -> NDArray[np.bool_]:
    """[n]: gradients that do not vanish."""
    return (linf_size(way) >= VANISHING).cpu().numpy()


def _drop(pool: Pool, rows: Rows, gone: Tensor) -> None:
    """Images whose gradient is no number are broken at the epsilon of the step that it was for."""
    dropped = rows[gone.cpu().numpy() & pool.standing[rows]]
    if len(dropped):
        pool.broken[dropped] = pool.at[dropped]
        pool.size[dropped] = pool.steps["epsilon"][pool.at[dropped]].cpu().numpy()
        pool.standing[dropped] = False


def _step(pool: Pool, problem: Problem, ball: Geometry, rows: Rows, point: Tensor, way: Tensor) -> None:
    """Move the images at `rows` that are still standing, a few at a time: as many as stay in the processor's cache
    from one operation to the next."""
    steps = pool.at[rows]
    epsilon, size = pool.steps["epsilon"][steps], pool.steps["size"][steps]
    count = max(1, CACHED // point[0].numel()) if point.device.type == "cpu" else len(rows)
    for part in (slice(i, i + count) for i in range(0, len(rows), count)):
        left = np.flatnonzero(pool.standing[rows[part]])
        if len(left):
            origin = _origin(problem.images, rows[part])
            moved = move(ball, origin, point[part], way[part], (epsilon[part], size[part]))
            for place in left.tolist():
                pool.point[rows[part][place]].copy_(moved[place])


def _origin(images: Tensor, rows: Rows) -> Tensor:
    """The images at `rows`, not to be written to: one alone is not copied."""
    return images[rows[0] : rows[0] + 1] if len(rows) == 1 else taken(images, rows)


def _finish(pool: Pool, problem: Problem, ball: Geometry, rows: Rows) -> None:
    """Judge the last points of stages; those that hold begin the next stage or are done."""
    point = taken(pool.point, rows)
    with torch.no_grad():
        z = problem.forward(point)
    pool.forwards[rows] += 1
    _judge(pool, problem, ball, rows, point, z)
    pool.standing[rows] &= pool.at[rows] < len(pool.steps["size"])
    _place(pool, problem, ball, rows[pool.standing[rows]])


def _judge(pool: Pool, problem: Problem, ball: Geometry, rows: Rows, point: Tensor, z: Tensor) -> None:
    """Record margins, and what is broken: by the step that reached the point, or by the start that placed it."""
    y = problem.labels[rows]
    none = torch.full_like(y, -1)
    pool.loss[rows] = cross_entropy(z, y, none).cpu().numpy()
    pool.margin[rows] = margin(z, y, none).cpu().numpy()
    came = rows[~pool.fresh[rows]]
    pool.reached[came, pool.at[came] - 1] = pool.margin[came]
    down = fallen(problem, rows, point, z).cpu().numpy()
    pool.refused[rows] += wrong(z, y).cpu().numpy() & ~down
    fell = rows[down]
    if len(fell):
        delta = taken(pool.point, fell) - taken(problem.images, fell)
        pool.size[fell] = ball.size(delta).cpu().numpy()
        pool.broken[fell] = pool.at[fell] - (~pool.fresh[fell])
        pool.standing[fell] = False


def _place(pool: Pool, problem: Problem, ball: Geometry, rows: Rows) -> None:
    """Put images at the start of the stage that their next step opens."""
    starts = pool.steps["start"].numpy()[pool.at[rows]]
    clean, drawn = rows[(starts == CLEAN) & (pool.at[rows] > 0)], rows[starts == RANDOM]
    pool.point[clean] = problem.images[clean]
    if len(drawn):
        steps = pool.at[drawn]
        seeds = [int(problem.seeds[i]) + int(pool.at[i]) for i in drawn]
        epsilon = pool.steps["epsilon"][steps]
        pool.point[drawn] = random_start(ball, problem.images[drawn], epsilon, seeds)
    pool.fresh[rows] = True
    _skip(pool, problem, ball, rows[starts != RANDOM])


def _skip(pool: Pool, problem: Problem, ball: Geometry, rows: Rows) -> None:
    """Take the first step from the image itself with the gradient that is known."""
    if problem.first is None:
        return
    steps = pool.at[rows]
    known = (pool.steps["kind"][steps] == 0) & (pool.steps["target"][steps] == 0)
    rows = rows[known.cpu().numpy()]
    if len(rows):
        origin, steps = problem.images[rows], pool.at[rows]
        sizes = (pool.steps["epsilon"][steps], pool.steps["size"][steps])
        pool.point[rows] = move(ball, origin, origin, problem.first[rows], sizes)
        pool.led[rows] = _leads(problem.first[rows])
        pool.at[rows] += 1
        pool.fresh[rows] = False


def _targets(pool: Pool, problem: Problem, rows: Rows) -> Tensor:
    """The class that each image's next step aims at, -1 where it aims at none."""
    rank = pool.steps["target"][pool.at[rows]]
    last = max(problem.targets.shape[1] - 1, 0)
    aimed = problem.targets[rows].gather(1, (rank - 1).clamp(0, last)[:, None])[:, 0]
    return torch.where(rank > 0, aimed, torch.full_like(aimed, -1))


# The fast gradient sign method (Goodfellow, Shlens & Szegedy 2015, section 4): one gradient, every epsilon.
#
# Each epsilon is judged on its own, as published: FGSM is not monotone in epsilon.


@dataclass(frozen=True)
class Slope:
    """Every image at rest. z: logits [n, c]; gradient: of the cross entropy, like the images; loss, margin: [n]
    (margin above 0: wrong). failed: [n], logits or gradient are NaN or infinite; the gradient is zero then."""

    z: Tensor
    gradient: Tensor
    loss: Tensor
    margin: Tensor
    failed: Tensor


def slope(problem: Problem) -> Slope:
    """One gradient pass per image."""
    parts = [_slope(problem, part) for part in _batches(problem)]
    return Slope(
        torch.cat([part.z for part in parts]),
        torch.cat([part.gradient for part in parts]),
        torch.cat([part.loss for part in parts]),
        torch.cat([part.margin for part in parts]),
        torch.cat([part.failed for part in parts]),
    )


def fgsm(problem: Problem, gradient: Tensor, epsilons: tuple[float, ...]) -> NDArray[np.bool_]:
    """[n, epsilons]: the answer at x + epsilon sign(gradient), cut to the box, is wrong."""
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for part in _batches(problem):
        images, sign = problem.images[part], gradient[part].sign()
        for column, epsilon in enumerate(epsilons):
            shifted = torch.add(images, sign, alpha=epsilon).clamp_(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(shifted)
            broken[part, column] = fallen(problem, part, shifted, z).cpu().numpy()
    return broken


def _batches(problem: Problem) -> Iterator[slice]:
    return (slice(i, i + problem.batch) for i in range(0, len(problem.images), problem.batch))


def _slope(problem: Problem, part: slice) -> Slope:
    y = problem.labels[part]
    none = torch.full_like(y, -1)
    point = problem.images[part].detach().requires_grad_()
    z = problem.forward(point)
    loss = cross_entropy(z, y, none)
    gradient = gradient_of(loss, point)
    still = z.detach()
    failed = lost(problem, part, gradient) | not_finite(still)
    gradient[failed] = 0.0
    return Slope(still, gradient, loss.detach(), margin(still, y, none), failed)
