"""Auto-PGD (Croce & Hein 2020; in L1: 2021): projected ascent that chooses its own step sizes.

Every image has its own state and its own iteration, so that it leaves the batch as soon as one of its points is
misclassified, and the next one takes its place. The rules of a norm are in `climbing` (Linf, L2) and `sparse` (L1).
"""

from dataclasses import replace

import torch
from torch import Tensor

from suites.adversarial.attacks.apgd_l1 import sparse_rules
from suites.adversarial.attacks.apgd_state import Climb, Rules, dense_rules
from suites.adversarial.attacks.problem import (
    Geometry,
    Outcome,
    Problem,
    cross_entropy,
    fallen,
    geometry,
    gradient_of,
    loss_named,
    lost,
    margin,
    unattacked,
)
from suites.adversarial.config import Apgd, NormName

SEED = 1_000_003  # starts other than those of PGD's stages
AT_FIRST = 0.2  # share of the entries that the first L1 steps move


def apgd(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Apgd) -> Outcome:
    """Attack every image of a problem, within epsilon [n], one for each.

    Costs at most steps + 1 gradient passes per target and restart.
    """
    ball, found = geometry(norm), unattacked(len(problem.images))
    rules = sparse_rules() if norm == "l1" else dense_rules(ball)
    ends = _ends(rules.windows(recipe.steps), recipe.steps).to(problem.images.device)
    rows = torch.arange(len(problem.images), device=problem.images.device)
    waiting = [(row, 0) for row in reversed(rows.tolist())]
    climb = _begun(problem, rules, epsilon, [])
    while len(climb) or waiting:
        fresh = [waiting.pop() for _ in range(min(problem.batch - len(climb), len(waiting)))]
        if fresh:
            climb = climb.joined(_begun(problem, rules, epsilon, fresh))
        z, loss, slope = _pass(problem, climb, recipe)
        fell = _judged(problem, ball, climb, z, found) | _dropped(problem, climb, slope, found)
        over = ~fell & (climb.at == recipe.steps)
        # What images do whose run ended: their next target or restart, if there is one.
        ended = climb.only(over)
        runs = recipe.restarts * max(1, recipe.targets)
        pairs = zip(ended.row.tolist(), (ended.run + 1).tolist(), strict=True)
        waiting += [(row, run) for row, run in pairs if run < runs]
        stays = ~(fell | over)
        climb = _advanced(rules, climb.only(stays), loss[stays], slope[stays], ends)
    return found


def _ends(windows: tuple[int, ...], steps: int) -> Tensor:
    """[steps + 1]: the length of the window that ends at an iteration, 0 where none does."""
    ends = torch.zeros(steps + 1, dtype=torch.int64)
    ends[torch.tensor(windows, dtype=torch.int64).cumsum(0)] = torch.tensor(windows)
    return ends


def _begun(problem: Problem, rules: Rules, epsilon: Tensor, runs: list[tuple[int, int]]) -> Climb:
    """Images at the start of a run; runs: (position, number of the run)."""
    device = problem.images.device
    row = torch.tensor([row for row, _ in runs], dtype=torch.int64, device=device)
    run = torch.tensor([run for _, run in runs], dtype=torch.int64, device=device)
    origin, bound = problem.images[row], epsilon[row]
    seeds = [int(problem.seeds[row]) + SEED * (run + 1) for row, run in runs]
    point = rules.start(origin, bound, seeds) if runs else origin
    lowest = torch.full_like(bound, float("-inf"))
    zero = torch.zeros_like(row)
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


def _pass(problem: Problem, climb: Climb, recipe: Apgd) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, losses and gradients at the points."""
    y = problem.labels[climb.row]
    target = torch.full_like(y, -1)
    if recipe.targets:
        rank = (climb.run // recipe.restarts).clamp_max(problem.targets.shape[1] - 1)
        target = problem.targets[climb.row].gather(1, rank[:, None])[:, 0]
    point = climb.point.detach().requires_grad_()
    z = problem.forward(point)
    loss = loss_named(recipe.loss)(z, y, target)
    slope = gradient_of(loss, point)
    return z.detach(), loss.detach(), slope


def _judged(problem: Problem, ball: Geometry, climb: Climb, z: Tensor, found: Outcome) -> Tensor:
    """Note where the images stand; [b] bool: broken here."""
    y = problem.labels[climb.row]
    none, fell = torch.full_like(y, -1), fallen(problem, climb.row, climb.point, z)
    at = climb.row.cpu().numpy()
    found.passes[at] += 1
    found.loss[at] = cross_entropy(z, y, none).cpu().numpy()
    found.margin[at] = margin(z, y, none).cpu().numpy()
    if bool(fell.any()):
        broken = fell.cpu().numpy()
        delta = (climb.point - climb.origin)[fell]
        found.broken[at[broken]] = True
        found.size[at[broken]] = ball.size(delta).cpu().numpy()
    return fell


def _dropped(problem: Problem, climb: Climb, slope: Tensor, found: Outcome) -> Tensor:
    """[b] bool: images whose gradient is no number; they count as broken."""
    gone = lost(problem, climb.row, slope)
    at, which = climb.row.cpu().numpy(), gone.cpu().numpy()
    new = which & ~found.broken[at]
    found.broken[at[new]] = True
    found.size[at[new]] = climb.epsilon.cpu().numpy()[new]
    return gone


def _advanced(rules: Rules, climb: Climb, loss: Tensor, slope: Tensor, ends: Tensor) -> Climb:
    """One step further: remember the best point, reconsider the step at a checkpoint, move."""
    if not len(climb):
        return climb
    better = loss > climb.top
    wide_better = better.reshape(-1, 1, 1, 1)
    climb = replace(
        climb,
        best=torch.where(wide_better, climb.point, climb.best),
        slope=torch.where(wide_better, slope, climb.slope),
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
