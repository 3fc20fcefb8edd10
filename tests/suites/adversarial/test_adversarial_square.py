"""The Square attack: patterns and schedule as published, strength, feasibility, one stream per image."""

from dataclasses import replace

import pytest
import torch

from suites.adversarial.attacks.pgd import Ascent, schedule
from suites.adversarial.attacks.square import bump, l2_redraw, share_at, square
from suites.adversarial.config import Square, Stage

EPSILON = {"linf": 16 / 255, "l2": 3.0}


@pytest.fixture(scope="module")
def problem(world):
    return world("world-standard-0", 16).problem(16, tuned=False)


def bounds(problem, norm):
    return torch.full((len(problem.images),), EPSILON[norm])


@pytest.mark.parametrize("size", [(1, 3), (2, 5), (3, 4), (5, 5), (6, 13), (16, 33)])
def test_bumps_are_the_published_pattern(size):
    theirs = pytest.importorskip("pyautoattack.square").SquareAttack(None, norm="L2", eps=1.0, device="cpu")
    ours = bump(*size)
    assert torch.allclose(ours / ours.norm(), theirs.eta_rectangles(*size), atol=1e-6)


def test_an_l2_redraw_keeps_the_length_and_all_but_two_squares():
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(3, 20, 20, generator=generator)
    delta = delta * (0.5 / delta.norm())
    drawn = l2_redraw(delta, 0.5, 5, generator)
    assert abs(float(drawn.norm()) - 0.5) < 1e-5
    scale = (drawn / delta).flatten()
    common = scale[torch.isclose(scale, scale.median(), rtol=1e-3)]
    assert len(common) >= 3 * (400 - 50)


@pytest.mark.slow
def test_strength_is_that_of_the_authors_code(problem):
    theirs = pytest.importorskip("pyautoattack.square").SquareAttack(
        problem.forward, norm="Linf", n_queries=60, eps=EPSILON["linf"], device="cpu"
    )
    points = theirs.perturb(problem.images, problem.labels)
    with torch.no_grad():
        broken = (problem.forward(points).argmax(1) != problem.labels).sum()
    ours = square(problem, "linf", bounds(problem, "linf"), Square(60)).broken.sum()
    assert 4 <= ours < len(problem.images) and abs(int(ours) - int(broken)) <= 4


@pytest.mark.slow
def test_it_breaks_what_masked_gradients_leave(problem):
    masked = replace(problem, forward=lambda x: problem.forward((x * 15).round() / 15))
    far = torch.full((len(problem.images),), 32 / 255)
    pool = Ascent(masked, "linf", schedule([(Stage("ce", 10, "clean"), 32 / 255)]))
    assert (~pool.broken).all()
    assert square(masked, "linf", far, Square(50)).broken.mean() > 0.5


def test_shares_are_halved_at_the_published_queries():
    """Of 10,000: through the 10th, the 50th, ... it is as it was, from the next one on half; 5,000 are half as many."""
    for place, last in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        assert share_at(last, 10_000) == 0.8 / 2**place
        assert share_at(last + 1, 10_000) == 0.8 / 2 ** (place + 1)
    assert (share_at(1000, 5000), share_at(1001, 5000)) == (0.8 / 32, 0.8 / 64)
