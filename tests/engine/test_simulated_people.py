"""Simulated people take part where people do."""

import pytest

from benchmark.engine.tasks import plan_tasks
from benchmark.plugins import find_suites
from benchmark.variables import read_settings
from registry.cards import read_cards


@pytest.mark.parametrize("name", ["cue-conflict", "human-comparison", "corruption", "adversarial", "saliency"])
def test_they_enter_the_suites_of_experiments_and_elsewhere_have_a_reason(name):
    (task,) = plan_tasks([read_cards(())["world-reader-0"]], [find_suites().suites[name]], read_settings(), 4)
    if name in ("cue-conflict", "human-comparison"):
        assert task.plan.blocks and task.space == "world16"
    else:
        assert not task.plan.blocks and "simulated person" in task.reason
