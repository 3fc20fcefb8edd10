"""The state of Auto-PGD, and its rules in Linf and L2 (Croce & Hein 2020, ICML, algorithm 1).

Momentum carries a quarter of the last move on. At checkpoints that come ever closer, an image's step is halved and its
point put back to the best one found, if too few steps raised the loss or if the best loss stands still."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import accumulate

import torch
from torch import Tensor

from suites.adversarial.attacks.problem import Ball, seeded, wide

CARRIED = 0.25  # of the last move, from the second step on
RISING = 0.75  # share of a window's steps that must raise the loss
STRIDE = 2.0  # first step over epsilon


@dataclass(frozen=True)
class Climb:
    """The images in the device batch; each field has one entry per image.

    row: position in the problem; run: which target; at: iterations done; epsilon; origin: the image; point, before:
    where it is, where it came from; best, slope: the point of the highest loss, and the gradient there; step: size of
    the next step; last, top: newest and highest loss; noted: highest loss at the last checkpoint; rises: steps of this
    window that raised the loss; halved: the last checkpoint halved the step; share, support (L1): the share of entries
    that a step moves, and how many the best point had changed at the last checkpoint."""

    row: Tensor
    run: Tensor
    at: Tensor
    epsilon: Tensor
    origin: Tensor
    point: Tensor
    before: Tensor
    best: Tensor
    slope: Tensor
    step: Tensor
    last: Tensor
    top: Tensor
    noted: Tensor
    rises: Tensor
    halved: Tensor
    share: Tensor
    support: Tensor

    def __len__(self) -> int:
        return len(self.row)

    def only(self, keep: Tensor) -> "Climb":
        """The images at which `keep` is true."""
        if bool(keep.all()):
            return self
        return Climb(*(getattr(self, field.name)[keep] for field in fields(self)))

    def joined(self, other: "Climb") -> "Climb":
        """These images and those."""
        return Climb(*(torch.cat([getattr(part, field.name) for part in (self, other)]) for field in fields(self)))


@dataclass(frozen=True)
class Rules:
    """What differs between norms. start: (images, epsilon, seeds) -> points; stride: the first step over epsilon;
    windows: steps -> lengths of the windows between checkpoints; move: (climb, gradient at its points) -> the next
    points; retake: (climb, gradient, length [n] of the window that ends here, 0 between checkpoints) -> the climb with
    new steps and points, and the gradient there."""

    start: Callable[[Tensor, Tensor, list[int]], Tensor]
    stride: float
    windows: Callable[[int], tuple[int, ...]]
    move: Callable[[Climb, Tensor], Tensor]
    retake: Callable[[Climb, Tensor, Tensor], tuple[Climb, Tensor]]


def dense_rules(ball: Ball) -> Rules:
    """The rules in Linf and L2."""

    def start(origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
        draws = seeded(ball.draw, origin, seeds)  # put on the sphere, before the box is cut
        return (origin + draws * wide(epsilon / ball.size(draws))).clamp_(0.0, 1.0)

    def inside(climb: Climb, point: Tensor) -> Tensor:
        return ball.project(point - climb.origin, climb.epsilon).add_(climb.origin).clamp_(0.0, 1.0)

    def move(climb: Climb, slope: Tensor) -> Tensor:
        plain = inside(climb, climb.point + ball.direction(slope) * wide(climb.step))
        carried = wide(torch.where(climb.at > 0, CARRIED, 0.0))
        ahead, on = plain - climb.point, climb.point - climb.before
        return inside(climb, climb.point + ahead * (1 - carried) + on * carried)

    return Rules(start, STRIDE, windows, move, retake)


def windows(steps: int) -> tuple[int, ...]:
    """22 % of the steps, then 3 % fewer each time, never under 6 %; whole steps, as the authors' code has them."""
    first, less, least = (max(int(part * steps), 1) for part in (0.22, 0.03, 0.06))
    lengths = [max(first - number * less, least) for number in range(steps)]
    return tuple(lengths[: sum(1 for end in accumulate(lengths) if end <= steps)])


def retake(climb: Climb, slope: Tensor, window: Tensor) -> tuple[Climb, Tensor]:
    """At a checkpoint: halve the step and go back to the best point, where the ascent falters."""
    due = window > 0
    falters = climb.rises <= RISING * window
    stuck = ~climb.halved & (climb.noted >= climb.top)
    halve = due & (falters | stuck)
    changed = replace(
        climb,
        point=torch.where(wide(halve), climb.best, climb.point),
        step=torch.where(halve, climb.step / 2, climb.step),
        halved=torch.where(due, halve, climb.halved),
        noted=torch.where(due, climb.top, climb.noted),
        rises=torch.where(due, 0, climb.rises),
    )
    return changed, torch.where(wide(halve), climb.slope, slope)
