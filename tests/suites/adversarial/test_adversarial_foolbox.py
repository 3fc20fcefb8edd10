"""foolbox's verdicts at equal settings on a network of the world."""

import numpy as np
import pytest
import torch

from suites.adversarial.attacks.pgd import Ascent, fgsm, schedule, slope
from suites.adversarial.config import LINF, Stage

foolbox = pytest.importorskip("foolbox")
pytestmark = pytest.mark.slow


class Module(torch.nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        return self.run(x)


def theirs(problem, attack_, epsilons):
    model = foolbox.PyTorchModel(Module(problem.forward).eval(), bounds=(0, 1), device="cpu")
    _, points, broken = attack_(model, problem.images, problem.labels, epsilons=list(epsilons))
    return points, broken.numpy()


def test_fgsm_is_equal_at_every_epsilon(world):
    problem = world("world-adversarial-0", 32).problem()
    ours = fgsm(problem, slope(problem).gradient, LINF.epsilons)
    attack_ = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    assert np.array_equal(ours, theirs(problem, attack_, LINF.epsilons)[1].T)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 2 / 255), ("l2", 0.75)])
def test_pgd_gives_the_same_verdicts(norm, epsilon, world):
    problem = world("world-adversarial-0", 32).problem()
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    pool = Ascent(problem, norm, schedule([(Stage(loss="ce", steps=10, start="clean"), epsilon)]))
    _, broken = theirs(problem, kind(rel_stepsize=0.25, steps=10, random_start=False), [epsilon])
    # ours counts any point on the way, theirs the last one: ours may only be the stronger
    assert (pool.broken >= broken[0]).all()
    assert (pool.broken != broken[0]).mean() <= 0.01 + 1 / len(problem.images)
