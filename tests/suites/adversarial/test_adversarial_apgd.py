"""APGD: the published schedule, the same path as the authors' code, feasibility, independence of the batch."""

from dataclasses import replace
from itertools import accumulate

import pytest
import torch

from suites.adversarial.attacks.apgd import apgd, inside, windows
from suites.adversarial.config import Apgd

EPSILON = {"linf": 4 / 255, "l2": 0.5, "l1": 12.0}
HARMLESS = {"linf": 0.3 / 255, "l2": 0.02, "l1": 0.8}
THEIR_NAME = {"linf": "Linf", "l2": "L2", "l1": "L1"}


@pytest.fixture(scope="module")
def problem(world):
    return world("world-adversarial-0", 10).problem(64, tuned=False)


def whole(problem, norm, sizes=EPSILON):
    return torch.full((len(problem.images),), sizes[norm])


def test_checkpoints_of_a_hundred_steps_are_the_published_ones():
    assert tuple(accumulate(windows(100))) == (22, 41, 57, 70, 80, 87, 93, 99)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targets", [0, 3])
def test_verdicts_are_no_weaker_than_the_authors(problem, norm, targets):
    theirs = pytest.importorskip("pyautoattack.autopgd_base")
    steps, epsilon = 20, whole(problem, norm)
    recipe = Apgd("dlr" if targets else "ce", steps, targets)
    ours = apgd(problem, norm, epsilon, recipe)
    given = {"n_iter": steps, "norm": THEIR_NAME[norm], "eps": EPSILON[norm], "device": "cpu"}
    if targets:
        attack = theirs.APGDAttack_targeted(problem.forward, n_target_classes=targets, **given)
    else:
        attack = theirs.APGDAttack(problem.forward, loss="ce", **given)
    points = attack.perturb(problem.images, problem.labels)
    with torch.no_grad():
        broken = (problem.forward(points).argmax(1) != problem.labels).numpy()
    assert 0 < ours.broken.sum() < len(broken)  # the case decides something
    assert ours.broken.sum() >= broken.sum() - 1  # other random starts: one image may go either way
    assert (ours.broken != broken).sum() <= 2


def test_logits_that_are_not_finite_break_their_image(problem):
    broken = replace(problem, forward=lambda x: problem.forward(x) * float("inf"))
    verdicts = apgd(broken, "linf", whole(problem, "linf"), Apgd("ce", 3))
    assert verdicts.broken.all() and broken.failed.all() and (verdicts.passes == 1).all()


def test_a_gradient_that_is_no_number_breaks_its_image_alone(problem):
    steep = problem.images[2:3]

    def forward(x):
        here = (x.detach() - steep).abs().flatten(1).amax(dim=1) < 8 / 255
        return problem.forward(x) + torch.where(here, 0 * x[:, 0, 0, 0], 1.0).sqrt()[:, None]

    other = replace(problem, forward=forward)
    epsilon = whole(problem, "linf", HARMLESS)
    verdicts = apgd(other, "linf", epsilon, Apgd("ce", 3))
    assert verdicts.broken.nonzero()[0].tolist() == other.failed.nonzero()[0].tolist() == [2]
    assert verdicts.size[2] == epsilon[2]


@pytest.mark.slow
def test_projection_onto_ball_and_box_is_the_nearest_point():
    generator = torch.Generator().manual_seed(3)
    origin = torch.rand(6, 1, 4, 5, generator=generator)
    delta = torch.randn(origin.shape, generator=generator)
    epsilon = torch.tensor([0.1, 0.5, 1.0, 2.0, 4.0, 100.0])
    point = inside(origin, delta, epsilon)
    assert ((point - origin).abs().flatten(1).sum(1) <= epsilon + 1e-6).all()
    assert point.min() >= 0 and point.max() <= 1
    assert torch.allclose(point[5], (origin + delta)[5].clamp(0, 1))  # the ball does not bind
    wish = origin + delta
    best = (wish - point).flatten(1).norm(dim=1)
    for seed in range(200):  # no feasible neighbour is nearer
        noise = torch.randn(origin.shape, generator=torch.Generator().manual_seed(seed))
        other = inside(origin, point - origin + 0.05 * noise, epsilon)
        assert ((wish - other).flatten(1).norm(dim=1) >= best - 1e-5).all()
