"""Simulated people of the built-in world through the whole program."""

from itertools import pairwise

import pytest

from benchmark import api
from suites.human_comparison import SUITE
from suites.human_comparison.shown_experiments import WORLD_LEVELS


@pytest.mark.release
def test_readers_agree_as_people_do_and_fail_as_images_fade(tmp_path, monkeypatch):
    """On 160 images: ceiling well above chance, accuracy falling to the last level, and by each but for what the images
    leave to chance (.04 is a standard error of a share of them; all five see the same)."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    db = str(tmp_path / "readers.db")
    assert not api.run(models="world-reader-*", suites=SUITE.name, limit=160, device="cpu", db=db).failed
    with api.Selection(db).reading() as store:
        rows = store.latest_scores(suite=SUITE.name)
    ceilings = [r for r in rows if r.metric == "human_error_consistency" and not r.condition]
    assert len(ceilings) == 5 and all(0.2 < r.low < r.value < r.high < 0.7 for r in ceilings)
    for role, levels in ((role, levels) for role, levels in WORLD_LEVELS.items() if levels):
        name = f"{role.replace('-', '_')}_accuracy"
        values = [[r.value for r in rows if (r.metric, r.condition) == (name, level)] for level in levels]
        assert [len(each) for each in values] == [5] * len(levels)
        means = [sum(each) / 5 for each in values]
        assert means[0] > means[-1] + 0.15 and all(b < a + 0.12 for a, b in pairwise(means))
