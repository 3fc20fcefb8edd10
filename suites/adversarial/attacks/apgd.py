"""Auto-PGD (Croce & Hein 2020; in L1: 2021): projected ascent that chooses its own step sizes.

Every image has its own state and its own iteration, so that it leaves the batch as soon as one of its points is
misclassified, and the next one takes its place. The rules of a norm are in `apgd_state` (Linf, L2) and `apgd_l1`."""

from dataclasses import replace

import torch
from torch import Tensor

from suites.adversarial.attacks.apgd_l1 import SPARSE_RULES
from suites.adversarial.attacks.apgd_state import Climb, Rules, dense_rules
from suites.adversarial.attacks.problem import BALLS, LOSSES, Problem, Verdicts, gradient_of, wide
from suites.adversarial.config import Apgd, NormName

SEED = 1_000_003  # starts other than those of PGD's stages
AT_FIRST = 0.2  # share of the entries that the first L1 steps move


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
        loss = LOSSES[recipe.loss](z, problem.labels[rows], _targets(problem, climb, recipe))
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


def _targets(problem: Problem, climb: Climb, recipe: Apgd) -> Tensor | None:
    if not recipe.targets:
        return None
    rank = climb.run.clamp_max(problem.targets.shape[1] - 1)
    return problem.targets[climb.row].gather(1, rank[:, None])[:, 0]


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
