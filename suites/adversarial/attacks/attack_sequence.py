"""The sequence of all attacks in one norm, from the cheapest to the dearest. PGD along the whole sweep comes first,
then FGSM. Every further attack gets the images that those before did not break, at every epsilon, small to large."""

from dataclasses import dataclass, fields
from pkgutil import resolve_name

import numpy as np
import torch
from numpy.typing import NDArray

from suites.adversarial.attacks.pgd import Ascent, slope, threat_schedule
from suites.adversarial.attacks.problem import Problem, Rows, Truths, Verdicts
from suites.adversarial.config import CLOSE, AdversarialConfig, Apgd, Recipe, Threat, reference_budget

NAME = "U40"


@dataclass(kw_only=True)
class Resistance(Verdicts):
    """Hold the robustness of each image of a problem in one norm. Loss and margin are an attack's with gradients."""

    problem: Problem
    threat: Threat
    epsilon: NDArray[np.float64]  # the smallest budget that broke it (infinite: none)
    by: NDArray[np.str_]  # name of that attack
    held: NDArray[np.float64]  # the largest budget below it that did not break the image

    def attack(self, recipe: Recipe, rows: Rows, within: NDArray[np.float64]) -> Verdicts:
        """Run one attack on the images at `rows`, each within its own bound, and record its cost."""
        some, norm = self.problem.at(rows), self.threat.norm
        bounds = torch.tensor(within, dtype=torch.float32, device=some.images.device)
        verdicts: Verdicts = resolve_name(recipe.function)(some, norm, bounds, recipe)
        self.problem.failed[rows] |= some.failed
        self.passes[rows] += verdicts.passes
        self.forwards[rows] += verdicts.forwards
        return verdicts

    def lower(self, rows: Rows, epsilon: NDArray[np.float64], by: str, size: NDArray[np.float64]) -> None:
        """Record that the images at `rows` are broken within these budgets, by perturbations of these sizes."""
        self.epsilon[rows], self.by[rows], self.size[rows] = epsilon, by, size

    def merge(self, broken: Truths, by: str) -> None:
        """Take the worse, image by image, of this and of an attack that broke [n, epsilons] in Linf."""
        smallest = np.where(broken, np.array(self.threat.epsilons), np.inf).min(axis=1, initial=np.inf)
        sooner = np.flatnonzero(smallest * CLOSE < self.epsilon)
        self.lower(sooner, smallest[sooner], by, smallest[sooner])

    def tighten(self) -> None:
        """Set each epsilon to the smallest that the perturbation fits in, and `held` to the one below."""
        grid = np.array([0.0, *self.threat.epsilons, *([self.threat.far] if self.threat.far else [])])
        fell = np.isfinite(self.size)
        fits = np.searchsorted(grid, np.where(fell, self.size, 0.0) / CLOSE).clip(1, len(grid) - 1)
        self.epsilon = np.where(fell, np.minimum(grid[fits], self.epsilon), self.epsilon)
        below = np.searchsorted(grid, self.epsilon / CLOSE) - 1
        self.held = grid[below.clip(0, len(grid) - 1)]

    def challenge(self, recipe: Recipe, epsilon: float, among: Truths) -> None:
        """Run one attack on the unbroken images at an epsilon, among those marked [n]."""
        rows = np.flatnonzero((self.epsilon > epsilon * CLOSE) & among)
        if not len(rows):
            return
        within = np.full(len(rows), epsilon)
        verdicts = self.attack(recipe, rows, within)
        fell = verdicts.broken
        self.lower(rows[fell], within[fell], recipe.name, verdicts.size[fell])
        if recipe.sees_gradients:  # other margins do not show where gradients lead
            self.loss[rows], self.margin[rows] = verdicts.loss, verdicts.margin

    def halve(self) -> None:
        """Attack broken images once more, half-way between what held and the size found; the epsilon stays as it is."""
        within = self.epsilon <= max(self.threat.epsilons) * CLOSE
        rows = np.flatnonzero(within & (self.size > self.held))
        if not len(rows):
            return
        middle = (self.held[rows] + self.size[rows]) / 2
        # Steps that find their own size, of the loss that does not saturate.
        verdicts = self.attack(Apgd(loss="margin", steps=20), rows, middle)
        fell = verdicts.broken
        self.size[rows[fell]] = verdicts.size[fell]
        self.held[rows[~fell]] = middle[~fell]

    def ask(self, recipes: tuple[Recipe, ...], odd: Truths, least: int) -> Rows:
        """Attack images whose gradient is odd ([n]), and others up to `least` in all, each within the reference budget
        or the largest one that it survived. Return [n, attacks]: -1 not asked, 0 held, 1 broken."""
        opinions = np.full((len(odd), len(recipes)), -1)
        bounds = np.where(np.isfinite(self.epsilon), self.held, self.epsilon)
        bounds = np.minimum(bounds, reference_budget(self.threat))
        stands = np.flatnonzero(bounds > 0)
        ranked = stands[np.lexsort((self.problem.seeds[stands], -bounds[stands], ~odd[stands]))]
        rows = np.sort(ranked[: max(least, int(odd[stands].sum()))])
        if not len(rows):
            return opinions
        within = bounds[rows]
        for column, recipe in enumerate(recipes):
            verdicts = self.attack(recipe, rows, within)
            opinions[rows, column] = verdicts.broken
            new = verdicts.broken & (self.epsilon[rows] > within * CLOSE)  # it may have fallen already
            self.lower(rows[new], within[new], recipe.name, verdicts.size[new])
        self.tighten()
        return opinions


def resistance(problem: Problem, threat: Threat, config: AdversarialConfig, fast: Truths | None) -> Resistance:
    """Attack every image of a problem. fast: [n, epsilons], what FGSM broke (None: it was not asked)."""
    steps, n, finish = threat_schedule(threat, config), len(problem.images), config.finish
    ascent = Ascent(problem, threat.norm, steps, config.leap)
    broken_at, by, held = np.full(n, np.inf), np.full(n, "", dtype=NAME), np.zeros(n)
    fell = np.flatnonzero(ascent.broken)
    broken_at[fell], by[fell] = steps["epsilon"][ascent.fell[fell]], steps["loss"][ascent.fell[fell]]
    reached = {own.name: getattr(ascent, own.name) for own in fields(Verdicts)}
    curve = Resistance(problem=problem, threat=threat, epsilon=broken_at, by=by, held=held, **reached)
    if fast is not None:
        curve.merge(fast, "fgsm")
    everyone = np.ones(n, dtype=np.bool_)
    for epsilon in threat.epsilons:
        if finish is not None and threat.norm == "linf":
            at_rest = slope(problem).margin if problem.rest is None else problem.rest
            whole = at_rest.double().cpu().numpy()
            last = np.searchsorted(steps["epsilon"], epsilon, side="right") - 1
            near = ascent.reached[:, last] > finish.near * whole
            curve.challenge(finish.attack, epsilon, near)
            if finish.last is not None and epsilon in finish.at:
                curve.challenge(finish.last, epsilon, near & (curve.margin > finish.close * whole))
        for recipe in config.attacks:
            curve.challenge(recipe, epsilon, everyone)
    if config.check is not None and threat.far:
        curve.challenge(config.check, threat.far, everyone)
    curve.tighten()
    for _ in range(config.bisect):
        curve.halve()
    return curve
