"""A leaderboard as a data base: its schema, refused where it is another's; status, vacuum."""

import os
from contextlib import closing

import pytest
import sqlalchemy as sa

import gestaltbench as gb
from benchmark import api
from benchmark.failures import StoreError
from benchmark.store import open_store, schema
from benchmark.store.check import database_status
from benchmark.store.connection import connect
from benchmark.store.location import parse_location
from benchmark.store.schema import HEAD
from benchmark.store.versions import is_there


def changed(url, statement):
    with closing(connect(parse_location(url), write=True)) as made, made.writing() as connection:
        connection.execute(statement)


def test_another_schema_is_refused(url):
    open_store(url).close()
    newer, older = r"another gestaltbench \(schema 0042.*--upgrade", r"another gestaltbench \(schema 0002"
    for number, said in (("0042", newer), ("0002", older), ("x", r"is damaged: .*schema 'x'")):
        changed(url, schema.REVISION.update().values(version_num=number))
        for write in (True, False):
            with pytest.raises(StoreError, match=said):
                open_store(url, write=write)


#: What somebody's leaderboard may bring along -> how it is named.
FOREIGN = {
    "trigger": ("CREATE TRIGGER higher {when}", "the trigger 'higher'"),
    "view": ("CREATE VIEW best AS SELECT * FROM scores", "the view 'best'"),
    "table": ("CREATE TABLE more (a TEXT)", "the table 'more'"),
    "index": ("CREATE UNIQUE INDEX ix_once ON scores (value)", "the unique 'ix_once'|the index 'ix_once'"),
}
WHEN = {
    True: "AFTER INSERT ON scores BEGIN UPDATE scores SET value = 0.9; END",
    False: "BEFORE UPDATE ON scores FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_no_leaderboard_has_is_refused_whenever_one_is_opened(url, tmp_path, kind):
    """A trigger altered the scores of one's own run."""
    assert not is_there(url)
    open_store(url).close()
    assert is_there(url)
    statement, said = FOREIGN[kind]
    changed(url, sa.text(statement.format(when=WHEN[url.startswith("sqlite")])))
    ours = str(tmp_path / "ours.db")
    for act in (api.check_db, api.db_status, gb.rank, api.rescore, open_store, lambda url: api.merge([url], ours)):
        with pytest.raises(StoreError, match=f"is damaged: ({said}) does not belong to a leaderboard"):
            act(db=url) if act.__module__.startswith("benchmark.api") else act(url)


def test_status_and_which_observations_are_cut_short(store, made, url):
    """Not those that failed, but what was asked after that is: the observer has been tried again."""
    run, observer = made.world(store)
    made.answers(store, "k1", observer, run=run)
    store.put_observation(run, made.observation("k2", observer))
    store.put_chunks(run, [made.chunk("k2", 0)])
    found = database_status(url)
    assert (found.revision, found.newest) == (HEAD, HEAD)
    wanted = {"runs": 1, "observers": 1, "stimuli": 1, "observations": 2, "chunks": 4, "trials": 14}
    assert wanted.items() <= found.counts.items()
    assert (found.open_runs, found.incomplete) == (1, 1) and found.size > 10_000
    assert found.server.split()[0] in ("SQLite", "PostgreSQL")
    for suite, left in (("", {"k2": "cue-conflict"}), ("saliency", {"k2": "cue-conflict"}), ("cue-conflict", {})):
        store.put_outcome(run, observer, ("net", suite, "geirhos16"), "failed", "NaN")
        assert store.incomplete(failed=False) == left
    assert store.incomplete() == {"k2": "cue-conflict"}
    store.put_observation(run, made.observation("k3", observer, condition="noise"))
    assert store.incomplete(failed=False) == {"k3": "cue-conflict"}


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
