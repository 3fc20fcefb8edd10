"""A clock that is set back, or forward: what is newest is told by order, not by time."""

from datetime import UTC, datetime

import engine_toys as toys
import pytest
from engine_toys import Bench, ideal, make_stimuli, toy_suite

from benchmark.contracts import Score
from benchmark.store import sql

pytestmark = pytest.mark.slow


def other_score(_config, trials):
    """Half of the first one."""
    right = trials["response"] == trials["category"]
    return [Score(metric="accuracy", value=float(right.mean()) / 2, n=len(trials), role="toys")]


@pytest.mark.parametrize("year", [1970, 2099])
def test_the_newest_scores_are_the_last_ones_whatever_the_clock_says(tmp_path, monkeypatch, year):
    bench, stimuli = Bench(tmp_path), make_stimuli(20)
    bench.run([ideal()], [toy_suite(stimuli)])
    (first,) = bench.scores("reader").values()

    class Jumped(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(year, 1, 1, tzinfo=UTC)

    with monkeypatch.context() as patch:
        patch.setattr(sql, "datetime", Jumped)
        bench.run([ideal()], [toy_suite(stimuli, score=other_score)])
        assert list(bench.scores("reader").values()) == [first / 2]
    bench.run([ideal()], [toy_suite(stimuli, score=toys.toy_score)])
    assert bench.run([ideal()], [toy_suite(stimuli)]).counts == {"cached": 1}
