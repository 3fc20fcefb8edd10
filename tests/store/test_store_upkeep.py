"""A leaderboard as a data base: status, check, vacuum."""

import os
from dataclasses import replace

import pytest
import sqlalchemy as sa

from benchmark.errors import StoreError
from benchmark.store import schema
from benchmark.store.questions import HEAD
from benchmark.store.upkeep import status


@pytest.fixture
def filled(store, made):
    """Two observations, one of them complete, and scores; the run has not ended."""
    run, observer = made.world(store)
    made.answers(store, "k1", observer, run=run)
    store.put_observation(run, made.observation("k2", observer))
    store.put_chunks(run, [made.chunk("k2", 0)])
    store.put_scores(run, made.score_set(observer, keys=("k1",)), [made.score()])
    return store


def damage(store, *statements):
    """Change rows behind the program's back; SQLite checks no references then."""
    with store._database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.execute(sa.text(statement) if isinstance(statement, str) else statement)
        connection.commit()
        connection.invalidate()


def test_status(filled, url):
    found = status(url)
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
    filled.put_outcome(run, observer, "net", "saliency", "geirhos16", "failed", "NaN")
    assert filled.incomplete(failed=False) == {"k2": "cue-conflict"}
    filled.put_outcome(run, observer, "net", "cue-conflict", "geirhos16", "failed", "NaN")
    assert filled.incomplete(failed=False) == {}
    assert filled.incomplete() == {"k2": "cue-conflict"}
    again = replace(filled.observations()[1], key="k3", condition="noise")
    filled.put_observation(run, again)
    assert filled.incomplete(failed=False) == {"k3": "cue-conflict"}


def test_status_of_what_is_not_there(path):
    with pytest.raises(StoreError, match="no leaderboard at"):
        status(str(path))


def test_what_is_sound(filled):
    assert list(filled.problems()) == []


def test_lost_rows_are_named(filled):
    if not filled._database.place.sqlite:
        pytest.skip("PostgreSQL keeps references by itself")
    damage(filled, "DELETE FROM score_sets", "DELETE FROM runs")
    found = list(filled.problems())
    assert "scores.score_set: 1 rows refer to score_sets that are not there" in found
    assert "observations.run: 2 rows refer to runs that are not there" in found
    assert "chunks.run: 4 rows refer to runs that are not there" in found


def test_a_damaged_chunk_is_named(filled):
    damage(
        filled, sa.update(schema.CHUNKS).where(schema.CHUNKS.c.position == 2).values(payload=b"x")
    )
    (line,) = filled.problems()
    assert line == "chunk 2 of observation k1 is damaged: its checksum does not fit its content"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n": 3}, ["chunk 0 of observation k2: it says 3 values and holds 4"]),
        ({"start": 8}, ["chunk 0 of observation k2: trials 8 to 12 of 10, after 0"]),
    ],
)
def test_chunks_that_do_not_fit_are_named(filled, changed, words):
    table, observed = schema.CHUNKS, schema.OBSERVATIONS
    second = sa.select(observed.c.id).where(observed.c.key == "k2").scalar_subquery()
    damage(filled, sa.update(table).where(table.c.observation == second).values(**changed))
    assert list(filled.problems()) == words


def test_chunks_over_one_another_are_named(filled):
    table = schema.CHUNKS
    damage(filled, sa.update(table).where(table.c.position == 1).values(start=2))
    assert list(filled.problems()) == ["chunk 1 of observation k1: trials 2 to 6 of 10, after 4"]


def test_a_changed_environment_and_score_are_named(filled):
    damage(
        filled,
        "UPDATE environments SET content = '{}'",
        "UPDATE scores SET low = 0.9, high = 0.1",
        sa.update(schema.STIMULI).values(columns=b"x"),
    )
    stimuli, environment, score = filled.problems()
    assert stimuli.startswith("stimulus set 'set of d1' (d1) is damaged")
    assert environment.endswith("its content is not what its digest says")
    assert score.startswith("score 'shape_bias' of set 1: its interval begins at 0.9")


def test_many_problems_are_counted(store, made):
    _, observer = made.world(store)
    for number in range(30):
        made.answers(store, f"k{number}", observer, n=4)
    damage(store, sa.update(schema.CHUNKS).values(payload=b"x"))
    found = list(store.problems())
    assert (len(found), found[-1]) == (21, "10 more problems of this kind (chunk ...)")


@pytest.mark.slow
def test_vacuum_gives_room_back(store, made):
    _, observer = made.world(store)
    for number in range(40):
        made.answers(store, f"k{number}", observer)
    noise = os.urandom(50_000)
    damage(store, sa.update(schema.CHUNKS).values(payload=noise), "DELETE FROM chunks")
    before, after = store.vacuum()
    assert after < before
    assert len(store.observations()) == 40
    if store._database.place.sqlite:
        assert before > 120 * 50_000 > after
