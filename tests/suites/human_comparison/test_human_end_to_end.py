"""Both suites of the sixteen categories on networks of the built-in world: images are walked once."""

import pytest

from benchmark import api
from benchmark.plugins import SuiteShelf
from benchmark.variables import read_settings
from suites.cue_conflict import SUITE as CUE_CONFLICT
from suites.human_comparison import SUITE

LIMIT = 12


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(models, *suites) -> (report, scores of the human comparison by observer)."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def one(models, *suites):
        shelf = SuiteShelf({suite.name: suite for suite in suites}, {})
        monkeypatch.setattr("benchmark.plugins.find_suites", lambda: shelf)
        db = str(tmp_path / f"{'-'.join(suite.name for suite in suites)}.db")
        report = api.run(models=models, suites="all", limit=LIMIT, device="cpu", db=db)
        assert not report.failed
        with api.reading(read_settings(db)) as store:
            rows = store.latest_scores(suite=SUITE.name)
        return report, rows

    return one


@pytest.mark.slow
def test_equal_blocks_are_decoded_once(run):
    both, _ = run("world-standard-0", CUE_CONFLICT, SUITE)
    first, _ = run("world-standard-0", CUE_CONFLICT)
    second, _ = run("world-standard-0", SUITE)
    assert second.decoded == 4 * LIMIT  # cue-conflict, edges, silhouettes, stylised
    assert both.decoded == first.decoded + LIMIT  # stylised alone is new


@pytest.mark.slow
def test_ideal_observers_stand_in_for_people(run):
    _, rows = run("ideal-shape,ideal-guesser,world-standard-0", SUITE)
    mine = [
        r for r in rows if r.observer == "world-standard-0" and r.metric == "observed_consistency"
    ]
    assert mine
    for row in mine:
        assert row.value is not None
        assert "reference observers are ideal observers, not people" in row.flags
