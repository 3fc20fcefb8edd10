"""Check an attack of another package on a toy network."""

import numpy as np
import torch

from benchmark.contracts import Block
from benchmark.testing import Check, ToyView, run_check, toy_stimuli
from suites.adversarial.attack_plugins import Attack

COUNT = 6


def check_attack(attack: Attack) -> list[Check]:
    """Check that an attack's points are in the ball and in [0,1], and depend only on their own image."""

    def inside() -> str:
        for epsilon in attack.budgets:
            _points(attack, epsilon, COUNT)
        return f"{len(attack.budgets)} budgets in {attack.norm}"

    def alone() -> str:
        last = attack.budgets[-1]
        apart = float((_points(attack, last, COUNT) - _points(attack, last, 1)).abs().max())
        assert apart <= 1e-5, f"in another batch an image gets other points, by up to {apart:.3g}"
        return f"batches of {COUNT} and of 1 agree"

    return [
        run_check("points lie in the ball and in [0, 1]", inside),
        run_check("an image gets the same points in any batch", alone),
    ]


def _points(attack: Attack, epsilon: float, batch: int) -> torch.Tensor:
    # Here, for an attack's package imports this module while the attacks are read.
    from suites.adversarial.attacks.other_packages import AttackedNetwork, plugged_points
    from suites.adversarial.attacks.problem import Problem

    view = ToyView(Block(stimuli=toy_stimuli("natural")), np.arange(COUNT))
    labels = view.logits.argmax(dim=1)
    problem = Problem(
        forward=view.forward, images=view.images, labels=labels, seeds=view.seeds, targets=labels[:, None], batch=batch
    )
    with torch.enable_grad():
        return plugged_points(attack, AttackedNetwork(problem), epsilon)
