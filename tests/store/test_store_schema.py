"""The schema: made at once, refused where it is another version's or no leaderboard's."""

from contextlib import contextmanager

import pytest

import gestaltbench as gb
from benchmark import api
from benchmark.failures import StoreError
from benchmark.store import open_store, schema
from benchmark.store.connection import connect
from benchmark.store.location import parse_location
from benchmark.store.versions import is_there


@contextmanager
def database(url):
    opened = connect(parse_location(url), write=True)
    yield opened
    opened.engine.dispose()


@pytest.mark.slow
def test_a_leaderboard_is_there_once_it_is_made(url):
    assert not is_there(url)
    open_store(url).close()
    assert is_there(url)


def test_another_schema_is_refused(url):
    open_store(url).close()
    for number, said in (
        ("0042", r"another gestaltbench \(schema 0042.*--upgrade"),
        ("0002", r"another gestaltbench \(schema 0002"),
        ("x", r"is damaged: .*schema 'x'"),
    ):
        with database(url) as made, made.writing() as connection:
            connection.execute(schema.REVISION.update().values(version_num=number))
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
    open_store(url).close()
    statement, said = FOREIGN[kind]
    with database(url) as made, made.writing() as connection:
        connection.exec_driver_sql(statement.format(when=WHEN[url.startswith("sqlite")]))
    ours = str(tmp_path / "ours.db")
    for act in (api.check_db, api.db_status, gb.rank, api.rescore, open_store, lambda url: api.merge([url], ours)):
        with pytest.raises(StoreError, match=f"is damaged: ({said}) does not belong to a leaderboard"):
            act(db=url) if act.__module__.startswith("benchmark.api") else act(url)
