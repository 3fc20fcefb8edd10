"""Programs as lists of steps: sizes, order, targets, restarts."""

from dataclasses import replace

import numpy as np
import pytest

from suites.adversarial.attacks.apgd_state import STARTS, _leaps, single, sweep
from suites.adversarial.attacks.problem import KINDS
from suites.adversarial.config import LINF, QUICK, Config, Stage, Threat, linf


def test_epsilons_ascend_and_the_far_one_comes_last():
    steps = sweep(LINF, QUICK)
    grid = [*LINF.epsilons, LINF.far]
    assert np.allclose(steps.epsilon, np.repeat(grid, [5] * 6 + [20]))
    assert len(sweep(replace(LINF, far=0.0), QUICK)) == 30


@pytest.mark.parametrize("steps", [1, 10, 40])
def test_a_step_is_two_and_a_half_epsilon_over_their_number(steps):
    made = single(Stage("ce", steps, "random"), 4 / 255)
    assert np.allclose(made.size, 2.5 * 4 / 255 / steps)
    assert made.start.tolist() == [STARTS.index("random")] + [0] * (steps - 1)


def test_every_target_is_tried_at_every_restart():
    made = single(Stage("dlr", 3, "random", targets=2, restarts=2), 1.0)
    assert made.target.tolist() == [1] * 6 + [2] * 6
    assert np.flatnonzero(made.start).tolist() == [0, 3, 6, 9]
    assert set(made.kind.tolist()) == {KINDS.index("dlr")}
    assert set(made.name) == {"dlr-targeted"}


def test_stages_follow_one_another_at_each_epsilon():
    stages = (Stage("ce", 2, "clean"), Stage("margin", 1, "random", restarts=3))
    made = sweep(linf(1.0, 2.0, far=0.0), Config((), stages))
    assert made.name == ("ce", "ce", "margin", "margin", "margin") * 2
    assert [STARTS[i] for i in made.start[:5]] == ["clean", "last", *["random"] * 3]


def test_a_protocol_without_stages_has_no_steps():
    # attacks of other packages stand alone
    assert len(sweep(Threat("linf", (0.01, 0.02)), Config((), ()))) == 0


def test_leaps_go_from_a_stages_first_step_to_the_next_budget():
    """Two stages of two steps and one at each of two budgets; then of one step each; then one that starts anew."""
    budgets = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    names = ["ce", "ce", "margin"] * 2
    assert _leaps(budgets, names, [0] * 6).tolist() == [-1, -1, 3, -1, -1, -1]
    budgets, names = np.array([1.0, 1.0, 2.0, 2.0]), ["ce", "margin"] * 2
    assert _leaps(budgets, names, [0] * 4).tolist() == [-1, 2, -1, -1]
    assert _leaps(budgets, names, [0, 1, 0, 0]).tolist() == [-1, -1, -1, -1]
