"""Fixtures of the engine's tests."""

import engine_nets
import pytest
from engine_toys import Bench

from benchmark.engine import model_view, run


@pytest.fixture
def leaderboard(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def forwarded(monkeypatch):
    """{seed: images that a `Counting` network was shown}, but for checks at load, stored answers and replays."""
    engine_nets.FORWARDED.clear()

    def uncounted(judge):
        def call(*arguments):
            before = len(engine_nets.FORWARDED)
            try:
                return judge(*arguments)
            finally:
                del engine_nets.FORWARDED[before:]

        return call

    monkeypatch.setattr(run, "require_sound", uncounted(run.require_sound))
    monkeypatch.setattr(run, "changed_answers", uncounted(run.changed_answers))
    monkeypatch.setattr(model_view, "replayed_row", lambda _seeds: slice(0))

    def total():
        counts = {}
        for seed, images in engine_nets.FORWARDED:
            counts[seed] = counts.get(seed, 0) + images
        return counts

    return total
