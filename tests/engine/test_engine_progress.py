"""What a run tells of its progress: every device batch, tuning, and that an observer owes nothing more."""

import engine_toys as toys
from engine_toys import Told, network, toy_suite

from benchmark.contracts import Policy
from benchmark.engine import costs, devices
from benchmark.engine.device_choice import Tuning
from benchmark.engine.tasks import Task


def told(leaderboard, card, suites, batch=16):
    reporter = Told()
    leaderboard.run([card], suites, batch, reporter=reporter)
    return reporter.events


def test_progress_moves_with_every_device_batch(leaderboard):
    events = told(leaderboard, network("net", "Readout", seed=2), [toy_suite(toys.make_stimuli(40))])
    work = [("work", "net", 16), ("work", "net", 16), ("work", "net", 8)]
    assert events == [("expect", "net", 40, 40.0), *work, ("advance", "net", 40), ("done", "net")]


def test_a_plan_is_long_by_its_speeds_or_else_by_its_passes(leaderboard, monkeypatch):
    card, settings, policy = network("net", "Readout", seed=2), leaderboard.settings, Policy()

    def long_plan(n):
        suite = toy_suite(toys.make_stimuli(n), passes=10_000.0)
        tasks = [Task(card=card, suite=suite, space="world16", plan=suite.plan(None, None))]
        lines = costs.cost_estimates(tasks, settings, "cpu", policy, 300.0)
        return [(line.task.trials, line.cached, line.note, line.seconds) for line in lines]

    monkeypatch.setattr(devices, "rough_seconds", lambda model, device, notes: None)
    monkeypatch.setattr(costs, "remembered", lambda card, device, notes: None)  # 3 ms a pass are assumed
    assert long_plan(9) == []
    assert long_plan(10) == [(10, 0, "not timed yet: its first run tunes it", None)]
    monkeypatch.setattr(costs, "remembered", lambda card, device, notes: (Tuning(1, 1), 0.0025, True))
    assert long_plan(11) == []
    assert long_plan(40) == [(40, 0, "17 min", 1000.0)]
