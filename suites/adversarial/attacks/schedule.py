"""A sweep as a list of steps: every step knows its epsilon, its size, its loss and where it starts.

An image walks down the list until it is broken. Epsilons ascend, so an image that is broken at one epsilon is broken
at every larger one and needs no further step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from suites.adversarial.attacks.losses import KINDS
from suites.adversarial.config import Config, Stage, StartName, Threat

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
    steps = [
        step
        for epsilon in threat.epsilons
        for one in config.stages
        for step in _stage(one, epsilon)
    ]
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
        i > 0 and start[i] == 0 and name[i] != name[i - 1] and epsilon[i] == epsilon[i - 1]
        for i in range(len(name))
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
