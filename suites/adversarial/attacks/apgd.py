"""Auto-PGD (Croce & Hein 2020, ICML, algorithm 1; in L1: 2021, "Mind the box"): projected ascent that chooses its own
step sizes. A batch takes its steps together, without the images that are broken already."""

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from suites.adversarial.attacks.balls import BALLS, Ball, seeded, wide
from suites.adversarial.attacks.losses import LOSSES, gradient_of
from suites.adversarial.attacks.problem import Problem, Rows, Verdicts, device_batches
from suites.adversarial.config import Apgd, NormName

SEED = 1_000_003  # starts other than those of PGD's stages
CARRIED = 0.25  # of the last move, from the second step on
RISING = 0.75  # share of a window's steps that must raise the loss
# In L1:
AT_FIRST = 0.2  # share of the entries that the first steps move
SHORTEST = 10.0  # steps are never shorter than stride / SHORTEST
SHORTER = 1.5  # what a step is divided by
SPARSER = 0.95  # support over the last one, below which the step starts anew
THINNER = 1.5  # the next steps move the best point's support over this
HALVINGS = 26  # to the last bit of float32
ROOM = 1 - 1e-6  # of epsilon: what a float32 sum over many entries may be off by


class ApgdState(NamedTuple):
    """The images in the device batch; each field has one entry per image."""

    row: Tensor  # position in the problem
    epsilon: Tensor
    origin: Tensor  # the image
    point: Tensor  # the current one
    before: Tensor  # the previous point
    best: Tensor  # the point of the highest loss
    slope: Tensor  # the gradient at the best point
    step: Tensor  # size of the next step
    last: Tensor  # the newest loss
    top: Tensor  # the highest loss
    noted: Tensor  # highest loss at the last checkpoint
    rises: Tensor  # steps of this window that raised the loss
    halved: Tensor  # the last checkpoint halved the step
    share: Tensor  # L1: of entries that a step moves
    support: Tensor  # L1: how many entries the best point had changed at the last checkpoint


class DenseRules:
    """The rules in Linf and L2; `SparseRules` has the same methods."""

    stride = 2.0  # first step over epsilon

    def __init__(self, ball: Ball) -> None:
        self._ball = ball

    def windows(self, steps: int) -> tuple[int, ...]:
        """Return the lengths between checkpoints: 22 % of the steps, 3 % fewer each time, at least 6 %, whole steps."""
        first, less, least = (max(int(part * steps), 1) for part in (0.22, 0.03, 0.06))
        lengths = [max(first - number * less, least) for number in range(steps)]
        return tuple(lengths[: sum(1 for end in accumulate(lengths) if end <= steps)])

    def start(self, origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
        """Return a random point for each image, on the sphere before the box is cut."""
        draws = seeded(self._ball.draw, origin, seeds)
        return (origin + draws * wide(epsilon / self._ball.size(draws))).clamp_(0.0, 1.0)

    def move(self, state: ApgdState, slope: Tensor, carried: float) -> Tensor:
        """Return the next points, given the gradient at the present ones and the share of the last move to carry on."""
        plain = self._inside(state, state.point + self._ball.direction(slope) * wide(state.step))
        ahead, on = plain - state.point, state.point - state.before
        return self._inside(state, state.point + ahead * (1 - carried) + on * carried)

    def retake(self, state: ApgdState, slope: Tensor, window: int) -> tuple[ApgdState, Tensor]:
        """At a checkpoint, `window` steps after the last one, halve the step and go back if the ascent falters."""
        halve = (state.rises <= RISING * window) | (~state.halved & (state.noted >= state.top))
        changed = state._replace(
            point=torch.where(wide(halve), state.best, state.point),
            step=torch.where(halve, state.step / 2, state.step), halved=halve, noted=state.top,
            rises=torch.zeros_like(state.rises),
        )  # fmt: skip
        return changed, torch.where(wide(halve), state.slope, slope)

    def _inside(self, state: ApgdState, point: Tensor) -> Tensor:
        return self._ball.project(point - state.origin, state.epsilon).add_(state.origin).clamp_(0.0, 1.0)


class SparseRules:
    """The rules in L1, where steps move few entries."""

    stride = 1.0

    def windows(self, steps: int) -> tuple[int, ...]:
        """Return every 4 % of the steps."""
        length = max(int(0.04 * steps), 1)
        return (length,) * (steps // length)

    def start(self, origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
        """Return each image with normal noise, projected."""
        draws = seeded(lambda shape, stream: torch.randn(shape, generator=stream), origin, seeds)
        return nearest_inside(origin, draws, epsilon)

    def move(self, state: ApgdState, slope: Tensor, carried: float) -> Tensor:  # noqa: ARG002
        """Return the points moved by the signs of the entries with the largest gradients, at unit sum, times step."""
        flat = slope.flatten(1)
        count = (state.share * flat.shape[1]).ceil().long().clamp(1, flat.shape[1])
        ranked = flat.abs().sort(dim=1, descending=True).values
        least = ranked.gather(1, count[:, None] - 1)
        signs = torch.where(flat.abs() >= least, flat.sign(), 0.0)
        way = signs / signs.abs().sum(dim=1, keepdim=True).clamp_min(1.0)
        delta = state.point - state.origin + way.view(slope.shape) * wide(state.step)
        return nearest_inside(state.origin, delta, state.epsilon)

    def retake(self, state: ApgdState, slope: Tensor, window: int) -> tuple[ApgdState, Tensor]:  # noqa: ARG002
        """At a checkpoint, match the sparsity of the best point."""
        support = (state.best != state.origin).flatten(1).sum(dim=1)
        sparser, whole = support < SPARSER * state.support, self.stride * state.epsilon
        changed = state._replace(
            point=torch.where(wide(sparser), state.best, state.point),
            step=torch.where(sparser, whole, (state.step / SHORTER).maximum(whole / SHORTEST)),
            share=support / state.origin[0].numel() / THINNER,
            support=support.to(state.support.dtype),
        )
        return changed, torch.where(wide(sparser), state.slope, slope)


def nearest_inside(origin: Tensor, delta: Tensor, epsilon: Tensor) -> Tensor:
    """Return the point of the L1 ball around `origin` and of the box that is nearest to origin + delta. Every entry of
    delta is shortened by one threshold, the least that leaves a sum of epsilon, and cut to its room in the box."""
    flat, base = delta.flatten(1), origin.flatten(1)
    length = flat.abs()
    room = torch.where(flat > 0, 1 - base, base)
    bound = ROOM * epsilon

    def shortened(threshold: Tensor) -> Tensor:
        return (length - threshold[:, None]).clamp_min(0.0).minimum(room)

    low = torch.zeros_like(bound)
    high = length.amax(dim=1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = shortened(middle).sum(dim=1) > bound
        low, high = torch.where(over, middle, low), torch.where(over, high, middle)
    fits = shortened(torch.zeros_like(low)).sum(dim=1) <= bound
    kept = shortened(torch.where(fits, 0.0, high))
    point = base + flat.sign() * kept
    outside = (point - base).abs() > kept  # rounded away from the image: thousands of entries add up
    return torch.where(outside, torch.nextafter(point, base), point).clamp(0.0, 1.0).view(delta.shape)


def apgd(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Apgd) -> Verdicts:
    """Attack every image of a problem, within epsilon [n], one for each."""
    verdicts = Verdicts.none(len(problem.images))
    rules = SparseRules() if norm == "l1" else DenseRules(BALLS[norm])
    windows = rules.windows(recipe.steps)
    ends = dict(zip(accumulate(windows), windows, strict=True))  # checkpoint -> steps since the last one
    for rows in device_batches(problem):
        for run in range(max(1, recipe.targets)):
            rows = rows[~verdicts.broken[rows]]
            if not len(rows):
                break
            state = _begun(problem, rules, rows, epsilon[rows], run)
            for number in range(recipe.steps + 1):
                point, left = state.point.detach().requires_grad_(), state.row.cpu().numpy()
                z = problem.forward(point)
                targets = problem.targets[left][:, min(run, problem.targets.shape[1] - 1)] if recipe.targets else None
                loss = LOSSES[recipe.loss](z, problem.labels[left], targets)
                slope, loss = gradient_of(loss, point), loss.detach()
                verdicts.passes[left] += 1
                gone = verdicts.judge(problem, norm, left, state.point, z.detach())
                gone |= verdicts.drop(problem, left, slope, state.epsilon.cpu().numpy())
                stays = torch.from_numpy(~gone).to(loss.device)
                if number == recipe.steps or not bool(stays.any()):
                    break
                state = ApgdState._make(part[stays] for part in state) if gone.any() else state
                loss, slope = loss[stays], slope[stays]
                better = loss > state.top
                state = state._replace(
                    best=torch.where(wide(better), state.point, state.best),
                    slope=torch.where(wide(better), slope, state.slope),
                    top=torch.where(better, loss, state.top),
                    rises=state.rises + (loss > state.last) * (number > 0),
                    last=loss,
                )
                if number in ends:
                    state, slope = rules.retake(state, slope, ends[number])
                carried = CARRIED * (number > 0)
                state = state._replace(before=state.point, point=rules.move(state, slope, carried))
    return verdicts


def _begun(problem: Problem, rules: DenseRules | SparseRules, rows: Rows, bound: Tensor, run: int) -> ApgdState:
    origin = problem.images[rows]
    seeds = [int(problem.seeds[row]) + SEED * (run + 1) for row in rows]
    point = rules.start(origin, bound, seeds)
    lowest, zero = torch.full_like(bound, float("-inf")), torch.zeros(len(rows), dtype=torch.int64, device=bound.device)
    return ApgdState(
        row=torch.from_numpy(rows).to(bound.device), epsilon=bound, origin=origin, point=point, before=point,
        best=point, slope=torch.zeros_like(point), step=rules.stride * bound, last=lowest, top=lowest, noted=lowest,
        rises=zero, halved=torch.ones_like(zero, dtype=torch.bool), share=torch.full_like(bound, AT_FIRST),
        support=torch.full_like(bound, problem.images[0].numel()),
    )  # fmt: skip
