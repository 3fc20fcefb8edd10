"""Several workers answer as one process does: bit for bit, whatever happens to them."""

from functools import partial

import numpy as np
import pytest
import worker_plans as plans
from engine_toys import Bench
from worker_plans import CHUNKS

from benchmark import api
from benchmark.contracts import CHUNK
from benchmark.engine.tuning import working_threads

pytestmark = pytest.mark.slow


def exactly(first, second):
    assert first.keys() == second.keys()
    for column, values in first.items():
        assert values.dtype == second[column].dtype
        np.testing.assert_array_equal(values, second[column])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """One plan of many kinds of work, in one process and by two workers: (bench, report) of each."""
    folder = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder / "home"))
        return plans.twice(folder, plans.every)


def test_two_workers_answer_bit_for_bit_as_one_process(both):
    (alone, single), (shared, pooled) = both
    assert single.counts == pooled.counts == {"done": 9, "failed": 2}
    for name in ("one", "two", "reader"):
        for suite in ("toy", "second"):
            exactly(alone.trials(name, suite), shared.trials(name, suite))
            assert alone.scores(name, suite) == shared.scores(name, suite)


def test_a_list_of_devices_is_one_run_bit_for_bit(tmp_path, monkeypatch):
    """The same list as `--device cuda:all` makes, of processors here."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    asked = {"models": "world-standard-0,ideal-shape", "suites": "cue-conflict,adversarial"}
    for name, device in (("alone", "cpu"), ("shared", "cpu,cpu")):
        with working_threads(1):
            report = api.run(
                db=str(tmp_path / f"{name}.db"), device=device, limit=6, batch=6, **asked
            )
        assert report.failed == {}
    assert plans.differing(tmp_path / "shared.db", tmp_path / "alone.db") == []
    assert all(plans.content(tmp_path / "alone.db"))


def test_a_block_is_settled_where_one_process_settles_it(both):
    (alone, _), (shared, _) = both
    assert len(shared.trials("settled")["stimulus"]) == 2 * CHUNK < CHUNKS * CHUNK
    exactly(alone.trials("settled"), shared.trials("settled"))
    assert alone.scores("settled") == shared.scores("settled")


def test_what_fails_in_workers_fails_as_in_one_process(both):
    (alone, single), (shared, pooled) = both
    assert single.failed == pooled.failed
    assert set(pooled.failed) == {"nan under toy", "raises under toy"}
    exactly(alone.trials("fine"), shared.trials("fine"))


def test_a_worker_out_of_memory_goes_on_with_smaller_batches(both):
    (alone, _), (shared, _) = both
    assert len(shared.trials("greedy")["stimulus"]) == 300
    exactly(alone.trials("greedy"), shared.trials("greedy"))


def test_what_a_killed_worker_was_at_is_done_by_another(tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    plan, bench = partial(plans.dying, flags, 1), Bench(tmp_path)
    report = plans.run(bench, plan, plans.workers(bench.settings, plan))
    assert len(list(flags.iterdir())) == 1
    assert report.counts == {"done": 2}
    assert len(set(bench.trials("one")["stimulus"])) == len(bench.trials("one")["stimulus"]) == 600


def test_a_network_that_kills_every_worker_fails_alone(tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    plan, bench = partial(plans.dying, flags, 10**6), Bench(tmp_path)
    report = plans.run(bench, plan, plans.workers(bench.settings, plan, ["cpu"]))
    assert set(report.failed) == {"one under toy"}
    assert "the worker on cpu was killed (SIGKILL) each time" in report.failed["one under toy"]
    assert len(bench.trials("fine")["stimulus"]) == 600
