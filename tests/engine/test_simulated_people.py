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


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    settings, card = read_settings(), read_cards(())["world-reader-0"]
    return lambda suite: plan_tasks([card], [suite], settings, 4)[0]


@pytest.mark.parametrize("suite", [CUE_CONFLICT, HUMAN_COMPARISON], ids=lambda one: one.name)
def test_they_enter_the_suites_of_experiments(task, suite):
    assert task(suite).plan.blocks
    assert task(suite).space == "world16"


@pytest.mark.parametrize("suite", [CORRUPTION, ADVERSARIAL, SALIENCY], ids=lambda one: one.name)
def test_elsewhere_they_have_a_reason(task, suite):
    assert not task(suite).plan.blocks
    assert "simulated person" in task(suite).reason
