"""The state of Auto-PGD, and its rules in Linf and L2 (Croce & Hein 2020, ICML, algorithm 1).

Momentum carries a quarter of the last move on. At checkpoints that come ever closer, an image's step is halved and its
point put back to the best one found, if too few steps raised the loss or if the best loss stands still.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import accumulate, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.problem import KINDS, Geometry, seeded, wide
from suites.adversarial.config import Config, Stage, StartName, Threat

CARRIED = 0.25  # of the last move, from the second step on
RISING = 0.75  # share of a window's steps that must raise the loss
STRIDE = 2.0  # first step over epsilon


@dataclass(frozen=True)
class Climb:
    """The images in the device batch; each field has one entry per image.

    row: position in the problem; run: which target and restart; at: iterations done; epsilon; origin: the image;
    point, before: where it is, where it came from; best, slope: the point of the highest loss, and the gradient there;
    step: size of the next step; last, top: newest and highest loss; noted: highest loss at the last checkpoint; rises:
    steps of this window that raised the loss; halved: the last checkpoint halved the step; share, support (L1): the
    share of entries that a step moves, and how many the best point had changed at the last checkpoint.
    """

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
        names = [field.name for field in fields(self)]
        return Climb(*(torch.cat([getattr(self, name), getattr(other, name)]) for name in names))


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


def dense_rules(ball: Geometry) -> Rules:
    """The rules in Linf and L2."""

    def start(origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
        draws = seeded(ball.draw, origin, seeds)  # put on the sphere, before the box is cut
        return (origin + draws * wide(epsilon / ball.size(draws))).clamp_(0.0, 1.0)

    def move(climb: Climb, slope: Tensor) -> Tensor:
        plain = _inside(ball, climb, climb.point + ball.direction(slope) * wide(climb.step))
        carried = wide(torch.where(climb.at > 0, CARRIED, 0.0))
        ahead, on = plain - climb.point, climb.point - climb.before
        return _inside(ball, climb, climb.point + ahead * (1 - carried) + on * carried)

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


def _inside(ball: Geometry, climb: Climb, point: Tensor) -> Tensor:
    return ball.project(point - climb.origin, climb.epsilon).add_(climb.origin).clamp_(0.0, 1.0)


# A sweep as a list of steps: every step knows its epsilon, its size, its loss and where it starts.
#
# An image walks down the list until it is broken. Epsilons ascend, so an image that is broken at one epsilon is
# broken
# at every larger one and needs no further step.


STARTS: tuple[StartName, ...] = ("last", "clean", "random")


@dataclass(frozen=True)
class Step:
    """One gradient step. kind, start: positions in `KINDS` and `STARTS`; target 0: untargeted, r: towards the r-th
    most likely wrong class; name: the stage it belongs to."""

    epsilon: float
    size: float
    kind: int
    start: int
    target: int
    name: str


@dataclass(frozen=True)
class Schedule:
    """The steps as columns, each [steps]. leap: where a stage goes on from the one before at the same epsilon, the
    first step of the next epsilon, at which an image goes on that keeps more than `keeps` of its margin (else -1)."""

    epsilon: NDArray[np.float64]
    size: NDArray[np.float64]
    kind: NDArray[np.int64]
    start: NDArray[np.int64]
    target: NDArray[np.int64]
    name: tuple[str, ...]
    leap: NDArray[np.int64]
    keeps: float = 1.0

    def __len__(self) -> int:
        return len(self.name)


def sweep(threat: Threat, config: Config) -> Schedule:
    """All epsilons of a threat, small to large, then the far one."""
    steps = [step for epsilon in threat.epsilons for one in config.stages for step in _stage(one, epsilon)]
    if threat.far:
        far = [Stage(one.loss, config.far_steps, targets=one.targets) for one in config.stages]
        steps += [step for one in far for step in _stage(one, threat.far)]
    return schedule_of(steps, config.leap)


def single(stage: Stage, epsilon: float) -> Schedule:
    """One stage at one epsilon."""
    return schedule_of(list(_stage(stage, epsilon)))


def schedule_of(steps: list[Step], keeps: float = 1.0) -> Schedule:
    """Columns from steps."""
    epsilon = np.array([step.epsilon for step in steps], dtype=np.float64)
    return Schedule(
        epsilon,
        np.array([step.size for step in steps], dtype=np.float64),
        np.array([step.kind for step in steps], dtype=np.int64),
        np.array([step.start for step in steps], dtype=np.int64),
        np.array([step.target for step in steps], dtype=np.int64),
        tuple(step.name for step in steps),
        _leaps(epsilon, [step.name for step in steps], [step.start for step in steps]),
        keeps,
    )


def _leaps(epsilon: NDArray[np.float64], name: list[str], start: list[int]) -> NDArray[np.int64]:
    following = np.searchsorted(epsilon, epsilon, side="right")
    goes_on = [
        i > 0 and start[i] == 0 and name[i] != name[i - 1] and epsilon[i] == epsilon[i - 1] for i in range(len(name))
    ]
    ahead = np.array(goes_on, dtype=np.bool_) & (following < len(name))
    return np.where(ahead, following, -1)


def _stage(stage: Stage, epsilon: float) -> Iterator[Step]:
    size, kind = stage.pace * epsilon / stage.steps, KINDS.index(stage.loss)
    name = stage.loss + ("-targeted" if stage.targets else "")
    targets = range(1, stage.targets + 1) if stage.targets else (0,)
    for target, _, number in product(targets, range(stage.restarts), range(stage.steps)):
        start = STARTS.index(stage.start) if number == 0 else 0
        yield Step(epsilon, size, kind, start, target, name)
