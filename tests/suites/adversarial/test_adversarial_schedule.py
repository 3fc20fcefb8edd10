"""Protocols as lists of steps: sizes, order, leaps."""

from dataclasses import replace

import numpy as np
import pytest

from suites.adversarial.attacks.pgd import schedule, sweep
from suites.adversarial.config import LINF, QUICK, AdversarialConfig, Stage, Threat, linf


def test_epsilons_ascend_and_the_far_one_comes_last():
    steps = sweep(LINF, QUICK)
    assert np.allclose(steps["epsilon"], np.repeat([*LINF.epsilons, LINF.far], [5] * 6 + [20]))
    assert len(sweep(replace(LINF, far=0.0), QUICK)) == 30


@pytest.mark.parametrize("count", [1, 10, 40])
def test_a_step_is_two_and_a_half_epsilon_over_their_number(count):
    steps = schedule([(Stage("ce", count, "random"), 4 / 255)])
    assert np.allclose(steps["size"], 2.5 * 4 / 255 / count)
    assert steps["start"].tolist() == ["random"] + ["last"] * (count - 1)


def test_stages_follow_one_another_at_each_epsilon():
    stages = (Stage("ce", 2, "clean"), Stage("margin", 1, "random"))
    steps = sweep(replace(linf(1.0, 2.0), far=0.0), AdversarialConfig((), stages))
    assert steps["loss"].tolist() == ["ce", "ce", "margin"] * 2
    assert steps["start"].tolist() == ["clean", "last", "random"] * 2
    # attacks of other packages stand alone
    assert len(sweep(Threat("linf", (0.01, 0.02)), AdversarialConfig((), ()))) == 0


def test_leaps_go_from_a_stages_first_step_to_the_next_budget():
    """Two stages of two steps and one at each of two budgets; of one step and two; then one that starts anew."""

    def leaps(*stages):
        return schedule([(stage, epsilon) for epsilon in (1.0, 2.0) for stage in stages])["leap"].tolist()

    assert leaps(Stage("ce", 2), Stage("margin", 1)) == [-1, -1, 3, -1, -1, -1]
    assert leaps(Stage("ce", 1), Stage("margin", 2)) == [-1, 3, -1, -1, -1, -1]
    assert leaps(Stage("ce", 1), Stage("margin", 1, "clean")) == [-1] * 4
