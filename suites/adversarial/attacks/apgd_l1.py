"""Auto-PGD's rules in L1 (Croce & Hein 2021, ICML, "Mind the box"): steps of few entries, projected onto ball and box
at once.

An L1 ball cut to the box is far smaller than the ball, so a projection onto one and then the other loses most of a
step. The share of entries that a step moves follows how sparse the best perturbation is."""

from dataclasses import replace

import torch
from torch import Tensor

from suites.adversarial.attacks.apgd_state import Climb, Rules
from suites.adversarial.attacks.problem import seeded, wide

STRIDE = 1.0
SHORTEST = 10.0  # steps are never shorter than stride / SHORTEST
SHORTER = 1.5  # what a step is divided by
SPARSER = 0.95  # support over the last one, below which the step starts anew
THINNER = 1.5  # the next steps move the best point's support over this
HALVINGS = 26  # to the last bit of float32
ROOM = 1 - 1e-6  # of epsilon: what a float32 sum over many entries may be off by


def windows(steps: int) -> tuple[int, ...]:
    """Every 4 % of the steps."""
    length = max(int(0.04 * steps), 1)
    return (length,) * (steps // length)


def move(climb: Climb, slope: Tensor) -> Tensor:
    """The signs of the entries with the largest gradients, at unit sum, times the step."""
    flat = slope.flatten(1)
    count = (climb.share * flat.shape[1]).ceil().long().clamp(1, flat.shape[1])
    ranked = flat.abs().sort(dim=1, descending=True).values
    least = ranked.gather(1, count[:, None] - 1)
    signs = torch.where(flat.abs() >= least, flat.sign(), 0.0)
    way = signs / signs.abs().sum(dim=1, keepdim=True).clamp_min(1.0)
    delta = climb.point - climb.origin + way.view(slope.shape) * wide(climb.step)
    return inside(climb.origin, delta, climb.epsilon)


def retake(climb: Climb, slope: Tensor, window: Tensor) -> tuple[Climb, Tensor]:
    """At a checkpoint: as sparse as the best point is; where that became sparser, from there with whole steps again,
    else with shorter ones."""
    due = window > 0
    size = climb.origin[0].numel()
    support = (climb.best != climb.origin).flatten(1).sum(dim=1)
    sparser = due & (support < SPARSER * climb.support)
    whole = STRIDE * climb.epsilon
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


def _start(origin: Tensor, epsilon: Tensor, seeds: list[int]) -> Tensor:
    """Normal noise, projected."""
    noise = seeded(lambda shape, generator: torch.randn(shape, generator=generator), origin, seeds)
    return inside(origin, noise, epsilon)


SPARSE_RULES = Rules(_start, STRIDE, windows, move, retake)
