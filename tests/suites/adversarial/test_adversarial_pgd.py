"""The loop itself: no step too many, no verdict that depends on company, nothing counted that float32 denies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from adversarial_world import toy
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmark.engine.devices import full_precision, make_policy, numerics
from suites.adversarial.attacks.apgd import apgd
from suites.adversarial.attacks.pgd import Ascent, fgsm, schedule, slope, sweep
from suites.adversarial.attacks.problem import Problem, fallen
from suites.adversarial.config import AdversarialConfig, Apgd, Stage, Threat


def answer(x):
    """Two classes: the second once the first channel exceeds 0.5 by the value of the other, which has no gradient."""
    gap = x[:, 0, 0, 0].double() - 0.5 - x[:, 1, 0, 0].detach().double()
    return torch.stack([-gap, gap], dim=1).float()


def line(limits, batch):
    """Images that stand until their first channel has moved by more than their limit."""
    images = torch.full((len(limits), 2, 1, 1), 0.5)
    images[:, 1, 0, 0] = torch.tensor(limits, dtype=torch.float32)
    return toy(answer, images, batch=batch)


def walk(limit, steps):
    """One image on its own: the step that broke it (-1: none), gradient passes and plain passes."""
    at, passes, forwards = 0.0, 0, 0
    for s, step in enumerate(steps):
        anew = step["start"] != "last"
        if s and anew:
            forwards += 1
            if at > limit:
                return s - 1, passes, forwards
        if anew:
            at = 0.0
        passes += 1
        if at > limit:
            return s - 1, passes, forwards
        at = min(at + step["size"], step["epsilon"])
        assume(abs(at - limit) > 1e-5)
    return (len(steps) - 1 if at > limit else -1), passes, forwards + 1


stages = st.lists(
    st.builds(Stage, st.sampled_from(["ce", "margin"]), st.integers(1, 4), st.sampled_from(["last", "clean"])),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@given(limits=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=9), plan=stages, batch=st.integers(1, 5))
def test_every_image_walks_as_if_it_were_alone(limits, plan, batch):
    steps = sweep(Threat("linf", (0.02, 0.05, 0.1)), AdversarialConfig((), tuple(plan)))
    ascent = Ascent(line(limits, batch), "linf", steps)
    alone = [walk(float(np.float32(limit)), steps) for limit in limits]
    walked = zip(ascent.fell.tolist(), ascent.passes.tolist(), ascent.forwards.tolist(), strict=True)
    assert alone == list(walked)


def test_close_answers_count_only_if_the_plain_network_is_wrong_too():
    problem = line([0.01, 0.03, 0.2], 2)
    steps = schedule([(Stage("ce", 4, "clean"), 0.05)])

    def later(x):  # the boundary lies 0.03 further out
        return answer(x) + torch.tensor([0.03, -0.03])

    usual = Ascent(problem, "linf", steps)
    assert usual.broken.tolist() == [True, True, False]
    asked = Ascent(replace(problem, plain=later, sure=1.0), "linf", steps)
    assert asked.broken.tolist() == [True, False, False]
    assert asked.fell[0] >= usual.fell[0]  # it had to go further
    sure = Ascent(replace(problem, plain=later, sure=0.0), "linf", steps)
    assert sure.fell.tolist() == usual.fell.tolist()
    gradient = slope(problem).gradient
    for more, expected in (({}, [True, True, False]), ({"plain": later, "sure": 1.0}, [True, False, False])):
        assert fgsm(replace(problem, **more), gradient, (0.045,))[:, 0].tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_in_low_precision_full_precision_has_the_last_word(norm, standard):
    """bf16 finds, float32 judges: every image that counts as broken is wrong in float32."""
    images, y = standard.pixels, standard.labels
    model = standard.feed.model

    def plain(x):
        with torch.no_grad(), full_precision("cpu"):
            return model.forward(x)

    n = len(y)
    problem = Problem(standard.feed.run, images, y, np.arange(n), y[:, None], plain=plain, sure=float("inf"))
    epsilon = {"linf": 0.5 / 255, "l2": 0.25}[norm]
    with numerics(make_policy("cpu", "bf16")):
        pool = Ascent(problem, norm, schedule([(Stage("margin", 5, "clean"), epsilon)]))
    fell = pool.broken
    assert fell.sum() > 0
    assert (plain(pool.point[fell]).argmax(1) != y[fell]).all()


def starts(run_attack, seeds):
    """Where each of the images, all of them the same, begins: the points that the network is shown first, [n, 12]."""
    shown = []

    def forward(x):
        shown.append(x.detach().clone())
        return torch.stack([x.mean(dim=(1, 2, 3)) + 9, x.mean(dim=(1, 2, 3))], dim=1)

    n = len(seeds)
    y = torch.zeros(n, dtype=torch.long)
    images = torch.full((n, 3, 2, 2), 0.5)
    run_attack(Problem(forward, images, y, np.array(seeds, dtype=np.uint64), 1 - y[:, None]))
    return shown[0].flatten(1)


@pytest.mark.parametrize("which", ["pgd", "apgd"])
def test_every_image_has_a_random_start_of_its_own(which):
    def run(problem):
        if which == "apgd":
            return apgd(problem, "linf", torch.full((len(problem.images),), 0.1), Apgd("ce", 2))
        return Ascent(problem, "linf", schedule([(Stage("ce", 2, "random"), 0.1)]))

    points = starts(run, [0, 1, 2, 3])
    assert len(torch.unique(points, dim=0)) == 4
    assert all(len(row.unique()) > 3 for row in points - 0.5)  # entries are drawn one by one
    assert torch.equal(points[2:], starts(run, [2, 3]))  # whatever company, the seed's own


def test_near_the_boundary_the_plain_network_alone_decides_both_ways():
    asked = []

    def plain(x):
        asked.append(len(x))
        return x.flatten(1)

    answers = torch.tensor([[0.0, 0.01], [0.01, 0.0], [0.0, 9.0], [9.0, 0.0], [0.01, 0.0]])
    exact = torch.tensor([[0.01, 0.0], [0.0, 0.01], [1.0, 0.0], [0.0, 1.0], [0.01, 0.0]])
    problem = toy(answer, exact[:, :, None, None], plain=plain, sure=0.02)
    fell = fallen(problem, np.arange(5), problem.images, answers)
    assert fell.tolist() == [False, True, True, False, False]
    assert asked == [1, 1, 1]  # each on its own, and none that is sure
