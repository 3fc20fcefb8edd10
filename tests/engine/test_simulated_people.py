"""Simulated people take part where people do."""

import pytest

from benchmark.engine.plan import plan_tasks
from benchmark.variables import read_settings
from registry.cards import read_cards
from suites.adversarial import SUITE as ADVERSARIAL
from suites.corruption import SUITE as CORRUPTION
from suites.cue_conflict import SUITE as CUE_CONFLICT
from suites.human_comparison import SUITE as HUMAN_COMPARISON
from suites.saliency import SUITE as SALIENCY

SUITES = (CUE_CONFLICT, HUMAN_COMPARISON, CORRUPTION, ADVERSARIAL, SALIENCY)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_they_enter_the_suites_of_experiments_and_elsewhere_have_a_reason(tmp_path, monkeypatch, suite):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    (task,) = plan_tasks([read_cards(())["world-reader-0"]], [suite], read_settings(), 4)
    if suite in SUITES[:2]:
        assert task.plan.blocks and task.space == "world16"
    else:
        assert not task.plan.blocks and "simulated person" in task.reason
