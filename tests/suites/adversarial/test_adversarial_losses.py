"""Losses by hand, and perturbations made on other networks by the published recipe."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.contracts import OtherNetwork
from benchmark.errors import BenchError
from suites.adversarial.attacks.problem import LOSSES, Problem
from suites.adversarial.attacks.surrogates import crafted, surrogate, transferred

Z = torch.tensor([[3.0, 1.0, 0.5, -2.0, -7.0]])
Y, T = torch.tensor([0]), torch.tensor([2])
SUM = float(np.exp([3.0, 1.0, 0.5, -2.0, -7.0]).sum())
#: Of the logits 3, 1, .5, -2, -7 with class 0 right: untargeted, and towards class 2.
EXPECTED = {
    "ce": [np.log(SUM) - 3, -(np.log(SUM) - 0.5)],
    "margin": [1 - 3, 0.5 - 3],
    "dlr": [(1 - 3) / (3 - 0.5), (0.5 - 3) / (3 - (0.5 - 2) / 2)],
}


@pytest.mark.parametrize("name", ["ce", "margin", "dlr"])
def test_losses_by_hand(name):
    points = [float(LOSSES[name](Z, Y, target)) for target in (None, T)]
    assert points == pytest.approx(EXPECTED[name])


def test_the_ratio_of_three_classes_is_over_first_less_third():
    assert float(LOSSES["dlr"](Z[:, :3], Y, None)) == pytest.approx((1 - 3) / (3 - 0.5))
    assert float(LOSSES["dlr"](Z[:, :2], Y, None)) == pytest.approx(-1.0)  # of two classes: over first less second


def draws(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


HIDDEN, OUT = draws(2, 16, 48) / 3, draws(3, 4, 16)
MINE = draws(4, 4, 48)
X = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(5))


def curved(x):
    return torch.tanh(x.flatten(1) @ HIDDEN.T) @ OUT.T


def attacked(x):
    return x.flatten(1) @ MINE.T


def ascent(x, y):
    """The gradient of the cross entropy of `curved`, by the chain rule in numpy."""
    flat = x.reshape(len(x), -1)
    hidden = np.tanh(flat @ HIDDEN.double().numpy().T)
    z = hidden @ OUT.double().numpy().T
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return ((p @ OUT.double().numpy()) * (1 - hidden**2)) @ HIDDEN.double().numpy()


def by_hand(x, y, epsilon, steps):
    """Momentum FGSM (Dong et al. 2018, algorithm 1) with decay 1."""
    start = x.reshape(len(x), -1).astype(np.float64)
    gathered, point = np.zeros_like(start), start
    fast = np.clip(start + epsilon * np.sign(ascent(start, y)), 0, 1)
    for _ in range(steps):
        way = ascent(point, y)
        gathered = gathered + way / np.abs(way).sum(axis=1, keepdims=True)
        step = point + epsilon / steps * np.sign(gathered)
        point = np.clip(np.clip(step, start - epsilon, start + epsilon), 0, 1)
    return fast.reshape(x.shape), point.reshape(x.shape)


def test_points_are_those_of_fgsm_and_of_momentum_fgsm():
    y = curved(X).argmax(1)
    points = crafted(curved, X, y, 0.3)
    for mine, theirs in zip(points, by_hand(X.numpy(), y.numpy(), 0.3, 10), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-6)


def network(forward, order=(0, 1, 2, 3)):
    """A card's network, its categories in an order of its own, as a surrogate for another one's."""
    categories = tuple("abcd"[i] for i in order)
    grouping = SimpleNamespace(categories=categories, indices=[np.array([i]) for i in range(4)])
    labels = SimpleNamespace(grouping=lambda space: {"toy": grouping}[space])
    model = SimpleNamespace(forward=lambda x: forward(x)[:, list(order)], fit=lambda x: x, labels=labels)
    return surrogate(OtherNetwork("", "", lambda device: model), "toy", ("a", "b", "c", "d"), "cpu")


def problem():
    z = attacked(X)
    return Problem(attacked, X, z.argmax(1), np.arange(6, dtype=np.uint64), z[:, :1].long(), batch=4), z


def test_what_others_make_is_judged_by_the_attacked_network():
    """Two points for each of two networks and budgets; the one in disguise of another order is the same network."""
    given, z = problem()
    others = [network(curved, (2, 0, 3, 1)), network(lambda x: curved(1 - x)), network(attacked, (3, 2, 1, 0))]
    epsilons = (0.05, 0.4)
    broken, passes = transferred(given, others, epsilons, z)
    assert passes == 2 * 2 * 2
    expected = np.zeros((6, 2), dtype=bool)
    for forward in (curved, lambda x: curved(1 - x)):
        for column, epsilon in enumerate(epsilons):
            for point in crafted(forward, X, given.labels, epsilon):
                expected[:, column] |= (attacked(point).argmax(1) != given.labels).numpy()
    np.testing.assert_array_equal(broken, expected)
    assert 0 < expected.sum() < 12


def test_without_another_network_there_is_nothing_to_transfer():
    given, z = problem()
    with pytest.raises(BenchError, match="no other network"):
        transferred(given, [network(lambda x: attacked(x) * 1.0001)], (0.1,), z)
    assert transferred(given, [network(lambda x: attacked(x) * 1.01)], (0.1,), z)[1] == 2
