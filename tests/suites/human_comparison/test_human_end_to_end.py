"""Both suites of the sixteen categories on networks of the built-in world: images are walked once."""

from itertools import pairwise

import pytest

from benchmark import api
from benchmark.plugins import SuiteShelf
from benchmark.variables import read_settings
from suites.cue_conflict import SUITE as CUE_CONFLICT
from suites.human_comparison import SUITE
from suites.human_comparison.experiments import WORLD_LEVELS

pytestmark = pytest.mark.slow

LIMIT = 12


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(models, *suites) -> (report, scores of the human comparison by observer)."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def one(models, *suites):
        shelf = SuiteShelf({suite.name: suite for suite in suites}, {})
        monkeypatch.setattr("benchmark.plugins.find_suites", lambda *_, **__: shelf)
        db = str(tmp_path / f"{'-'.join(suite.name for suite in suites)}.db")
        report = api.run(models=models, suites="all", limit=LIMIT, device="cpu", db=db)
        assert not report.failed
        with api.reading(read_settings(db)) as store:
            rows = store.latest_scores(suite=SUITE.name)
        return report, rows

    return one


def test_equal_blocks_are_decoded_once(run):
    both, _ = run("world-standard-0", CUE_CONFLICT, SUITE)
    first, _ = run("world-standard-0", CUE_CONFLICT)
    second, _ = run("world-standard-0", SUITE)
    assert second.decoded == 5 * LIMIT  # cue-conflict, edges, silhouettes, stylised, natural
    assert both.decoded == first.decoded + LIMIT  # stylised alone is new


def test_readers_agree_as_people_do_and_fail_as_images_fade(tmp_path, monkeypatch):
    """On the full sets: ceiling between .3 and .6 and well above chance, accuracy falling with every level."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    db = str(tmp_path / "readers.db")
    report = api.run(models="world-reader-*", suites=SUITE.name, device="cpu", db=db)
    assert not report.failed
    with api.reading(read_settings(db)) as store:
        rows = store.latest_scores(suite=SUITE.name)
    ceilings = [r for r in rows if r.metric == "human_error_consistency" and not r.condition]
    assert len(ceilings) == 5
    for row in ceilings:
        assert 0.3 < row.low < row.value < row.high < 0.6
    for role, levels in WORLD_LEVELS.items():
        found = [
            [r.value for r in rows if (r.metric, r.condition) == (f"{role.replace('-', '_')}_accuracy", level)]
            for level in levels
        ]
        assert [len(one) for one in found] == [5] * len(levels)
        means = [sum(one) / 5 for one in found]
        assert means[0] > means[-1] + 0.15
        assert all(b < a + 0.05 for a, b in pairwise(means))
