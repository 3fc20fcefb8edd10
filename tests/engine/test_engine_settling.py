"""A block that a suite calls settled asks no further trials, in one run or in two."""

import numpy as np
import pytest
from engine_toys import Bench, make_stimuli, network, same_trials, toy_suite

from benchmark.contracts import CHUNK, Block, EarlyStop
from benchmark.engine import run
from benchmark.store import open_store

pytestmark = pytest.mark.slow

CHUNKS = 6


def after(count):
    """A rule that is content with `count` chunks of trials; it notes how many it was asked about."""
    asked = []

    def rule(_config, trials):
        asked.append(len(trials))
        return len(trials) >= count * CHUNK

    return rule, asked


def suite(rule, n=CHUNKS * CHUNK):
    stimuli = make_stimuli(n, side=8)
    blocks = (
        Block(stimuli=stimuli, condition="easy", role="toys"),
        Block(stimuli=stimuli, condition="hard", role="toys"),
    )
    return toy_suite(blocks, stopping=EarlyStop(settled=rule))


def counts(bench):
    conditions = bench.trials("net")["condition"]
    return {name: int((conditions == name).sum()) for name in np.unique(conditions)}


def test_a_settled_block_stops_and_counts_as_complete(tmp_path):
    bench = Bench(tmp_path)
    rule, asked = after(2)
    report = bench.run([network("net", "Readout")], [suite(rule)], batch=64)
    assert (report.failed, counts(bench)) == ({}, {"easy": 2 * CHUNK, "hard": 2 * CHUNK})
    assert asked == [CHUNK, CHUNK, 2 * CHUNK, 2 * CHUNK]
    assert report.decoded == 2 * CHUNK  # what nobody needs is not decoded
    with open_store(bench.settings.db, write=False) as store:
        assert all(store.complete(o.key) for o in store.observations())
    asked.clear()  # the key holds what the rule closes over: as it was at the first run
    again = bench.run([network("net", "Readout")], [suite(rule)], batch=64)
    assert (again.counts, again.decoded) == ({"cached": 1}, 0)


def test_a_run_cut_short_before_it_noted_that_it_was_settled(tmp_path, monkeypatch):
    whole, cut = Bench(tmp_path), Bench(tmp_path / "cut")
    rule, _ = after(2)
    whole.run([network("net", "Readout")], [suite(rule)], batch=64)

    def killed(self, job, chunks):
        if chunks == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run._Run, "_settle", killed)
        cut.run([network("net", "Readout")], [suite(rule)], batch=64)
    cut.run([network("net", "Readout")], [suite(rule)], batch=64)
    same_trials(whole.trials("net"), cut.trials("net"))
    assert whole.scores("net") == cut.scores("net")
