"""A leaderboard as a data base: status, vacuum."""

import os
from dataclasses import replace

import pytest
import sqlalchemy as sa

from benchmark.store import schema
from benchmark.store.check import database_status
from benchmark.store.schema import HEAD


@pytest.fixture
def filled(store, made):
    """Two observations, one of them complete, and scores; the run has not ended."""
    run, observer = made.world(store)
    made.answers(store, "k1", observer, run=run)
    store.put_observation(run, made.observation("k2", observer))
    store.put_chunks(run, [made.chunk("k2", 0)])
    store.put_scores(run, made.score_set(observer, keys=("k1",)), [made.score()])
    return store


def test_status(filled, url):
    found = database_status(url)
    assert (found.revision, found.newest) == (HEAD, HEAD)
    wanted = {"runs": 1, "observers": 1, "stimuli": 1, "observations": 2, "chunks": 4, "trials": 14}
    assert wanted.items() <= found.counts.items()
    assert (found.open_runs, found.incomplete) == (1, 1)
    assert found.size > 10_000
    assert found.server.split()[0] in ("SQLite", "PostgreSQL")


def test_what_failed_is_not_cut_short(filled):
    """But what was asked after that is: the observer has been tried again."""
    (observer,) = {one.observer for one in filled.observations()}
    run = filled.begin_run("bench run", {"python": "3.11"})
    assert filled.incomplete(failed=False) == {"k2": "cue-conflict"}
    filled.put_outcome(run, observer, ("net", "saliency", "geirhos16"), "failed", "NaN")
    assert filled.incomplete(failed=False) == {"k2": "cue-conflict"}
    filled.put_outcome(run, observer, ("net", "cue-conflict", "geirhos16"), "failed", "NaN")
    assert filled.incomplete(failed=False) == {}
    assert filled.incomplete() == {"k2": "cue-conflict"}
    again = replace(filled.observations()[1], key="k3", condition="noise")
    filled.put_observation(run, again)
    assert filled.incomplete(failed=False) == {"k3": "cue-conflict"}


@pytest.mark.slow
def test_vacuum_gives_room_back(store, made):
    _, observer = made.world(store)
    for number in range(40):
        made.answers(store, f"k{number}", observer)
    with store._database.writing() as connection:
        connection.execute(sa.update(schema.CHUNKS).values(payload=os.urandom(50_000)))
    with store._database.writing() as connection:
        connection.execute(sa.delete(schema.CHUNKS))
    before, after = store.vacuum()
    assert after < before
    assert len(store.observations()) == 40
    if store._database.location.server is None:
        assert before > 120 * 50_000 > after
