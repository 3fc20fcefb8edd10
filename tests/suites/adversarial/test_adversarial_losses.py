"""Losses by hand, and perturbations made on other networks by the published recipe."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensors import assert_close

from benchmark.contracts import Network
from benchmark.errors import BenchError
from suites.adversarial.attacks.problem import KINDS, Problem, attack_loss, loss_named
from suites.adversarial.attacks.surrogates import Space, crafted, transferred
from suites.adversarial.config import Transfer

Z = torch.tensor([[3.0, 1.0, 0.5, -2.0, -7.0]]).repeat(2, 1)
Y, T = torch.tensor([0, 0]), torch.tensor([-1, 2])
SUM = float(np.exp([3.0, 1.0, 0.5, -2.0, -7.0]).sum())
#: Of the logits 3, 1, .5, -2, -7 with class 0 right: untargeted, and towards class 2.
EXPECTED = {
    "ce": [np.log(SUM) - 3, -(np.log(SUM) - 0.5)],
    "margin": [1 - 3, 0.5 - 3],
    "dlr": [(1 - 3) / (3 - 0.5), (0.5 - 3) / (3 - (0.5 - 2) / 2)],
}


@pytest.mark.parametrize("name", ["ce", "margin", "dlr"])
def test_losses_by_hand(name):
    assert_close(loss_named(name)(Z, Y, T), torch.tensor(EXPECTED[name]).float())


def test_the_ratio_of_three_classes_is_over_first_less_third():
    found = loss_named("dlr")(Z[:1, :3], Y[:1], T[:1])
    assert float(found) == pytest.approx((1 - 3) / (3 - 0.5))
    two = loss_named("dlr")(Z[:1, :2], Y[:1], T[:1])
    assert float(two) == pytest.approx(-1.0)  # of two classes: over first less second


def test_each_image_has_the_loss_of_its_kind():
    kinds = [2, 0, 1, 0]
    z, y, t = Z[:1].repeat(4, 1), torch.zeros(4, dtype=torch.int64), torch.full((4,), -1)
    found = attack_loss(z, y, t, torch.tensor(kinds))
    assert found.tolist() == pytest.approx([EXPECTED[KINDS[kind]][0] for kind in kinds])
    alone = attack_loss(z, y, t, torch.ones(4, dtype=torch.int64))
    assert alone.tolist() == [-2.0] * 4


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


@pytest.mark.parametrize("steps", [1, 5])
def test_points_are_those_of_fgsm_and_of_momentum_fgsm(steps):
    y = curved(X).argmax(1)
    found = crafted(curved, X, y, 0.3, steps)
    for mine, theirs in zip(found, by_hand(X.numpy(), y.numpy(), 0.3, steps), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-6)


def test_a_network_without_a_slope_moves_nothing():
    y = curved(X).argmax(1)
    for forward in (lambda x: curved(x.detach()), lambda x: curved(x) + 0 * x.sum() * torch.nan):
        for point in crafted(forward, X, y, 0.1, 3):
            assert torch.equal(point, X)


def network(name, forward, order=(0, 1, 2, 3)):
    """A card's network, its categories in an order of its own."""
    categories = tuple("abcd"[i] for i in order)
    grouping = SimpleNamespace(categories=categories, indices=[np.array([i]) for i in range(4)])
    labels = SimpleNamespace(grouping=lambda space: {"toy": grouping}[space])
    model = SimpleNamespace(forward=lambda x: forward(x)[:, list(order)], fit=lambda x: x, labels=labels)
    return Network(name, name, lambda device: model)


def problem():
    z = attacked(X)
    return Problem(attacked, X, z.argmax(1), np.arange(6, dtype=np.uint64), z[:, :1].long(), batch=4), z


def test_what_others_make_is_judged_by_the_attacked_network():
    """Two points for each of two networks and budgets; the one in disguise of another order is the same network."""
    given, z = problem()
    others = network("curved", curved, (2, 0, 3, 1)), network("steeper", lambda x: curved(1 - x))
    space = Space("toy", ("a", "b", "c", "d"), (*others, network("itself", attacked, (3, 2, 1, 0))))
    epsilons = (0.05, 0.4)
    broken, passes = transferred(given, Transfer(("x",), steps=4), space, epsilons, z)
    assert passes == 2 * 2 * 2
    expected = np.zeros((6, 2), dtype=bool)
    for forward in (curved, lambda x: curved(1 - x)):
        for column, epsilon in enumerate(epsilons):
            for point in crafted(forward, X, given.labels, epsilon, 4):
                expected[:, column] |= (attacked(point).argmax(1) != given.labels).numpy()
    np.testing.assert_array_equal(broken, expected)
    assert 0 < expected.sum() < 12


def test_without_another_network_there_is_nothing_to_transfer():
    given, z = problem()
    space = Space("toy", ("a", "b", "c", "d"), (network("twin", lambda x: attacked(x) * 1.0001),))
    with pytest.raises(BenchError, match="of twin none answers in 'toy'"):
        transferred(given, Transfer(("twin",)), space, (0.1,), z)
    near = Space("toy", ("a", "b", "c", "d"), (network("near", lambda x: attacked(x) * 1.01),))
    assert transferred(given, Transfer(("near",)), near, (0.1,), z)[1] == 2
