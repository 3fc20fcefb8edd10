"""Fixtures of the engine's tests."""

import engine_nets
import pytest
from engine_toys import Bench


@pytest.fixture
def leaderboard(tmp_path):
    """An empty leaderboard."""
    return Bench(tmp_path)


@pytest.fixture
def forwarded():
    """How many images each `Counting` network was shown: {seed: images}."""
    engine_nets.FORWARDED.clear()

    def total():
        counts = {}
        for seed, images in engine_nets.FORWARDED:
            counts[seed] = counts.get(seed, 0) + images
        return counts

    return total
