"""All attacks in one norm, from the cheapest to the dearest: each sees only what those before left standing.

PGD walks the whole sweep; FGSM is merged in; then every further attack is tried at every epsilon, small to large. An
image that is broken within an epsilon is broken within every larger one.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.apgd import apgd
from suites.adversarial.attacks.apgd_state import sweep
from suites.adversarial.attacks.foreign import foreign
from suites.adversarial.attacks.pgd import attack, slope
from suites.adversarial.attacks.problem import Outcome, Problem, geometry
from suites.adversarial.attacks.square import square
from suites.adversarial.config import CLOSE, Apgd, Config, NormName, Recipe, Square, Threat, reference

#: What bisection asks: 20 steps that find their own size, of the loss that does not saturate.
HALVING = Apgd("margin", 20)
NAME = "U40"


@dataclass(frozen=True)
class Curve:
    """How far each image of a problem holds in one norm; arrays [n].

    epsilon: the smallest budget that broke it (infinite: none); by: which attack did; size: norm of the smallest
    perturbation found; held: the largest budget below that within which it was not broken; loss, margin: at the last
    point that an attack with gradients judged; passes, forwards: what it cost.
    """

    norm: NormName
    epsilon: NDArray[np.float64]
    by: NDArray[np.str_]
    size: NDArray[np.float64]
    held: NDArray[np.float64]
    loss: NDArray[np.float64]
    margin: NDArray[np.float64]
    passes: NDArray[np.int64]
    forwards: NDArray[np.int64]


def curve(problem: Problem, threat: Threat, config: Config, fast: NDArray[np.bool_] | None) -> Curve:
    """Attack every image of a problem. fast: [n, epsilons], what FGSM broke (None: it was not asked)."""
    found, margins = _walked(problem, threat, config)
    if fast is not None:
        found = merged(found, fast, threat.epsilons, "fgsm")
    for column, epsilon in enumerate(threat.epsilons):
        finish = config.finish
        if finish is not None and threat.norm in finish.norms:
            near = margins[:, column] > finish.near * _at_rest(problem)
            found = _tried(problem, found, finish.attack, epsilon, near)
            if finish.last is not None and epsilon in finish.at:
                near &= found.margin > finish.close * _at_rest(problem)
                found = _tried(problem, found, finish.last, epsilon, near)
        for recipe in config.attacks:
            found = _tried(problem, found, recipe, epsilon)
    if config.check is not None and threat.far and config.stages:
        found = _tried(problem, found, config.check, threat.far)
    found = _tightened(found, threat)
    for _ in range(config.bisect):
        found = _halved(problem, found, threat)
    return found


def second_opinion(
    problem: Problem, found: Curve, threat: Threat, config: Config, odd: NDArray[np.bool_], least: int
) -> tuple[Curve, NDArray[np.int64]]:
    """The attacks of `config.opinion` on those images whose gradient is odd ([n]), and on others up to `least` in all,
    each within the reference budget or the largest one that it survived. [n, attacks]: -1 not asked, 0 held, 1
    broken."""
    told = np.full((len(odd), len(config.opinion)), -1)
    bounds = np.where(np.isfinite(found.epsilon), found.held, found.epsilon)
    bounds = np.minimum(bounds, reference(threat))
    stands = np.flatnonzero(bounds > 0)
    ranked = stands[np.lexsort((problem.seeds[stands], -bounds[stands], ~odd[stands]))]
    rows = np.sort(ranked[: max(least, int(odd[stands].sum()))])
    if not len(rows):
        return found, told
    some, limits = part(problem, rows), bounds[rows]
    within = torch.tensor(limits, dtype=torch.float32, device=problem.images.device)
    for column, recipe in enumerate(config.opinion):
        outcome = _attacked(some, threat.norm, within, recipe)
        told[rows, column] = outcome.broken
        outcome.broken[:] &= found.epsilon[rows] > limits * CLOSE  # it may have fallen already
        noted = _noted(found, rows, outcome, limits, recipe.name)
        found = replace(noted, loss=found.loss, margin=found.margin)
    problem.failed[rows] |= some.failed
    return _tightened(found, threat), told


def merged(found: Curve, broken: NDArray[np.bool_], epsilons: tuple[float, ...], by: str) -> Curve:
    """The worse, image by image, of a curve and of an attack that broke [n, epsilons] in Linf."""
    smallest = np.where(broken, np.array(epsilons), np.inf).min(axis=1, initial=np.inf)
    sooner = smallest * CLOSE < found.epsilon
    return replace(
        found,
        epsilon=np.where(sooner, smallest, found.epsilon),
        by=np.where(sooner, by, found.by).astype(NAME),
        size=np.where(sooner, smallest, found.size),
    )


def part(problem: Problem, rows: NDArray[np.int64]) -> Problem:
    """The images of a problem at `rows`."""
    first = None if problem.first is None else problem.first[rows]
    rest = None if problem.rest is None else problem.rest[rows]
    return replace(
        problem,
        images=problem.images[rows],
        labels=problem.labels[rows],
        seeds=problem.seeds[rows],
        targets=problem.targets[rows],
        first=first,
        rest=rest,
        failed=problem.failed[rows],
    )


def _at_rest(problem: Problem) -> NDArray[np.float64]:
    """The margins at the images."""
    if problem.rest is None:
        return slope(problem).margin.double().cpu().numpy()
    return problem.rest.double().cpu().numpy()


def _walked(problem: Problem, threat: Threat, config: Config) -> tuple[Curve, NDArray[np.float64]]:
    """PGD along the sweep; and the margins that it reached at each epsilon, [n, epsilons] (NaN: broken before)."""
    steps = sweep(threat, config)
    pool = attack(problem, geometry(threat.norm), steps)
    fell = pool.broken >= 0
    if not len(steps):
        none = np.full((len(fell), len(threat.epsilons)), np.nan)
        return _untouched(threat.norm, len(fell)), none
    last = np.searchsorted(steps.epsilon, np.array(threat.epsilons), side="right") - 1
    found = Curve(
        threat.norm,
        epsilon=np.where(fell, steps.epsilon[pool.broken], np.inf),
        by=np.where(fell, np.array(steps.name)[pool.broken], "").astype(NAME),
        size=pool.size,
        held=np.zeros(len(fell)),
        loss=pool.loss,
        margin=pool.margin,
        passes=pool.passes,
        forwards=pool.forwards,
    )
    return found, pool.reached[:, last]


def _untouched(norm: NormName, n: int) -> Curve:
    nan, zero = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    none = np.full(n, "", dtype=NAME)
    return Curve(norm, np.full(n, np.inf), none, nan, np.zeros(n), nan, nan, zero, zero)


def _tried(
    problem: Problem, found: Curve, recipe: Recipe, epsilon: float, among: NDArray[np.bool_] | None = None
) -> Curve:
    """One attack on the images that stand at an epsilon. among: [n], those that it is tried on (None: all)."""
    standing = found.epsilon > epsilon * CLOSE
    rows = np.flatnonzero(standing if among is None else standing & among)
    if not len(rows) or (isinstance(recipe, Square) and found.norm not in recipe.norms):
        return found
    bounds = torch.full((len(rows),), epsilon, device=problem.images.device)
    some = part(problem, rows)
    made = _attacked(some, found.norm, bounds, recipe)
    problem.failed[rows] |= some.failed
    noted = _noted(found, rows, made, np.full(len(rows), epsilon), recipe.name)
    if isinstance(recipe, Square):  # its margins say nothing of where gradients lead
        return replace(noted, loss=found.loss, margin=found.margin)
    return noted


def _attacked(problem: Problem, norm: NormName, bounds: Tensor, recipe: Recipe) -> Outcome:
    if isinstance(recipe, Apgd):
        return apgd(problem, norm, bounds, recipe)
    if isinstance(recipe, Square):
        return square(problem, norm, bounds, recipe)
    return foreign(problem, norm, bounds, recipe)


def _noted(found: Curve, rows: NDArray[np.int64], made: Outcome, bounds: NDArray[np.float64], by: str) -> Curve:
    """What an attack on the images at `rows`, each within its bound, adds to a curve."""
    changed = {
        name: getattr(found, name).copy() for name in ("epsilon", "by", "size", "loss", "margin", "passes", "forwards")
    }
    fell = rows[made.broken]
    changed["epsilon"][fell] = bounds[made.broken]
    changed["by"][fell] = by
    changed["size"][fell] = made.size[made.broken]
    changed["loss"][rows], changed["margin"][rows] = made.loss, made.margin
    changed["passes"][rows] += made.passes
    changed["forwards"][rows] += made.forwards
    return replace(found, **changed)


def _tightened(found: Curve, threat: Threat) -> Curve:
    """Every image is broken within the smallest epsilon that its perturbation fits in, and held below that."""
    grid = np.array([0.0, *threat.epsilons, *([threat.far] if threat.far else [])])
    fell = np.isfinite(found.size)
    fits = np.searchsorted(grid, np.where(fell, found.size, 0.0) / CLOSE).clip(1, len(grid) - 1)
    epsilon = np.where(fell, np.minimum(grid[fits], found.epsilon), found.epsilon)
    below = np.searchsorted(grid, epsilon / CLOSE) - 1
    return replace(found, epsilon=epsilon, held=grid[below.clip(0, len(grid) - 1)])


def _halved(problem: Problem, found: Curve, threat: Threat) -> Curve:
    """One round of bisection on the images that were broken within the threat's epsilons: an attack half-way between
    what held and the size of the perturbation found. The epsilon of the curve stays as it is."""
    within = (found.epsilon <= max(threat.epsilons) * CLOSE) & (found.size > found.held)
    rows = np.flatnonzero(within)
    if not len(rows):
        return found
    middle = (found.held[rows] + found.size[rows]) / 2
    bounds = torch.tensor(middle, dtype=problem.images.dtype, device=problem.images.device)
    some = part(problem, rows)
    made = apgd(some, found.norm, bounds, HALVING)
    problem.failed[rows] |= some.failed
    size, held = found.size.copy(), found.held.copy()
    size[rows[made.broken]] = made.size[made.broken]
    held[rows[~made.broken]] = middle[~made.broken]
    passes, forwards = found.passes.copy(), found.forwards.copy()
    passes[rows] += made.passes
    forwards[rows] += made.forwards
    return replace(found, size=size, held=held, passes=passes, forwards=forwards)
