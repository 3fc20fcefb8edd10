"""A block that a suite calls settled asks no further trials, in one run or in two."""

import numpy as np
import pytest
from engine_toys import Bench, make_stimuli, network, toy_suite

from benchmark.contracts import CHUNK, Block, EarlyStop
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
