"""The loop itself: no step too many, no verdict that depends on company, nothing counted that float32 denies."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmark.engine.devices import full_precision, make_policy, numerics
from suites.adversarial.attacks.apgd import apgd
from suites.adversarial.attacks.apgd_state import schedule_of, single, sweep
from suites.adversarial.attacks.pgd import _leap, _targets, attack, fgsm, slope
from suites.adversarial.attacks.problem import Problem, fallen, geometry, taken
from suites.adversarial.config import Apgd, Config, Stage, Threat

BALL = geometry("linf")


def answer(x):
    """Two classes: the second once the first channel exceeds 0.5 by the value of the other, which has no gradient."""
    gap = x[:, 0, 0, 0].double() - 0.5 - x[:, 1, 0, 0].detach().double()
    return torch.stack([-gap, gap], dim=1).float()


def line(limits, batch):
    """Images that stand until their first channel has moved by more than their limit."""
    images = torch.full((len(limits), 2, 1, 1), 0.5)
    images[:, 1, 0, 0] = torch.tensor(limits, dtype=torch.float32)
    y = torch.zeros(len(limits), dtype=torch.long)
    return Problem(answer, images, y, np.arange(len(limits)), 1 - y[:, None], batch=batch)


def walk(limit, steps):
    """One image on its own: the step that broke it (-1: none), gradient passes and plain passes."""
    at, passes, forwards = 0.0, 0, 0
    for s in range(len(steps)):
        anew = steps.start[s] != 0
        if s and anew:
            forwards += 1
            if at > limit:
                return s - 1, passes, forwards
        if anew:
            at = 0.0
        passes += 1
        if at > limit:
            return s - 1, passes, forwards
        at = min(at + steps.size[s], steps.epsilon[s])
        assume(abs(at - limit) > 1e-5)
    return (len(steps) - 1 if at > limit else -1), passes, forwards + 1


stages = st.lists(
    st.builds(
        Stage,
        st.sampled_from(["ce", "margin"]),
        st.integers(1, 4),
        st.sampled_from(["last", "clean"]),
        pace=st.sampled_from([1.0, 2.5]),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@given(limits=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=9), plan=stages, batch=st.integers(1, 5))
def test_every_image_walks_as_if_it_were_alone(limits, plan, batch):
    steps = sweep(Threat("linf", (0.02, 0.05, 0.1)), Config((), tuple(plan)))
    pool = attack(line(limits, batch), BALL, steps)
    alone = [walk(float(np.float32(limit)), steps) for limit in limits]
    assert [(b, p, f) for b, p, f in alone] == list(
        zip(pool.broken.tolist(), pool.passes.tolist(), pool.forwards.tolist(), strict=True)
    )


def test_the_known_first_gradient_saves_one_pass_of_each_start():
    problem = line([0.5, 0.5, 0.5], 2)
    steps = schedule_of([*_steps(Stage("ce", 3, "clean"), 0.1), *_steps(Stage("ce", 2, "clean"), 0.1)])
    plain = attack(problem, BALL, steps)
    known = attack(replace(problem, first=slope(problem).gradient), BALL, steps)
    assert (plain.passes - known.passes).tolist() == [2, 2, 2]
    assert torch.equal(plain.point, known.point)


def _steps(stage, epsilon):
    one = single(stage, epsilon)
    from suites.adversarial.attacks.apgd_state import Step

    columns = zip(one.epsilon, one.size, one.kind, one.start, one.target, one.name, strict=True)
    return [Step(*column) for column in columns]


def test_no_images_and_no_steps():
    assert len(attack(line([], 4), BALL, single(Stage("ce", 3), 0.1)).broken) == 0
    none = attack(line([0.01], 4), BALL, schedule_of([]))
    assert none.broken.tolist() == [-1] and none.passes.tolist() == [0]


def test_images_are_copied_in_their_layout():
    images = torch.rand(5, 3, 4, 6).contiguous(memory_format=torch.channels_last)
    rows = np.array([3, 0, 3])
    assert torch.equal(taken(images, rows), images[rows])
    assert taken(images, rows).is_contiguous(memory_format=torch.channels_last)
    assert taken(images, rows[:0]).shape == (0, 3, 4, 6)


def test_close_answers_count_only_if_the_plain_network_is_wrong_too():
    problem = line([0.01, 0.03, 0.2], 2)
    steps = single(Stage("ce", 4, "clean"), 0.05)

    def later(x):  # the boundary lies 0.03 further out
        return answer(x) + torch.tensor([0.03, -0.03])

    usual = attack(problem, BALL, steps)
    assert (usual.broken >= 0).tolist() == [True, True, False]
    asked = attack(replace(problem, plain=later, sure=1.0), BALL, steps)
    assert (asked.broken >= 0).tolist() == [True, False, False]
    assert asked.refused[1] >= 1 and asked.refused[2] == 0
    assert asked.broken[0] >= usual.broken[0]  # it had to go further
    sure = attack(replace(problem, plain=later, sure=0.0), BALL, steps)
    assert sure.broken.tolist() == usual.broken.tolist() and not sure.refused.any()
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
        pool = attack(problem, geometry(norm), single(Stage("margin", 5, "clean"), epsilon))
    fell = pool.broken >= 0
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
        return attack(problem, BALL, single(Stage("ce", 2, "random"), 0.1))

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
    y = torch.zeros(5, dtype=torch.long)
    problem = Problem(answer, exact[:, :, None, None], y, np.arange(5), 1 - y[:, None], plain=plain, sure=0.02)
    fell = fallen(problem, slice(0, 5), problem.images, answers)
    assert fell.tolist() == [False, True, True, False, False]
    assert asked == [1, 1, 1]  # each on its own, and none that is sure


def test_a_step_aims_at_the_class_of_its_rank():
    """0: at none; the first and the second most likely wrong class; beyond the last: at the last."""
    pool = SimpleNamespace(steps={"target": torch.tensor([0, 1, 2, 3])}, at=np.arange(4))
    images, y = torch.zeros(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64)
    targets = torch.tensor([[5, 7]]).repeat(4, 1)
    toy = Problem(lambda x: x, images, y, np.arange(4, dtype=np.uint64), targets)
    assert _targets(pool, toy, np.arange(4)).tolist() == [-1, 5, 7, 7]


def test_where_no_margin_is_too_large_nobody_leaps():
    """The margin falls below what it was, and the step has a next epsilon: it is taken all the same, unless .6 of the
    margin is too much. Without a gradient nobody does."""
    images, y = torch.zeros(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)
    toy = Problem(lambda x: x, images, y, np.arange(2, dtype=np.uint64), 1 - y[:, None])
    toy = replace(toy, rest=torch.tensor([-1.0, -1.0]))
    for keeps, led, expected in ((1.0, True, [0, 0]), (0.6, True, [5, 0]), (0.6, False, [0, 0])):
        pool = SimpleNamespace(
            at=np.zeros(2, dtype=int),
            margin=np.array([-1.5, -0.5]),
            standing=np.ones(2, dtype=bool),
            led=np.full(2, led),
            leaps=np.array([5]),
            keeps=keeps,
        )
        _leap(pool, toy, np.arange(2))
        assert pool.at.tolist() == expected
