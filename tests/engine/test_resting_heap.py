"""What a run leaves out of Python's searches for circular garbage, and that its own garbage is still found."""

import gc
import weakref

import engine_toys as toys
import pytest
from engine_toys import network, toy_suite

from benchmark.engine.devices import resting_heap

pytestmark = pytest.mark.slow


class Node:
    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def nothing_rests():
    """As in a process that no test has started."""
    rested = gc.get_freeze_count()
    gc.unfreeze()
    yield
    if rested:
        gc.freeze()


def test_what_was_there_rests_and_comes_back():
    assert gc.get_freeze_count() == 0
    with resting_heap():
        assert gc.get_freeze_count() > 0
        with resting_heap():
            young = weakref.ref(Node())
        assert gc.get_freeze_count() > 0
        gc.collect()
        assert young() is None
    assert gc.get_freeze_count() == 0


def test_a_run_rests_what_was_there(leaderboard, monkeypatch):
    seen = []
    suite = toy_suite(toys.make_stimuli(8))
    monkeypatch.setattr(
        gc, "unfreeze", lambda real=gc.unfreeze: (seen.append(gc.get_freeze_count()), real())
    )
    leaderboard.run([network("net", "Readout")], [suite])
    assert len(seen) == 1
    assert seen[0] > 0
    assert gc.get_freeze_count() == 0
