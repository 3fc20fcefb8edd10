"""The loop and the sequence of attacks: no step too many, no verdict that depends on company, nothing counted that
float32 denies; who is attacked, what counts, what is kept; bisection."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from adversarial_world import toy
from hypothesis import assume, given
from hypothesis import strategies as st

from suites.adversarial.attacks.apgd import apgd
from suites.adversarial.attacks.attack_sequence import Resistance, resistance
from suites.adversarial.attacks.pgd import Ascent, fgsm, schedule, slope, threat_schedule
from suites.adversarial.attacks.problem import Verdicts, fallen
from suites.adversarial.config import AdversarialConfig, Apgd, Finish, Square, Stage, Threat


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


LOSSES, STARTS = st.sampled_from(["ce", "margin"]), st.sampled_from(["last", "clean"])
STAGES = st.lists(st.builds(Stage, loss=LOSSES, steps=st.integers(1, 4), start=STARTS), min_size=1, max_size=3)


@pytest.mark.slow
@given(limits=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=9), plan=STAGES, batch=st.integers(1, 5))
def test_every_image_walks_as_if_it_were_alone(limits, plan, batch):
    threat = Threat(norm="linf", epsilons=(0.02, 0.05, 0.1))
    steps = threat_schedule(threat, AdversarialConfig(threats=(), stages=tuple(plan)))
    ascent = Ascent(line(limits, batch), "linf", steps)
    alone = [walk(float(np.float32(limit)), steps) for limit in limits]
    walked = zip(ascent.fell.tolist(), ascent.passes.tolist(), ascent.forwards.tolist(), strict=True)
    assert alone == list(walked)


def test_close_answers_count_only_if_the_plain_network_is_wrong_too():
    problem = line([0.01, 0.03, 0.2], 2)
    steps = schedule([(Stage(loss="ce", steps=4, start="clean"), 0.05)])

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
    near = replace(problem, plain=lambda x: -answer(x), sure=0.5)  # at a margin of as much, too, but of no more
    z = torch.tensor([[1.0, 0.5], [1.0, 0.25], [0.75, 1.25]])
    assert fallen(near, np.arange(3), problem.images, z).tolist() == [True, False, True]


def starts(run_attack, seeds):
    """Where each of the images, all of them the same, begins: the points that the network is shown first, [n, 12]."""
    shown = []

    def forward(x):
        shown.append(x.detach().clone())
        return torch.stack([x.mean(dim=(1, 2, 3)) + 9, x.mean(dim=(1, 2, 3))], dim=1)

    run_attack(toy(forward, torch.full((len(seeds), 3, 2, 2), 0.5), seeds=np.array(seeds, dtype=np.uint64)))
    return shown[0].flatten(1)


@pytest.mark.parametrize("which", ["pgd", "apgd"])
def test_every_image_has_a_random_start_of_its_own(which):
    def run(problem):
        if which == "apgd":
            return apgd(problem, "linf", torch.full((len(problem.images),), 0.1), Apgd(loss="ce", steps=2))
        return Ascent(problem, "linf", schedule([(Stage(loss="ce", steps=2, start="random"), 0.1)]))

    points = starts(run, [0, 1, 2, 3])
    assert len(torch.unique(points, dim=0)) == 4
    assert all(len(row.unique()) > 3 for row in points - 0.5)  # entries are drawn one by one
    assert torch.equal(points[2:], starts(run, [2, 3]))  # whatever company, the seed's own


NEVER = np.inf


def blank(threat, n, problem=None, **values):
    columns = {"epsilon": np.full(n, NEVER), "by": np.full(n, "", dtype="U40"), "held": np.zeros(n)}
    columns |= vars(Verdicts.none(n))
    columns |= {name: np.asarray(value, dtype="U40" if name == "by" else None) for name, value in values.items()}
    return Resistance(problem=problem, threat=threat, **columns)


@pytest.fixture
def stand_in(monkeypatch):
    """call(broken, margin, passes, forwards): APGD and Square break images by (seeds, recipe), with a size of their
    bounds less `short`, and leave these margins. Returned: the seeds, bounds and recipe of each call."""

    def install(broken, margin=lambda problem: 0.0, passes=0, forwards=0, short=0.0):
        asked = []

        def attack(problem, norm, bounds, recipe):
            assert bounds.dtype == torch.float32  # as the images
            asked.append((problem.seeds.tolist(), [round(x, 6) for x in bounds.tolist()], recipe))
            n, fell = len(bounds), np.asarray(broken(problem.seeds, recipe))
            size, left = np.where(fell, bounds.numpy() - short, np.nan), np.zeros(n) + margin(problem)
            costs = {"passes": np.full(n, passes), "forwards": np.full(n, forwards)}
            return Verdicts(broken=fell, size=size, loss=left, margin=left, **costs)

        for kind in (Apgd, Square):
            monkeypatch.setattr(kind.function.replace(":", "."), attack)
        return asked

    return install


def nearly(away):
    """Images of one pixel that moves, so far away from their boundaries."""

    def answer(x):
        gap = x[:, 0, 0, 0] - x[:, 1, 0, 0].detach() - 0.5
        return torch.stack([-gap, gap], dim=1)

    images = torch.full((len(away), 2, 1, 1), 0.5)
    images[:, 1, 0, 0] = away
    return toy(answer, images, rest=-2 * away)


def test_a_small_perturbation_breaks_every_budget_that_it_fits_in():
    threat = Threat(norm="linf", epsilons=(1.0, 2.0, 4.0), far=32.0)
    curve = blank(threat, 5, epsilon=[4.0, 2.0, 1.0, 32.0, NEVER], size=[1.5, 2.0000001, 1.0, 20.0, np.nan])
    curve.tighten()
    assert curve.epsilon.tolist() == [2.0, 2.0, 1.0, 32.0, NEVER]
    assert curve.held.tolist() == [1.0, 1.0, 0.0, 4.0, 32.0]


def test_bisection_asks_those_that_fell_within_the_budgets_and_have_a_bracket(stand_in):
    """Broken at 4 with a bracket (2, 3); without one (3, 3); beyond the budgets; never. Half-way is 2.5."""
    asked = stand_in(lambda seeds, _: seeds == 0, passes=3, forwards=5, short=0.25)
    problem, threat = toy(torch.flatten, torch.zeros(5, 1, 1, 1)), Threat(norm="linf", epsilons=(2.0, 4.0), far=9.0)
    given = {"size": [3.0, 3.0, 8.0, np.nan, 4.0], "held": [2.0, 3.0, 4.0, 4.0, 2.0]}
    curve = blank(threat, 5, problem, epsilon=[4.0, 4.0, 9.0, NEVER, 4.0], **given)
    curve.halve()
    assert [call[:2] for call in asked] == [([0, 4], [2.5, 3.0])]
    assert curve.size.tolist() == pytest.approx([2.25, 3.0, 8.0, np.nan, 4.0], nan_ok=True)
    assert curve.held.tolist() == [2.0, 3.0, 4.0, 4.0, 3.0]
    assert curve.epsilon.tolist() == [4.0, 4.0, 9.0, NEVER, 4.0]
    assert (curve.passes.tolist(), curve.forwards.tolist()) == ([3, 0, 0, 0, 3], [5, 0, 0, 0, 5])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_the_stages_nearly_broke_is_tried_once_more(norm, stand_in):
    """One pixel moves, by .1, then by .12, towards boundaries .05, .11, .14, .16 and .5 away: of the margin stays
    nothing, .09, .29, .375, .8; then nothing of the second too, .14, .25, .76. Near: at most .3. Linf alone."""
    asked = stand_in(lambda seeds, _: seeds == 2, passes=7, forwards=5)
    problem = nearly(torch.tensor([0.05, 0.11, 0.14, 0.16, 0.5]))
    threat = Threat(norm=norm, epsilons=(0.1, 0.12))
    finish = Finish(attack=Apgd(loss="margin", steps=9), near=0.3)
    config = AdversarialConfig(threats=(threat,), stages=(Stage(loss="ce", steps=4, start="clean"),), finish=finish)
    curve = resistance(problem, threat, config, None)
    if norm == "l2":
        assert asked == [] and np.isinf(curve.epsilon[2])
        return
    recipe = Apgd(loss="margin", steps=9)
    assert asked == [([1, 2], [0.1, 0.1], recipe), ([3], [0.12], recipe)]
    assert curve.epsilon.tolist() == [0.1, 0.12, 0.1, NEVER, NEVER]
    assert curve.by.tolist() == ["ce", "ce", "apgd-margin", "", ""]
    extra = resistance(problem, threat, replace(config, finish=None), None)
    assert (curve.passes - extra.passes).tolist() == [0, 7, 7, 7, 0]
    assert (curve.forwards - extra.forwards).tolist() == [0, 5, 5, 5, 0]


def test_targets_are_tried_last_where_the_attack_before_came_close(stand_in):
    """Three images keep .1 to .25 of their margin after the stages; .05, .2 and .05 after APGD. At the second of two
    budgets alone, the first and the third are attacked towards classes."""
    kept = np.array([0.05, 0.2, 0.05])
    asked = stand_in(lambda seeds, _: seeds < 0, lambda problem: kept[problem.seeds.astype(int)] * problem.rest.numpy())
    problem = nearly(torch.tensor([0.125, 0.13, 0.14]))
    last = Apgd(loss="dlr", steps=5, targets=3)
    finish = Finish(attack=Apgd(loss="margin", steps=9), near=0.3, last=last, close=0.1, at=(0.12,))
    threat = Threat(norm="linf", epsilons=(0.11, 0.12))
    stages = (Stage(loss="ce", steps=4, start="clean"),)
    resistance(problem, threat, AdversarialConfig(threats=(threat,), stages=stages, finish=finish), None)
    found = [(seeds, bounds[0], recipe.loss) for seeds, bounds, recipe in asked]
    assert found == [([0, 1, 2], 0.11, "margin"), ([0, 1, 2], 0.12, "margin"), ([0, 2], 0.12, "dlr")]


def test_a_second_opinion_is_asked_where_an_image_stood(stand_in):
    """Broken at the second budget, standing, broken at the first, not odd: asked at .1, reference .2, never, never."""
    asked = stand_in(lambda seeds, recipe: seeds == (recipe.name == "square"), forwards=3)
    problem = toy(torch.flatten, torch.zeros(4, 1, 1, 1))
    given = {"epsilon": [0.2, NEVER, 0.1, NEVER], "size": [0.2, np.nan, 0.1, np.nan], "held": [0.1, 0.8, 0.0, 0.8]}
    threat, recipes = Threat(norm="linf", epsilons=(0.1, 0.2), far=0.8), (Square(3), Apgd(loss="margin", steps=3))
    curve, odd = blank(threat, 4, problem, **given), np.array([True, True, True, False])
    opinions = curve.ask(recipes, odd, 0)
    assert asked == [([0, 1], [0.1, 0.2], recipe) for recipe in recipes]
    assert opinions.tolist() == [[0, 1], [1, 0], [-1, -1], [-1, -1]]
    assert curve.epsilon == pytest.approx([0.1, 0.2, 0.1, NEVER])
    assert (curve.by.tolist(), curve.forwards.tolist()) == (["apgd-margin", "square", "", ""], [6, 6, 0, 0])
    for least, wanted in ((1, [0, 1]), (3, [0, 1, 3]), (9, [0, 1, 3])):
        asked.clear()
        again = blank(threat, 4, problem, **given)
        again.ask(recipes, odd, least)
        assert asked[0][0] == wanted and again.epsilon[3] == NEVER


def test_the_steps_of_a_stage_add_up_to_two_and_a_half_budgets_and_leap_to_the_next_one():
    assert schedule([(Stage(loss="ce", steps=4), 8.0)])["size"].tolist() == [5.0] * 4
    stages = [(Stage(loss=loss, steps=2), epsilon) for epsilon in (1.0, 2.0) for loss in ("ce", "margin")]
    assert schedule(stages)["leap"].tolist() == [-1, -1, 4, -1, -1, -1, -1, -1]  # no budget comes after the last


def test_of_two_attacks_that_break_the_same_budget_the_first_keeps_it():
    curve = blank(Threat(norm="linf", epsilons=(1.0, 2.0, 4.0)), 3, epsilon=[2.0, 4.0, NEVER])
    curve.merge(np.array([[0, 1, 1], [0, 1, 1], [0, 0, 1]], dtype=bool), "fgsm")
    assert (curve.epsilon.tolist(), curve.by.tolist()) == ([2.0, 2.0, 4.0], ["", "fgsm", "fgsm"])
