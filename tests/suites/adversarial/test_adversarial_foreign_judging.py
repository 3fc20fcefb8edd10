"""What an attack of another package is worth: brought into ball and box, judged and counted, on two pixels."""

import numpy as np
import pytest
import torch

from suites.adversarial.added import Attack
from suites.adversarial.attacks.foreign import AttackedNetwork, foreign
from suites.adversarial.attacks.problem import Problem
from suites.adversarial.config import AutoAttack, PluggedIn


def brighter(x):
    """Class 1 where the two pixels add up to more than 1."""
    total = x.flatten(1).sum(dim=1)
    return torch.stack([torch.ones_like(total), total], dim=1)


def problem_of(pixels, **more):
    images = torch.tensor(pixels).reshape(-1, 1, 1, 2)
    n = len(images)
    labels, seeds = torch.zeros(n, dtype=torch.int64), np.arange(n, dtype=np.uint64)
    return Problem(brighter, images, labels, seeds, labels[:, None] + 1, **more)


def test_points_are_cut_to_ball_and_box_and_the_answer_there_counts(monkeypatch):
    """Of .25: to .625, in sum 1.25; of .125: to .5, in sum 1; next to the edge: to 1 and no further; NaN: nowhere."""
    pixels = [[0.25, 0.25], [0.125, 0.125], [0.0, 0.75], [0.25, 0.25], [0.25, 0.9375]]

    def points(network, images, *_):
        reached = images + 5.0
        reached[3] = float("nan")
        reached[2, ..., 0] = -7.0
        return reached

    monkeypatch.setattr("suites.adversarial.attacks.foreign._autoattack_points", points)
    budget = torch.full((5,), 0.375)
    verdicts = foreign(problem_of(pixels, batch=3), "linf", budget, AutoAttack())
    assert verdicts.broken.tolist() == [True, False, False, False, True]
    assert verdicts.size[[0, 4]].tolist() == [0.375, 0.375] and np.isnan(verdicts.size[1:4]).all()
    assert verdicts.margin.tolist() == pytest.approx([0.25, 0.0, 0.0, -0.5, 0.625])
    assert verdicts.loss.tolist() == pytest.approx(np.log1p(np.exp(verdicts.margin)).tolist())
    assert verdicts.passes.tolist() == [0] * 5 and verdicts.forwards.tolist() == [1] * 5


@pytest.fixture
def attacked(monkeypatch):
    """attacked(points, problem, epsilons): the outcome of an attack that gives these points, in Linf."""

    def run(points, problem, epsilon):
        attacks = {"mine": Attack("my attack", "linf", points)}
        monkeypatch.setattr("suites.adversarial.attacks.foreign.ATTACKS", attacks)
        return foreign(problem, "linf", torch.tensor(epsilon), PluggedIn("mine", ""))

    return run


def test_each_epsilon_is_a_call_of_its_own_and_its_cost_is_shared_out(attacked):
    calls = []

    def points(forward, images, labels, epsilon, seeds):
        calls.append((epsilon, images[:, 0, 0, 0].tolist(), np.asarray(seeds).tolist()))
        with torch.no_grad():
            forward(images)
        forward(images[:1])  # nobody wants its gradient
        wanted = images[:2].clone().requires_grad_()
        forward(wanted).sum().backward()
        assert wanted.grad.is_contiguous() and wanted.grad.abs().sum() > 0
        return images

    pixels = [[0.1, 0.1], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1]]
    verdicts = attacked(points, problem_of(pixels), [0.25, 0.5, 0.25, 0.25])
    assert [call[0] for call in calls] == [0.25, 0.5]
    assert calls[0][1] == pytest.approx([0.1, 0.3, 0.4]) and calls[0][2] == [0, 2, 3]
    assert calls[1][1] == pytest.approx([0.2]) and calls[1][2] == [1]
    # Three images: 2 gradients, 3 + 1 plain; one image: 1 gradient, 1 + 1 plain; and 1 plain each for the verdict.
    assert verdicts.passes.tolist() == [1, 1, 1, 0]
    assert verdicts.forwards.tolist() == [2 + 1, 2 + 1, 1 + 1, 1 + 1]


def test_logits_that_are_no_numbers_are_zero_to_the_packages():
    problem = problem_of([[0.1, 0.1]])
    bad = torch.tensor([[float("nan"), float("inf")], [float("-inf"), 2.0]])
    network = AttackedNetwork(Problem(lambda x: bad + 0 * x.sum(), problem.images, problem.labels,
                              problem.seeds, problem.targets))  # fmt: skip
    x = torch.zeros(2, 1, 1, 2)
    expected = [[0.0, 0.0], [0.0, 2.0]]
    assert network(x).tolist() == expected and network(x.requires_grad_()).tolist() == expected
