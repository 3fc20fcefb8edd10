"""Losses by hand; logits per category against the decision rule; balls, steps and draws of each norm; what is made on
other networks by the published recipe."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adversarial_world import toy
from tensors import assert_close

from benchmark.contracts import OtherNetwork
from benchmark.failures import BenchError
from registry.labels import Grouping, decide
from suites.adversarial.attacks.balls import BALLS
from suites.adversarial.attacks.losses import LOSSES
from suites.adversarial.attacks.other_packages import crafted, surrogate, transferred
from suites.adversarial.attacks.problem import per_category

Z = torch.tensor([[3.0, 1.0, 0.5, -2.0, -7.0]])
Y, T = torch.tensor([0]), torch.tensor([2])
SUM = float(np.exp([3.0, 1.0, 0.5, -2.0, -7.0]).sum())


@pytest.mark.parametrize(("name", "expected"), [
    ("ce", [np.log(SUM) - 3, -(np.log(SUM) - 0.5)]), ("margin", [1 - 3, 0.5 - 3]),
    ("dlr", [(1 - 3) / (3 - 0.5), (0.5 - 3) / (3 - (0.5 - 2) / 2)]),
])  # fmt: skip
def test_losses_by_hand_untargeted_and_towards_class_2(name, expected):
    assert [float(LOSSES[name](Z, Y, target)) for target in (None, T)] == pytest.approx(expected)


def test_the_ratio_of_three_classes_is_over_first_less_third():
    assert float(LOSSES["dlr"](Z[:, :3], Y, None)) == pytest.approx((1 - 3) / (3 - 0.5))
    assert float(LOSSES["dlr"](Z[:, :2], Y, None)) == pytest.approx(-1.0)  # of two classes: over first less second


@pytest.mark.parametrize("columns", [
    tuple((i,) for i in range(12)), tuple((i,) for i in range(1, 12)),  # a background class in front
    ((5,), (2,), (11,)), ((0, 1, 2), (7,), (3, 9)),
])  # fmt: skip
def test_the_largest_is_the_decision_and_gaps_are_those_of_log_probability(columns):
    z, names = 4 * draws(0, 40, 12), tuple(f"c{i}" for i in range(len(columns)))
    ours, shares = per_category(columns)(z), decide(z, Grouping(space="toy", categories=names, indices=columns))
    assert torch.equal(ours.argmax(1), shares.argmax(1))
    gaps = shares.double().log()
    assert torch.allclose((ours - ours[:, :1]).double(), gaps - gaps[:, :1], atol=1e-4)


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


def test_an_infinite_gradient_moves_no_pixel():
    """The root of a pixel at its end, up for class 1 and down for class 0; the other pixel moves by .1."""

    def root(x):
        return torch.cat([(x[..., 0] - 0.5).sqrt(), x[..., 1]], dim=2)[:, 0]

    for point in crafted(root, torch.full((2, 1, 1, 2), 0.5), torch.tensor([0, 1]), 0.1):
        assert point.flatten().tolist() == pytest.approx([0.5, 0.6, 0.5, 0.4])


def network(forward, order=(0, 1, 2, 3)):
    """A card's network, its categories in an order of its own, as a surrogate for another one's."""
    categories = tuple("abcd"[i] for i in order)
    grouping = SimpleNamespace(categories=categories, indices=[np.array([i]) for i in range(4)])
    labels = SimpleNamespace(grouping=lambda space: {"toy": grouping}[space])
    model = SimpleNamespace(forward=lambda x: forward(x)[:, list(order)], fit=lambda x: x, labels=labels)
    return surrogate(
        OtherNetwork(name="", identity="", load={"cpu": model}.__getitem__), "toy", ("a", "b", "c", "d"), "cpu"
    )


def problem():
    return toy(attacked, X, attacked(X).argmax(1), batch=4), attacked(X)


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


def test_a_network_is_another_if_its_answer_to_any_of_eight_images_is_and_without_one_nothing_transfers():
    given, z = problem()
    last = network(lambda x: attacked(x) + curved(x) * (x[:, :1, :1, :1] == X[-1, 0, 0, 0]).flatten(1))
    assert transferred(given, [last], (0.05,), z)[1] == 2
    with pytest.raises(BenchError, match="no other network"):
        transferred(given, [network(lambda x: attacked(x) * 1.0001)], (0.1,), z)
    assert transferred(given, [network(lambda x: attacked(x) * 1.01)], (0.1,), z)[1] == 2


@pytest.mark.parametrize(("norm", "most"), [("linf", 4 / 255), ("l2", 0.7)])
def test_steps_and_starts_stay_in_the_ball_and_the_box(norm, most):
    ball, x = BALLS[norm], torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    x[0], x[1] = 0.0, 1.0  # on the box's corners
    epsilon = torch.linspace(0.1, 1, len(x)) * most
    point = ball.random_start(x, epsilon, list(range(len(x))))
    for number in range(20):
        delta = point - x
        assert (ball.size(delta) <= epsilon * (1 + 1e-5) + 1e-6).all()
        assert point.min() >= 0 and point.max() <= 1
        point = ball.move(x, point, draws(number, *x.shape), epsilon, epsilon / 2)


@pytest.mark.parametrize("ball", BALLS.values(), ids=BALLS)
def test_projection_finds_the_nearest_point_and_direction_the_steepest_step_of_unit_size(ball):
    delta = draws(1, 8, 3, 5, 5)
    size = ball.size(delta)
    assert torch.allclose(ball.project(delta, size * 1.01), delta, atol=1e-6)
    near = ball.project(delta, size / 3)
    assert torch.allclose(ball.size(near), size / 3, rtol=1e-5)
    for seed in range(30):  # no feasible point is nearer
        other = ball.project(near + 0.1 * draws(seed, *delta.shape), size / 3)
        apart = (delta - other).flatten(1).norm(dim=1)
        assert (apart >= (delta - near).flatten(1).norm(dim=1) - 1e-5).all()
    gradient = draws(2, 4, 3, 10, 10) * 1e-25
    assert torch.allclose(ball.size(ball.direction(gradient)), torch.ones(4), rtol=1e-5)
    assert (ball.direction(torch.zeros_like(gradient)) == 0).all()


def test_a_step_by_hand():
    """Up by .1 from .6 in a ball of .15 around .5: .65, not .7; down by .1; no slope, no step; the box ends at 1."""

    def moved(norm, origin, at, way, *sizes):
        images = (torch.tensor(values).view(1, -1, 1, 1) for values in (origin, at, way))
        return BALLS[norm].move(*images, *map(torch.tensor, sizes)).flatten()

    origin, at, way = [0.5, 0.5, 0.5, 0.95], [0.6, 0.55, 0.6, 0.95], [2.0, -0.1, 0.0, 1.0]
    assert_close(moved("linf", origin, at, way, [0.15], [0.1]), torch.tensor([0.65, 0.45, 0.6, 1.0]))
    assert_close(moved("l2", [0.5] * 2, [0.5] * 2, [3.0, 4.0], [0.3], [0.1]), torch.tensor([0.56, 0.58]))
