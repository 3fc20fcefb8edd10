"""Auto-PGD (Croce & Hein 2020, ICML, algorithm 1; in L1: 2021, "Mind the box"): projected ascent that chooses its own
step sizes.

Momentum carries a quarter of the last move on. At checkpoints that come ever closer, an image's step is halved and its
point put back to the best one found, if too few steps raised the loss or if the best loss stands still. In L1 steps
move few entries and are projected onto ball and box at once: an L1 ball cut to the box is far smaller than the ball, so
a projection onto one and then the other loses most of a step. The share of entries that a step moves follows how sparse
the best perturbation is.

Every image has its own state and its own iteration, so that it leaves the batch as soon as one of its points is
misclassified, and the next one takes its place."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import accumulate

import torch
from torch import Tensor

from suites.adversarial.attacks.problem import BALLS, LOSSES, Ball, Problem, Verdicts, gradient_of, seeded, wide
from suites.adversarial.config import Apgd, NormName

SEED = 1_000_003  # starts other than those of PGD's stages
CARRIED = 0.25  # of the last move, from the second step on
RISING = 0.75  # share of a window's steps that must raise the loss
STRIDE = 2.0  # first step over epsilon
# In L1:
AT_FIRST = 0.2  # share of the entries that the first steps move
SPARSE_STRIDE = 1.0
SHORTEST = 10.0  # steps are never shorter than stride / SHORTEST
SHORTER = 1.5  # what a step is divided by
SPARSER = 0.95  # support over the last one, below which the step starts anew
THINNER = 1.5  # the next steps move the best point's support over this
HALVINGS = 26  # to the last bit of float32
ROOM = 1 - 1e-6  # of epsilon: what a float32 sum over many entries may be off by


@dataclass(frozen=True, kw_only=True)
class Climb:
    """The images in the device batch; each field has one entry per image.

    row: position in the problem; run: which target; at: iterations done; epsilon; origin: the image;
    point, before: where it is, where it came from; best, slope: the point of the highest loss, and the gradient there;
    step: size of the next step; last, top: newest and highest loss; noted: highest loss at the last checkpoint; rises:
    steps of this window that raised the loss; halved: the last checkpoint halved the step; share, support (L1): the
    share of entries that a step moves, and how many the best point had changed at the last checkpoint."""

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
        return Climb(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def joined(self, other: "Climb") -> "Climb":
        """These images and those."""
        return Climb(
            **{field.name: torch.cat([getattr(part, field.name) for part in (self, other)]) for field in fields(self)}
        )


@dataclass(frozen=True, kw_only=True)
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

    return Rules(start=start, stride=STRIDE, windows=windows, move=move, retake=retake)


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


def sparse_windows(steps: int) -> tuple[int, ...]:
    """Every 4 % of the steps."""
    length = max(int(0.04 * steps), 1)
    return (length,) * (steps // length)


def sparse_move(climb: Climb, slope: Tensor) -> Tensor:
    """The signs of the entries with the largest gradients, at unit sum, times the step."""
    flat = slope.flatten(1)
    count = (climb.share * flat.shape[1]).ceil().long().clamp(1, flat.shape[1])
    ranked = flat.abs().sort(dim=1, descending=True).values
    least = ranked.gather(1, count[:, None] - 1)
    signs = torch.where(flat.abs() >= least, flat.sign(), 0.0)
    way = signs / signs.abs().sum(dim=1, keepdim=True).clamp_min(1.0)
    delta = climb.point - climb.origin + way.view(slope.shape) * wide(climb.step)
    return inside(climb.origin, delta, climb.epsilon)


def sparse_retake(climb: Climb, slope: Tensor, window: Tensor) -> tuple[Climb, Tensor]:
    """At a checkpoint: as sparse as the best point is; where that became sparser, from there with whole steps again,
    else with shorter ones."""
    due = window > 0
    size = climb.origin[0].numel()
    support = (climb.best != climb.origin).flatten(1).sum(dim=1)
    sparser = due & (support < SPARSER * climb.support)
    whole = SPARSE_STRIDE * climb.epsilon
    shorter = (climb.step / SHORTER).maximum(whole / SHORTEST)
    changed = replace(
        climb,
        point=torch.where(wide(sparser), climb.best, climb.point),
        step=torch.where(due, torch.where(sparser, whole, shorter), climb.step),
        share=torch.where(due, support / size / THINNER, climb.share),
        support=torch.where(due, support.to(climb.support.dtype), climb.support),
    )
    return changed, torch.where(wide(sparser), climb.slope, slope)


def inside(origin: Tensor, delta: Tensor, epsilon: Tensor) -> Tensor:
    """The point of the L1 ball around `origin` and of the box that is nearest to origin + delta.

    Every entry of delta is shortened by one threshold and cut to its room in the box; the threshold (found by halving
    an interval) is the least one that leaves a sum of epsilon."""
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


SPARSE_RULES = Rules(
    # normal noise, projected
    start=lambda origin, epsilon, seeds: inside(
        origin, seeded(lambda shape, stream: torch.randn(shape, generator=stream), origin, seeds), epsilon
    ),
    stride=SPARSE_STRIDE,
    windows=sparse_windows,
    move=sparse_move,
    retake=sparse_retake,
)


def apgd(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Apgd) -> Verdicts:
    """Attack every image of a problem, within epsilon [n], one for each.

    Costs at most steps + 1 gradient passes per target."""
    verdicts = Verdicts.none(len(problem.images))
    rules = SPARSE_RULES if norm == "l1" else dense_rules(BALLS[norm])
    # the length of the window that ends at an iteration, 0 where none does
    lengths = torch.tensor(rules.windows(recipe.steps), dtype=torch.int64)
    ends = torch.zeros(recipe.steps + 1, dtype=torch.int64)
    ends[lengths.cumsum(0)] = lengths
    ends = ends.to(problem.images.device)
    waiting = [(row, 0) for row in reversed(range(len(problem.images)))]
    climb = _begun(problem, rules, epsilon, [])
    while len(climb) or waiting:
        fresh = [waiting.pop() for _ in range(min(problem.batch - len(climb), len(waiting)))]
        if fresh:
            climb = climb.joined(_begun(problem, rules, epsilon, fresh))
        rows = climb.row.cpu().numpy()
        point = climb.point.detach().requires_grad_()
        z = problem.forward(point)
        targets = None
        if recipe.targets:
            rank = climb.run.clamp_max(problem.targets.shape[1] - 1)
            targets = problem.targets[climb.row].gather(1, rank[:, None])[:, 0]
        loss = LOSSES[recipe.loss](z, problem.labels[rows], targets)
        slope = gradient_of(loss, point)
        loss = loss.detach()
        verdicts.passes[rows] += 1
        gone = verdicts.judge(problem, norm, rows, climb.point, z.detach())
        gone |= verdicts.drop(problem, rows, slope, climb.epsilon.cpu().numpy())
        fell = torch.from_numpy(gone).to(loss.device)
        over = ~fell & (climb.at == recipe.steps)
        # What images do whose run ended: their next target, if there is one.
        ended = climb.only(over)
        pairs = zip(ended.row.tolist(), (ended.run + 1).tolist(), strict=True)
        waiting += [(row, run) for row, run in pairs if run < recipe.targets]
        stays = ~(fell | over)
        climb = climb.only(stays)
        if len(climb):
            climb = _advanced(rules, climb, loss[stays], slope[stays], ends)
    return verdicts


def _begun(problem: Problem, rules: Rules, epsilon: Tensor, runs: list[tuple[int, int]]) -> Climb:
    """Images at the start of a run; runs: (position, number of the run)."""
    row, run = torch.tensor(runs, dtype=torch.int64, device=problem.images.device).reshape(-1, 2).T
    origin, bound = problem.images[row], epsilon[row]
    seeds = [int(problem.seeds[row]) + SEED * (run + 1) for row, run in runs]
    point = rules.start(origin, bound, seeds) if runs else origin
    lowest, zero = torch.full_like(bound, float("-inf")), torch.zeros_like(row)
    return Climb(
        row=row,
        run=run,
        at=zero,
        epsilon=bound,
        origin=origin,
        point=point,
        before=point,
        best=point,
        slope=torch.zeros_like(point),
        step=rules.stride * bound,
        last=lowest,
        top=lowest,
        noted=lowest,
        rises=zero,
        halved=torch.ones_like(row, dtype=torch.bool),
        share=torch.full_like(bound, AT_FIRST),
        support=torch.full_like(bound, problem.images[0].numel()),
    )


def _advanced(rules: Rules, climb: Climb, loss: Tensor, slope: Tensor, ends: Tensor) -> Climb:
    """One step further: remember the best point, reconsider the step at a checkpoint, move."""
    better = loss > climb.top
    climb = replace(
        climb,
        best=torch.where(wide(better), climb.point, climb.best),
        slope=torch.where(wide(better), slope, climb.slope),
        top=torch.where(better, loss, climb.top),
        noted=torch.where(climb.at == 0, loss, climb.noted),
        rises=climb.rises + ((loss > climb.last) & (climb.at > 0)),
        last=loss,
    )
    window = ends[climb.at]
    if bool((window > 0).any()):
        climb, slope = rules.retake(climb, slope, window)
    moved = rules.move(climb, slope)
    return replace(climb, before=climb.point, point=moved, at=climb.at + 1)
