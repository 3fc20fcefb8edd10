"""Auto-PGD (Croce & Hein 2020, ICML, algorithm 1): projected ascent that chooses its own step sizes. A batch takes its
steps together, without the images that are broken already."""

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


class DenseRules:
    """The rules in Linf and L2."""

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


def apgd(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Apgd) -> Verdicts:
    """Attack every image of a problem, within epsilon [n], one for each."""
    verdicts = Verdicts.none(len(problem.images))
    rules = DenseRules(BALLS[norm])
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


def _begun(problem: Problem, rules: DenseRules, rows: Rows, bound: Tensor, run: int) -> ApgdState:
    origin = problem.images[rows]
    seeds = [int(problem.seeds[row]) + SEED * (run + 1) for row in rows]
    point = rules.start(origin, bound, seeds)
    lowest, zero = torch.full_like(bound, float("-inf")), torch.zeros(len(rows), dtype=torch.int64, device=bound.device)
    return ApgdState(
        row=torch.from_numpy(rows).to(bound.device), epsilon=bound, origin=origin, point=point, before=point,
        best=point, slope=torch.zeros_like(point), step=rules.stride * bound, last=lowest, top=lowest, noted=lowest,
        rises=zero, halved=torch.ones_like(zero, dtype=torch.bool),
    )  # fmt: skip
