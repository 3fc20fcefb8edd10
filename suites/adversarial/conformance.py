"""What an attack of another package must keep, on a toy network: the kit for its tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Block
from benchmark.testing import Check, ToyView, run_check, toy_stimuli
from suites.adversarial.added import Attack

if TYPE_CHECKING:
    import torch

COUNT = 6


def check_attack(attack: Attack) -> list[Check]:
    """Whether an attack's points lie in the ball and in [0,1], and are each image's own. A check that raises is a
    failed check, with the error."""
    checks: dict[str, Callable[[], str]] = {
        "points lie in the ball and in [0, 1]": lambda: _inside(attack),
        "the same images and seeds give the same points": lambda: _repeated(attack),
        "an image does not depend on the others of its batch": lambda: _alone(attack),
    }
    return [run_check(name, check) for name, check in checks.items()]


def _inside(attack: Attack) -> str:
    for epsilon in attack.budgets:
        _points(attack, epsilon, COUNT)
    return f"{len(attack.budgets)} budgets in {attack.norm}"


def _repeated(attack: Attack) -> str:
    first, second = (_points(attack, attack.budgets[-1], COUNT) for _ in range(2))
    assert bool((first == second).all()), "two calls gave other points"
    return f"{COUNT} images twice"


def _alone(attack: Attack) -> str:
    together, alone = (_points(attack, attack.budgets[-1], batch) for batch in (COUNT, 1))
    apart = float((together - alone).abs().max())
    assert apart <= 1e-5, f"alone an image gets other points, by up to {apart:.3g}"
    return f"batches of {COUNT} and of 1 agree"


def _points(attack: Attack, epsilon: float, batch: int) -> torch.Tensor:
    import torch

    from suites.adversarial.attacks.foreign_network import Network, points
    from suites.adversarial.attacks.problem import Problem

    view = ToyView(Block(toy_stimuli("natural")), np.arange(COUNT))
    labels = view.logits.argmax(dim=1)
    problem = Problem(view.forward, view.images, labels, view.seeds, labels[:, None], batch=batch)
    with torch.enable_grad():
        return points(attack, Network(problem), view.images, labels, epsilon, view.seeds)
