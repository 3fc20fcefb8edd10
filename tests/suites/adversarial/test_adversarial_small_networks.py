"""Attacks on networks of a few weights, in milliseconds: a linear one, whose distance to the boundary is known, and one
with a hidden layer, on which APGD takes the path of its authors' code; schedules and patterns as published."""

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
import torch
from adversarial_world import toy

from suites.adversarial.attacks.apgd import ApgdState, DenseRules, apgd
from suites.adversarial.attacks.attack_sequence import resistance
from suites.adversarial.attacks.balls import BALLS
from suites.adversarial.attacks.losses import margin
from suites.adversarial.attacks.pgd import Ascent, schedule
from suites.adversarial.attacks.problem import GradientTrace, likely_wrong
from suites.adversarial.attacks.square import bump, l2_redraw, l2_side, l2_start, linf_side, share_at, square
from suites.adversarial.config import AdversarialConfig, Apgd, Square, Stage, Threat

SHAPE = (3, 6, 6)
ORDER = {"linf": float("inf"), "l2": 2}
DUAL = {"linf": 1, "l2": 2}
SLOW, RELEASE = pytest.mark.slow, pytest.mark.release
LINF_L2 = ["linf", pytest.param("l2", marks=SLOW)]


def draws(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grey(n=8, spread=0.05):
    """Images near the middle of the box, which no perturbation of these tests reaches."""
    return 0.5 + spread * draws(1, n, *SHAPE).clamp(-2, 2)


def problem_of(forward, x, batch=64):
    z, seeds = forward(x), np.arange(len(x), dtype=np.uint64) + 5
    return toy(forward, x, z.argmax(1), seeds=seeds, targets=likely_wrong(z, z.argmax(1), 4), batch=batch)


WEIGHTS = draws(0, 5, 108)


def linear(x):
    return x.flatten(1) @ WEIGHTS.T


def two_way(x):
    """Two classes that are ever right, three that never are (DLR wants them)."""
    z = x.flatten(1) @ WEIGHTS[:2].T
    return torch.cat([z, z.new_tensor([-40.0, -50.0, -60.0]).expand(len(x), 3)], dim=1)


def radius(problem, norm):
    """[n] distance of each image from the other of two classes: margin over the dual norm of the weights."""
    z = problem.forward(problem.images)
    return (z[:, 0] - z[:, 1]).abs() / torch.linalg.vector_norm(WEIGHTS[0] - WEIGHTS[1], DUAL[norm])


@pytest.mark.parametrize("norm", LINF_L2)
@pytest.mark.parametrize("loss", ["margin", pytest.param("dlr", marks=SLOW)])
def test_apgd_breaks_a_linear_network_just_beyond_its_radius_and_never_within(norm, loss):
    problem = problem_of(two_way, grey())
    exact, recipe = radius(problem, norm), Apgd(loss=loss, steps=60)
    beyond = 1.01
    verdicts = apgd(problem, norm, beyond * exact, recipe)
    assert verdicts.broken.all()
    assert (verdicts.size <= (beyond * exact).numpy() * (1 + 1e-5)).all()
    assert (verdicts.size >= exact.numpy() * (1 - 1e-5)).all()
    assert not apgd(problem, norm, 0.99 * exact, recipe).broken.any()


@pytest.mark.parametrize("norm", LINF_L2)
def test_pgd_breaks_a_linear_network_just_beyond_its_radius_and_never_within(norm):
    problem = problem_of(two_way, grey())
    for row, exact in enumerate(radius(problem, norm)[:3].tolist()):
        one, stage = problem.at(np.array([row])), Stage(loss="margin", steps=20, start="random")
        beyond = Ascent(one, norm, schedule([(stage, 1.05 * exact)]))
        assert beyond.broken[0] and exact * (1 - 1e-5) <= beyond.size[0] <= 1.0501 * exact
        within = Ascent(one, norm, schedule([(stage, 0.99 * exact)]))
        assert not within.broken[0] and within.passes[0] == 20 and within.forwards[0] == 1


def test_targets_are_tried_in_turn():
    """One step of each run, up the margin of its own target."""
    problem, shown = watched(problem_of(linear, grey(1)))
    verdicts = apgd(problem, "linf", torch.tensor([1e-4]), Apgd(loss="margin", steps=1, targets=6))
    assert not verdicts.broken.any() and verdicts.passes[0] == len(shown) == 12
    y = int(problem.labels[0])
    ranked = linear(problem.images)[0].argsort(descending=True).tolist()
    for run, (start, end) in enumerate(zip(shown[::2], shown[1::2], strict=True)):
        target = ranked[min(1 + run, 4)]  # there are four wrong classes: the last one again
        up = (WEIGHTS[target] - WEIGHTS[y]).sign()
        moved = (end - start).flatten()
        assert (moved * up >= 0).all() and (moved.abs() > 0).float().mean() > 0.9


FIRST, SECOND = draws(2, 24, 108) / 10, draws(3, 5, 24) * 3


def curved(x):
    return torch.tanh(x.flatten(1) @ FIRST.T) @ SECOND.T


def watched(problem):
    shown = []

    def forward(x):
        shown.append(x.detach().clone())
        return problem.forward(x)

    return replace(problem, forward=forward), shown


@pytest.mark.parametrize("loss", ["dlr", pytest.param("ce", marks=SLOW)])
@pytest.mark.parametrize("norm", LINF_L2)
def test_apgds_path_is_that_of_the_authors_code(norm, loss):
    theirs = pytest.importorskip("pyautoattack.autopgd_base")
    steps, size = 40, {"linf": 0.004, "l2": 0.03}[norm]
    problem = problem_of(curved, grey())
    mine, points = watched(problem)
    assert not apgd(mine, norm, torch.full((8,), size), Apgd(loss=loss, steps=steps)).broken.any()
    other, their_points = watched(problem)
    run = theirs.APGDAttack(other.forward, n_iter=steps, norm=norm.capitalize(), eps=size, loss=loss)
    run.init_hyperparam(problem.images)
    run.attack_single_run(problem.images, problem.labels, x_init=points[0])
    assert len(points) == len(their_points) == steps + 1
    # as on large networks: DLR parts where a first window compares with 0
    until = 8 if loss == "dlr" else steps + 1
    for a, b in zip(points[:until], their_points, strict=False):
        assert float((a - b).abs().max()) < 0.02 * size
    for point in points:
        away = (point.double() - problem.images.double()).flatten(1)
        assert (torch.linalg.vector_norm(away, ORDER[norm], dim=1) <= size * (1 + 1e-4)).all()


@pytest.mark.parametrize("norm", LINF_L2)
def test_square_keeps_to_ball_and_box_and_tells_the_truth(norm):
    problem = problem_of(two_way, grey(spread=0.2).clamp(0, 1))
    epsilon = 3 * radius(problem, norm)
    near = problem_of(lambda x: torch.cat([0.55 + 0 * x, x], dim=1).flatten(1), torch.full((2, 1, 1, 1), 0.5))
    fell = square(near, norm, torch.full((2,), 0.125), Square(60))  # both at once or soon: no query is left to ask
    assert fell.size.tolist() == [0.125] * 2
    seen, shown = watched(problem)
    verdicts = square(seen, norm, epsilon, Square(60))
    assert 2 <= verdicts.broken.sum() < 8
    assert all(x.min() >= 0 and x.max() <= 1 for x in shown)
    away = (shown[0] - problem.images).flatten(1)
    assert (torch.linalg.vector_norm(away, ORDER[norm], dim=1) <= epsilon * (1 + 1e-5)).all()
    assert sum(map(len, shown)) == verdicts.forwards.sum() and (verdicts.passes == 0).all()
    assert (verdicts.forwards[~verdicts.broken] == 60).all()
    sizes, bounds = verdicts.size[verdicts.broken], epsilon.numpy()[verdicts.broken]
    assert (sizes <= bounds * (1 + 1e-5)).all() and (sizes >= bounds / 3 * (1 - 1e-5)).all()
    assert (verdicts.margin[verdicts.broken] >= 0).all() and np.isnan(verdicts.size[~verdicts.broken]).all()


@pytest.mark.parametrize("norm", LINF_L2)
def test_neither_batch_nor_company_changes_an_attack(norm):
    x, epsilon = grey(), 1.3 * radius(problem_of(two_way, grey()), norm)
    for attack, recipe in ((square, Square(30)), (apgd, Apgd(loss="dlr", steps=8, targets=2))):
        together, apart = (attack(problem_of(two_way, x, batch), norm, epsilon, recipe) for batch in (64, 3))
        assert np.array_equal(together.broken, apart.broken)
        np.testing.assert_allclose(together.margin, apart.margin, atol=1e-4)


BUDGETS = (0.2, 0.5, 1.0)  # L2


def placed(*distances):
    """Images on a line across the boundary, at these L2 distances from it."""
    way = (WEIGHTS[0] - WEIGHTS[1]) / (WEIGHTS[0] - WEIGHTS[1]).norm()
    middle = torch.full((108,), 0.5)
    middle = middle - (middle @ way) * way
    return torch.stack([middle + d * way for d in distances]).view(-1, *SHAPE)


def whole_curve(distances, **given):
    problem = problem_of(two_way, placed(*distances))
    config = AdversarialConfig(threats=(Threat(norm="l2", epsilons=BUDGETS),), **given)
    return resistance(problem, config.threats[0], config, None)


@SLOW
def test_the_curve_of_a_linear_network_is_its_distance_and_attacks_are_tried_on_what_stands():
    """The smallest budget that reaches, by the attack that got there; bisection comes down to the distance itself."""
    distances = [0.1, 0.3, 0.7, 1.3]
    verdicts = whole_curve(distances, stages=(Stage(loss="ce", steps=5), Stage(loss="margin", steps=5)), bisect=7)
    assert verdicts.epsilon.tolist() == pytest.approx([0.2, 0.5, 1.0, np.inf])
    assert verdicts.by.tolist() == ["ce", "ce", "ce", ""]
    assert verdicts.size[:3] == pytest.approx(distances[:3], rel=0.02)
    assert (verdicts.size[:3] >= np.array(distances[:3]) - 1e-6).all()
    assert (verdicts.held[:3] <= distances[:3]).all() and (verdicts.held[:3] > 0.9 * verdicts.size[:3]).all()
    assert np.isnan(verdicts.size[3])
    verdicts = whole_curve([0.1, 0.7, 1.3], stages=(), attacks=(Apgd(loss="margin", steps=20),))
    assert verdicts.epsilon.tolist() == pytest.approx([0.2, 1.0, np.inf])
    assert verdicts.by.tolist() == ["apgd-margin", "apgd-margin", ""]
    assert verdicts.forwards.tolist() == [0, 0, 0]
    assert verdicts.passes[2] == 3 * 21 and verdicts.passes[0] <= 21


def test_far_images_leap_to_the_next_budget():
    """More than 60 % of the margin left after the first stage: the second is not taken there."""
    stages, threat = (Stage(loss="ce", steps=2), Stage(loss="margin", steps=3)), Threat(norm="l2", epsilons=(0.2, 1.5))
    problem = problem_of(two_way, placed(2.0))
    problem = replace(problem, rest=margin(two_way(problem.images), problem.labels))
    for leap, passes in ((1.0, 10), (0.6, 7)):
        config = AdversarialConfig(threats=(threat,), stages=stages, leap=leap)
        assert resistance(problem, threat, config, None).passes[0] == passes


@pytest.mark.parametrize("size", [(1, 3), (2, 5), (3, 4), (5, 5), (6, 13), (16, 33)])
def test_bumps_are_the_published_pattern(size):
    theirs = pytest.importorskip("pyautoattack.square").SquareAttack(None, norm="L2", eps=1.0, device="cpu")
    ours = bump(*size)
    assert torch.allclose(ours / ours.norm(), theirs.eta_rectangles(*size), atol=1e-6)


def test_the_l2_start_is_five_tiles_a_side_in_the_middle():
    start = l2_start(0.5, torch.Generator().manual_seed(0), torch.Size((3, 13, 14)))
    there = torch.zeros(13, 14, dtype=torch.bool)
    there[1:13, 1:13] = True  # tiles of 2 px from 1 on, as long as one fits
    assert torch.equal((start != 0).all(dim=0), there) and float(start.norm()) == pytest.approx(0.5)
    assert all((l2_start(0.5, torch.Generator().manual_seed(0), torch.Size((3, n, n))) != 0).all() for n in (4, 10))


def test_an_l2_redraw_keeps_the_length_and_all_but_two_squares():
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(3, 20, 20, generator=generator)
    delta = delta * (0.5 / delta.norm())
    drawn = l2_redraw(delta, 0.5, 5, generator)
    assert abs(float(drawn.norm()) - 0.5) < 1e-5
    scale = (drawn / delta).flatten()
    common = scale[torch.isclose(scale, scale.median(), rtol=1e-3)]
    assert len(common) >= 3 * (400 - 50)


@SLOW
def test_strength_is_that_of_the_authors_code(world):
    module, epsilon = pytest.importorskip("pyautoattack.square"), 16 / 255
    problem = world("world-standard-0", 16).problem(16, tuned=False)
    theirs = module.SquareAttack(problem.forward, norm="Linf", n_queries=60, eps=epsilon, device="cpu")
    points = theirs.perturb(problem.images, problem.labels)
    with torch.no_grad():
        broken = (problem.forward(points).argmax(1) != problem.labels).sum()
    ours = square(problem, "linf", torch.full((len(points),), epsilon), Square(60)).broken.sum()
    assert 4 <= ours < len(points) and abs(int(ours) - int(broken)) <= 4


def test_shares_are_halved_at_the_published_queries():
    """Of 10,000: through the 10th, the 50th, ... it is as it was, from the next one on half; 5,000 are half as many."""
    for place, last in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        assert share_at(last, 10_000) == 0.8 / 2**place
        assert share_at(last + 1, 10_000) == 0.8 / 2 ** (place + 1)
    assert (share_at(1000, 5000), share_at(1001, 5000)) == (0.8 / 32, 0.8 / 64)
    # and APGD's checkpoints of a hundred steps
    assert tuple(accumulate(DenseRules(BALLS["l2"]).windows(100))) == (22, 41, 57, 70, 80, 87, 93, 99)


@RELEASE
def test_verdicts_towards_targets_are_no_weaker_than_the_authors(world):
    """Untargeted, the path is theirs point by point (small networks)."""
    theirs = pytest.importorskip("pyautoattack.autopgd_base")
    problem = world("world-adversarial-0", 10).problem(24, tuned=False)
    ours = apgd(problem, "linf", torch.full((len(problem.images),), 4 / 255), Apgd(loss="dlr", steps=20, targets=3))
    options = {"n_target_classes": 3, "n_iter": 20, "norm": "Linf", "eps": 4 / 255, "device": "cpu"}
    points = theirs.APGDAttack_targeted(problem.forward, **options).perturb(problem.images, problem.labels)
    with torch.no_grad():
        broken = (problem.forward(points).argmax(1) != problem.labels).numpy()
    assert 0 < ours.broken.sum() < len(broken)  # the case decides something
    assert ours.broken.sum() >= broken.sum() - 1  # other random starts: one image may go either way
    assert (ours.broken != broken).sum() <= 2


def test_what_is_no_number_breaks_its_image_alone():
    problem, epsilon = problem_of(curved, grey()), torch.full((8,), 0.001)
    infinite = replace(problem, forward=lambda x: curved(x) * float("inf"))
    verdicts = apgd(infinite, "linf", epsilon, Apgd(loss="ce", steps=3))
    assert verdicts.broken.all() and infinite.failed.all() and (verdicts.passes == 1).all()

    def forward(x):
        here = (x.detach() - problem.images[2:3]).abs().flatten(1).amax(dim=1) < 0.002
        return curved(x) + torch.where(here, 0 * x[:, 0, 0, 0], 1.0).sqrt()[:, None]

    steep = replace(problem, forward=forward)  # without a gradient at one image
    verdicts = apgd(steep, "linf", epsilon, Apgd(loss="ce", steps=3))
    assert verdicts.broken.nonzero()[0].tolist() == steep.failed.nonzero()[0].tolist() == [2]
    assert verdicts.size[2] == epsilon[2]


def test_the_sides_of_squares_by_hand():
    assert [linf_side(0.8, *size) for size in ((4, 20), (20, 4), (10, 10))] == [4, 4, 9]
    assert [l2_side(share, 10, 10) for share in (0.8, 0.6, 0.01)] == [9, 9, 3]  # 8.9, 7.7 and 1 pixel
    assert [l2_side(0.8, *size) for size in ((4, 20), (20, 4))] == [4, 4]


def four_pixels(**given):
    """A state of images of four pixels with these fields; the others are zero, or images of .5."""
    images = {name: torch.full((4, 1, 2, 2), 0.5) for name in ("origin", "point", "before", "best", "slope")}
    fields = dict.fromkeys(ApgdState._fields, torch.zeros(4)) | images
    given = {name: torch.tensor(value) for name, value in given.items()}
    shaped = {name: value.view_as(fields[name]) for name, value in given.items()}
    return ApgdState(**fields | shaped)


def test_a_dense_start_is_the_draw_at_the_length_of_epsilon():
    """A draw of (1, 1, 1, -3) has length 4 in Linf / 3 and in L2 / sqrt(12); .5 + epsilon beside the edge is cut."""
    draw = torch.tensor([1.0, 1.0, 1.0, -3.0]).view(1, 2, 2)
    seen = []
    for norm, unit in (("linf", 1 / 3), ("l2", 12**-0.5)):
        rules = DenseRules(replace(BALLS[norm], draw=lambda shape, stream: seen.append(stream.initial_seed()) or draw))
        found = rules.start(torch.full((2, 1, 2, 2), 0.5), torch.tensor([0.3, 2.0]), [7, 8])
        expected = torch.stack([0.5 + 0.3 * unit * draw, (0.5 + 2.0 * unit * draw).clamp(0, 1)])
        assert found.numpy() == pytest.approx(expected.numpy())
    assert seen == [7, 8, 7, 8]


HALF = torch.full((1, 1, 1, 1), 0.5)


def pixel(x):
    return torch.cat([9 - x, x], dim=1).flatten(1)


@pytest.mark.parametrize(("start", "second"), [("last", [0.59]), ("clean", [0.5, 0.55])])
def test_a_stage_starts_where_the_last_one_ended_or_at_the_image(start, second):
    """A step to the edge of a ball of .04, then some of .05 in one of .1; the last point of a stage is judged."""
    problem, shown = watched(problem_of(pixel, HALF))
    stages = (Stage(loss="margin", steps=1), 0.04), (Stage(loss="margin", steps=5, start=start), 0.1)
    Ascent(problem, "linf", schedule(stages))
    assert [float(x) for x in shown] == pytest.approx([0.5, 0.54, *second, 0.6, 0.6, 0.6, 0.6])


def test_pgd_notes_the_last_gradient_of_the_margin_within_the_budget():
    """Class 0 at 3; the others at the two pixels, and at one of them twice. Two steps of the margin within .1; those of
    the cross entropy and within .2 are not noted, nor is an image that nobody asked about."""

    def forward(x):
        flat = x.flatten(1)
        return torch.stack([torch.full_like(flat[:, 0], 3.0), flat[:, 0], 2 * flat[:, 1]], dim=1)

    images = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.5, 0.5]]).view(3, 1, 1, 2)
    followed = GradientTrace(wanted=np.array([True, True, False]), within=0.1)
    stages = [(Stage(loss=loss, steps=2), most) for loss, most in (("margin", 0.1), ("ce", 0.1), ("margin", 0.2))]
    Ascent(replace(problem_of(forward, images, batch=1), followed=followed), "linf", schedule(stages))
    assert followed.rival == {0: 2, 1: 1}
    found = [[part[row].flatten().tolist() for row in (0, 1)] for part in (followed.point, followed.direction)]
    assert found[0] == [pytest.approx([0.5, 0.6]), pytest.approx([0.85, 0.25])] and found[1] == [[0, 2], [1, 0]]


def test_a_dense_step_is_reconsidered_by_hand():
    """Of four steps, 3 raised the loss: halved. All 4: halved if the highest loss is that of the last checkpoint, and
    the step was not halved there."""
    state = four_pixels(best=[[0.7] * 4] * 4, slope=[[3.0] * 4] * 4, step=[0.4] * 4, rises=[3, 4, 4, 4],
                        noted=[1.0, 1.0, 2.0, 2.0], top=[2.0] * 4, halved=[False, False, False, True])  # fmt: skip
    rules, ones = DenseRules(BALLS["linf"]), torch.ones(4, 1, 2, 2)
    changed, slope = rules.retake(state, ones, 4)
    assert changed.step.tolist() == pytest.approx([0.2, 0.4, 0.2, 0.4])
    assert changed.point[:, 0, 0, 0].tolist() == pytest.approx([0.7, 0.5, 0.7, 0.5])
    assert changed.halved.tolist() == [True, False, True, False]
    assert (changed.noted.tolist(), changed.rises.tolist()) == ([2.0] * 4, [0] * 4)
    assert slope[:, 0, 0, 0].tolist() == [3, 1, 3, 1]


def test_a_dense_step_carries_a_quarter_of_the_last_by_hand():
    """Of .1 along the signs; from the second step on, three quarters of that and a quarter of the last, which was .04;
    cut to a ball of .05 before and after."""
    state = four_pixels(before=[[0.46] * 4] * 4, step=[0.1] * 4, epsilon=[1.0, 1.0, 0.05, 0.02])
    slope = torch.tensor([[3.0, -2.0, 0.0, 1.0]] * 4).view(4, 1, 2, 2)
    first, later = [0.6, 0.4, 0.5, 0.6], [0.585, 0.435, 0.51, 0.585]
    expected = [later, later, [0.5475, 0.4725, 0.51, 0.5475], [0.52, 0.495, 0.51, 0.52]]
    rules = DenseRules(BALLS["linf"])
    assert rules.move(state, slope, 0.25).flatten(1).numpy() == pytest.approx(np.array(expected))
    assert rules.move(state, slope, 0.0).flatten(1)[0].tolist() == pytest.approx(first)


def test_the_first_step_from_an_image_follows_the_gradient_that_is_known():
    """One that leads downwards, of the cross entropy alone, and without a pass; the later steps lead up. Neither the
    margin nor a random start takes it."""
    problem, shown = watched(replace(problem_of(pixel, HALF), first=-torch.ones_like(HALF)))
    stages = [(Stage(loss="ce", steps=1), 0.04), (Stage(loss="ce", steps=5, start="clean"), 0.1)]
    stages += [(Stage(loss="margin", steps=1, start="clean"), 0.1), (Stage(loss="ce", steps=1, start="random"), 0.2)]
    ascent = Ascent(problem, "linf", schedule(stages))
    assert [float(x) for x in shown[:8]] == pytest.approx([0.46, 0.45, 0.5, 0.55, 0.6, 0.6, 0.5, 0.6])
    assert (len(shown), ascent.passes[0], ascent.forwards[0]) == (10, 6, 4)
    assert float(shown[9]) == pytest.approx(0.7) and 0.3 < float(shown[8]) < 0.7
