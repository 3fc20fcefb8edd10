import pytest
import torch
from tensors import assert_close

from suites.adversarial.attacks.problem import BALLS

NORMS = ("linf", "l2", "l1")
EPSILON = {"linf": 4 / 255, "l2": 0.7, "l1": 9.0}


def images(n=6, seed=0):
    x = torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    x[0], x[1] = 0.0, 1.0  # on the box's corners
    return x


@pytest.mark.parametrize("norm", NORMS)
def test_steps_and_starts_stay_in_the_ball_and_the_box(norm):
    ball, x = BALLS[norm], images()
    epsilon = torch.linspace(0.1, 1, len(x)) * EPSILON[norm]
    point = ball.random_start(x, epsilon, list(range(len(x))))
    for number in range(20):
        delta = point - x
        assert (ball.size(delta) <= epsilon * (1 + 1e-5) + 1e-6).all()
        assert point.min() >= 0 and point.max() <= 1
        way = torch.randn(x.shape, generator=torch.Generator().manual_seed(number))
        point = ball.move(x, point, way, epsilon, epsilon / 2)


@pytest.mark.parametrize("norm", NORMS)
def test_projection_keeps_what_is_inside_and_finds_the_nearest_point(norm):
    ball = BALLS[norm]
    delta = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    size = ball.size(delta)
    assert torch.allclose(ball.project(delta, size * 1.01), delta, atol=1e-6)
    near = ball.project(delta, size / 3)
    assert torch.allclose(ball.size(near), size / 3, rtol=1e-5)
    for seed in range(30):  # no feasible point is nearer
        other = torch.randn(delta.shape, generator=torch.Generator().manual_seed(seed))
        other = ball.project(near + 0.1 * other, size / 3)
        apart = (delta - other).flatten(1).norm(dim=1)
        assert (apart >= (delta - near).flatten(1).norm(dim=1) - 1e-5).all()


@pytest.mark.parametrize("norm", NORMS)
def test_direction_is_the_steepest_step_of_unit_size(norm):
    ball = BALLS[norm]
    gradient = torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(2)) * 1e-25
    way = ball.direction(gradient)
    assert torch.allclose(ball.size(way), torch.ones(4), rtol=1e-5)
    assert (ball.direction(torch.zeros_like(gradient)) == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_random_start_depends_on_the_seed_alone(norm):
    ball, x = BALLS[norm], images()
    epsilon = torch.full((6,), EPSILON[norm])
    whole = ball.random_start(x, epsilon, [5, 6, 7, 8, 9, 2**64 - 1])
    assert torch.equal(whole[3:4], ball.random_start(x[3:4], epsilon[3:4], [8]))


@pytest.mark.slow
def test_draws_fill_the_ball_uniformly():
    # uniform in a ball of d dimensions: the radius to the power d is uniform
    for norm in ("l2", "l1"):
        ball = BALLS[norm]
        draws = torch.stack([ball.draw(torch.Size((1, 1, 3)), torch.Generator().manual_seed(i)) for i in range(2000)])
        spread = ball.size(draws) ** 3
        assert abs(float(spread.mean()) - 0.5) < 0.02
        assert abs(float(spread.std()) - 12**-0.5) < 0.02


@pytest.mark.parametrize(
    ("delta", "epsilon", "nearest"),
    [
        # threshold 0.25: the two largest stay, each shorter by it
        ([0.75, -0.5, 0.125, 0.0], 0.75, [0.5, -0.25, 0.0, 0.0]),
        # threshold 0.125: three stay
        ([0.5, -0.375, 0.25, 0.125], 0.75, [0.375, -0.25, 0.125, 0.0]),
        # one alone stays; the others are below its threshold of 0.75
        ([1.0, 0.5, -0.5, 0.25], 0.25, [0.25, 0.0, 0.0, 0.0]),
        # inside, and on the sphere
        ([0.25, -0.125, 0.0, 0.0], 0.5, [0.25, -0.125, 0.0, 0.0]),
        ([0.25, -0.25, 0.0, 0.0], 0.5, [0.25, -0.25, 0.0, 0.0]),
    ],
)
def test_l1_projection_by_hand(delta, epsilon, nearest):
    # the other image of the batch has a threshold of its own
    both = torch.tensor([delta, [1.0, 1.0, 0.0, 0.0]]).view(2, 1, 2, 2)
    reached = BALLS["l1"].project(both, torch.tensor([epsilon, 1.0]))
    assert reached.flatten(1)[0].tolist() == pytest.approx(nearest, abs=1e-6)
    assert reached.flatten(1)[1].tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0], abs=1e-6)


def test_a_step_by_hand():
    """Up by .1 from .6 in a ball of .15 around .5: .65, not .7; down by .1; no slope, no step; the box ends at 1."""
    origin = torch.tensor([0.5, 0.5, 0.5, 0.95]).view(1, 4, 1, 1)
    at = torch.tensor([0.6, 0.55, 0.6, 0.95]).view(1, 4, 1, 1)
    way = torch.tensor([2.0, -0.1, 0.0, 1.0]).view(1, 4, 1, 1)
    sizes = torch.tensor([0.15]), torch.tensor([0.1])
    reached = BALLS["linf"].move(origin, at, way, *sizes).flatten()
    assert_close(reached, torch.tensor([0.65, 0.45, 0.6, 1.0]))
    two = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    half = torch.full((1, 2, 1, 1), 0.5)
    reached = BALLS["l2"].move(half, half, two, torch.tensor([0.3]), torch.tensor([0.1]))
    assert_close(reached.flatten(), torch.tensor([0.56, 0.58]))
