"""Run PGD along a schedule, and FGSM. A batch is filled from all unbroken images, each at its own step of the schedule.
The forward pass of a gradient also judges the last step's point; the last point of a stage has one alone."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.balls import BALLS, linf_size
from suites.adversarial.attacks.losses import LOSSES, cross_entropy, gradient_of, margin
from suites.adversarial.attacks.problem import Problem, Rows, Verdicts, device_batches, fallen, not_finite, taken
from suites.adversarial.config import CLOSE, VANISHING, AdversarialConfig, NormName, Stage, Threat

PACE = 2.5  # the steps of a stage add up to so many epsilons
#: One gradient step. start: where it starts (`StartName`, "last" on all but a stage's first step); leap: where a stage
#: goes on from the one before at the same epsilon, the first step of the next epsilon (else -1).
STEP = np.dtype([("epsilon", "f8"), ("size", "f8"), ("loss", "U6"), ("start", "U6"), ("leap", "i8")])
Schedule = NDArray[np.void]


def schedule(stages: Iterable[tuple[Stage, float]]) -> Schedule:
    """Return the steps of stages, each at its epsilon (ascending). An image walks down them until it is broken."""
    rows = [
        (epsilon, PACE * epsilon / stage.steps, stage.loss, "last" if number else stage.start, number)
        for stage, epsilon in stages
        for number in range(stage.steps)
    ]
    steps = np.array(rows, dtype=STEP)
    epsilon = steps["epsilon"]
    following = np.searchsorted(epsilon, epsilon, side="right")
    goes_on = (steps["leap"] == 0) & (steps["start"] == "last") & (np.append(-1, epsilon)[:-1] == epsilon)
    steps["leap"] = np.where(goes_on & (following < len(steps)), following, -1)
    return steps


def threat_schedule(threat: Threat, config: AdversarialConfig) -> Schedule:
    """Return all epsilons of a threat, small to large, then the far one."""
    stages = [(stage, epsilon) for epsilon in threat.epsilons for stage in config.stages]
    if threat.far:
        stages += [(Stage(loss=stage.loss, steps=config.far_steps), threat.far) for stage in config.stages]
    return schedule(stages)


class Ascent(Verdicts):
    """Run a schedule on every image of a problem. Beside the verdicts, arrays [n] hold the newest `point`, its next
    step (`at`), and whether a start placed it (`fresh`). `reached` [n, steps] is the margin that each step reached
    (NaN: none). Images in `standing` are not broken and not finished; `fell` is the step that broke an image (-1:
    none). `led` is true if the newest step had a gradient. Images that keep more of their margin than `keeps` leap."""

    def __init__(self, problem: Problem, norm: NormName, steps: Schedule, keeps: float = 1.0) -> None:
        n = len(problem.images)
        super().__init__(**vars(Verdicts.none(n)))
        self.problem, self.norm, self.steps, self.keeps = problem, norm, steps, keeps
        self.point = problem.images.clone()
        self.at: Rows = np.zeros(n, dtype=np.int64)
        self.fresh = np.zeros(n, dtype=np.bool_)
        self.reached = np.full((n, len(steps)), np.nan)
        self.standing = np.full(n, len(steps) > 0)
        self.fell: Rows = np.full(n, -1, dtype=np.int64)
        self.led = np.ones(n, dtype=np.bool_)
        self._place(np.flatnonzero(self.standing))
        starts, batch = np.append(steps["start"] != "last", True), problem.batch
        while self.standing.any():
            alive = np.flatnonzero(self.standing)
            done = ~self.fresh[alive] & starts[self.at[alive]] & (self.at[alive] > 0)
            ready, rows = alive[~done], alive[done][:batch]
            if len(ready) >= batch or not len(rows):
                self._step(ready[np.argsort(self.at[ready], kind="stable")[:batch]])
                continue
            point = taken(self.point, rows)
            with torch.no_grad():
                z = problem.forward(point)
            self.forwards[rows] += 1
            self._judge(rows, point, z)
            self.standing[rows] &= self.at[rows] < len(steps)
            self._place(rows[self.standing[rows]])

    def _step(self, rows: Rows) -> None:
        """Run one forward and backward pass: judge the points, move those that still hold."""
        problem = self.problem
        point = taken(self.point, rows).requires_grad_()
        z = problem.forward(point)
        loss, kinds = torch.zeros_like(z[:, 0]), self.steps["loss"][self.at[rows]]
        for name, function in LOSSES.items():
            if len(which := np.flatnonzero(kinds == name)):
                some = torch.from_numpy(which).to(z.device)
                loss = loss.index_add(0, some, function(z[some], problem.labels[rows[which]], None))
        way = gradient_of(loss, point)
        self.passes[rows] += 1
        point, z = point.detach(), z.detach()
        self._judge(rows, point, z)
        followed, steps = problem.followed, self.steps[self.at[rows]]
        if followed.wanted.any():  # gradients of the margin that the trust report asks for
            which = (steps["loss"] == "margin") & (steps["epsilon"] <= followed.within * CLOSE)
            for place in np.flatnonzero(which & followed.wanted[rows] & self.standing[rows]).tolist():
                others = z[place].index_fill(0, problem.labels[rows[place]], float("-inf"))
                followed.note(int(rows[place]), point[place], way[place], int(others.argmax()))
        if problem.rest is not None and self.keeps < 1:
            # Images that are still far from the boundary take this step at the next epsilon. Those that the stage
            # before had no gradient for (a saturated cross entropy) may be near it.
            ahead = self.steps["leap"][self.at[rows]]
            far = self.margin[rows] < self.keeps * problem.rest[rows].cpu().numpy()
            far &= (ahead >= 0) & self.led[rows] & self.standing[rows]
            self.at[rows[far]] = ahead[far]
        gone = rows[self.drop(problem, rows, way, self.steps["epsilon"][self.at[rows]]) & self.standing[rows]]
        self.fell[gone], self.standing[gone] = self.at[gone], False
        self.led[rows] = _leads(way)
        moved = BALLS[self.norm].move(taken(problem.images, rows), point, way, *self._sizes(rows))
        for place in np.flatnonzero(self.standing[rows]).tolist():
            self.point[rows[place]].copy_(moved[place])
        left = rows[self.standing[rows]]
        self.at[left] += 1
        self.fresh[left] = False

    def _judge(self, rows: Rows, point: Tensor, z: Tensor) -> None:
        """Record margins and broken images: by the step that reached the point, or by the start that chose it."""
        fell = rows[self.judge(self.problem, self.norm, rows, point, z)]
        came = rows[~self.fresh[rows]]
        self.reached[came, self.at[came] - 1] = self.margin[came]
        self.fell[fell] = self.at[fell] - ~self.fresh[fell]
        self.standing[fell] = False

    def _sizes(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the epsilon and step size [len(rows)] of their next steps."""
        steps = self.steps[self.at[rows]]
        epsilon, size = (torch.tensor(steps[name]).to(self.point) for name in ("epsilon", "size"))
        return epsilon, size

    def _place(self, rows: Rows) -> None:
        problem, starts = self.problem, self.steps["start"][self.at[rows]]
        clean, drawn = rows[starts == "clean"], rows[starts == "random"]
        self.point[clean] = problem.images[clean]
        if len(drawn):
            seeds = [int(problem.seeds[row]) + int(self.at[row]) for row in drawn]
            self.point[drawn] = BALLS[self.norm].random_start(problem.images[drawn], self._sizes(drawn)[0], seeds)
        self.fresh[rows] = True
        known = rows[(starts != "random") & (self.steps["loss"][self.at[rows]] == "ce")]
        if problem.first is not None and len(known):
            origin, way = problem.images[known], problem.first[known]
            self.point[known] = BALLS[self.norm].move(origin, origin, way, *self._sizes(known))
            self.led[known] = _leads(way)
            self.at[known] += 1
            self.fresh[known] = False


def _leads(way: Tensor) -> NDArray[np.bool_]:
    return (linf_size(way) >= VANISHING).cpu().numpy()


class Slope(NamedTuple):
    """Every image at rest."""

    z: Tensor  # logits [n, c]
    gradient: Tensor  # of the cross entropy, like the images
    loss: Tensor  # [n]
    margin: Tensor  # [n], above 0: wrong
    failed: Tensor  # [n], logits or gradient are NaN or infinite: the gradient is zero then


def slope(problem: Problem) -> Slope:
    """Return one gradient pass per image."""
    parts = []
    for rows in device_batches(problem):
        y, point = problem.labels[rows], problem.images[rows].detach().requires_grad_()
        z = problem.forward(point)
        loss = cross_entropy(z, y)
        gradient, z = gradient_of(loss, point), z.detach()
        gone = not_finite(gradient)
        problem.failed[rows] |= gone.cpu().numpy()
        failed = gone | not_finite(z)
        gradient[failed] = 0.0
        parts.append((z, gradient, loss.detach(), margin(z, y), failed))
    z, gradient, losses, margins, failed = (torch.cat(column) for column in zip(*parts, strict=True))
    return Slope(z=z, gradient=gradient, loss=losses, margin=margins, failed=failed)


def fgsm(problem: Problem, gradient: Tensor, epsilons: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return [n, epsilons]: wrong at x + epsilon sign(gradient) in the box (Goodfellow et al. 2015), each by itself."""
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for rows in device_batches(problem):
        images, sign = problem.images[rows], gradient[rows].sign()
        for column, epsilon in enumerate(epsilons):
            shifted = torch.add(images, sign, alpha=epsilon).clamp_(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(shifted)
            broken[rows, column] = fallen(problem, rows, shifted, z)
    return broken
