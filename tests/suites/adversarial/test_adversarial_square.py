"""The Square attack: patterns and schedule as published, strength, feasibility, one stream per image."""

from dataclasses import replace

import pytest
import torch
from adversarial_world import toy

from suites.adversarial.attacks.pgd import Ascent, schedule
from suites.adversarial.attacks.square import bump, l2_redraw, l2_start, linf_redraw, linf_start, share_at, square
from suites.adversarial.config import Square, Stage

EPSILON = {"linf": 16 / 255, "l2": 3.0}


@pytest.fixture(scope="module")
def problem(world):
    return world("world-standard-0", 16).problem(16, tuned=False)


def bounds(problem, norm):
    return torch.full((len(problem.images),), EPSILON[norm])


def test_shares_follow_the_published_schedule():
    theirs = pytest.importorskip("pyautoattack.square").SquareAttack(None, eps=1.0, n_queries=300)
    for query in range(300):
        assert share_at(query, 300) == theirs.p_selection(query)
    assert [share_at(query, 10_000) for query in (10, 11, 8001)] == [0.8, 0.4, 0.8 / 512]


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


def sign_triples(deltas):
    """The signs of the three channels at the first pixel that a perturbation moves."""
    found = set()
    for delta in deltas:
        moved = (delta != 0).any(dim=0).nonzero()
        row, column = moved[0].tolist()
        found.add(tuple(delta[:, row, column].sign().int().tolist()))
    return found


@pytest.mark.parametrize(
    "part", ["linf start", "linf redraw", pytest.param("l2 start", marks=pytest.mark.slow), "l2 redraw"]
)
def test_every_channel_has_a_sign_of_its_own(part):
    # one sign for all channels gives two of the eight triples; 100 draws miss one of eight with p < 1e-4
    blank = torch.zeros(3, 16, 16)
    draw = {
        "linf start": lambda g: linf_start(0.25, g, blank.shape),
        "linf redraw": lambda g: linf_redraw(blank, 0.25, 5, g),
        "l2 start": lambda g: l2_start(1.0, g, blank.shape),
        "l2 redraw": lambda g: l2_redraw(blank, 1.0, 5, g),
    }[part]
    triples = sign_triples(draw(torch.Generator().manual_seed(seed)) for seed in range(100))
    assert len(triples) == 8 and all(0 not in triple for triple in triples)


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


def test_an_l2_start_is_five_patterns_a_side_and_nothing_beyond():
    """18 pixels: patterns of 3 from the second pixel on, and two columns at the end that none fits into."""
    drawn = l2_start(0.7, torch.Generator().manual_seed(0), torch.Size((3, 18, 18)))
    assert float(drawn.norm()) == pytest.approx(0.7)
    used = (drawn != 0).any(dim=0)
    assert used[1:16, 1:16].all() and int(used.sum()) == 15 * 15


def test_shares_are_halved_at_the_published_queries():
    """Of 10,000: through the 10th, the 50th, ... it is as it was, from the next one on half; 5,000 are half as many."""
    for place, last in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        assert share_at(last, 10_000) == 0.8 / 2**place
        assert share_at(last + 1, 10_000) == 0.8 / 2 ** (place + 1)
    assert (share_at(1000, 5000), share_at(1001, 5000)) == (0.8 / 32, 0.8 / 64)


def test_the_second_query_redraws_a_square_of_four_fifths_of_the_image():
    """A side of sqrt(.8 x 400) = 17.9: 18 of 20 pixels, in which a channel's sign may change."""
    shown = []

    def forward(x):
        shown.append(x.clone())
        right = torch.tensor([[1.0, 0.0]]).repeat(len(x), 1)
        return right if len(shown) < 3 else right.flip(1)  # all fall at the third

    square(toy(forward, torch.full((8, 3, 20, 20), 0.5)), "linf", torch.full((8,), 0.1), Square(1000))
    changed = (shown[0] != shown[1]).any(dim=1)
    sides = [(int(one.any(dim=1).sum()), int(one.any(dim=0).sum())) for one in changed]
    assert max(max(pair) for pair in sides) == 18
    assert min(min(pair) for pair in sides) > 8
