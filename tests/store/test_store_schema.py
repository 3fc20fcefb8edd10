"""The schema: made at once, upgraded from the schema before, refused where it is newer or no leaderboard's."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import gestaltbench as gb
from benchmark import api
from benchmark.errors import StoreError
from benchmark.store import open_store, schema
from benchmark.store.connection import connect
from benchmark.store.location import parse_location
from benchmark.store.versions import MIGRATIONS, is_there, prepare

OLD = Path(__file__).parent / "leaderboard-0003.sql"


@contextmanager
def database(url):
    opened = connect(parse_location(url), write=True)
    yield opened
    opened.engine.dispose()


def described(connection):
    """Everything that the data base says of its tables."""
    seen = sa.inspect(connection)
    return {
        name: {
            "columns": sorted(
                (one["name"], str(one["type"]), one["nullable"], one["default"]) for one in seen.get_columns(name)
            ),
            "primary": seen.get_pk_constraint(name),
            "foreign": sorted(map(str, seen.get_foreign_keys(name))),
            "unique": sorted(map(str, seen.get_unique_constraints(name))),
            "indexes": sorted(map(str, seen.get_indexes(name))),
        }
        for name in seen.get_table_names()
    }


@pytest.fixture
def older(url):
    text = OLD.read_text(encoding="utf-8")
    if url.startswith("postgresql"):
        text = text.replace(" DOUBLE", " DOUBLE PRECISION").replace(" BLOB", " BYTEA")
        text = re.sub(r"X'([0-9A-F]*)'", r"'\\x\1'", text)
    with database(url) as old, old.writing() as connection:
        for statement in text.split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
    return url


@pytest.mark.slow
def test_a_leaderboard_is_there_once_it_is_made(url):
    assert not is_there(url)
    open_store(url).close()
    assert is_there(url)


@pytest.mark.slow
def test_an_upgraded_leaderboard_has_the_tables_of_a_fresh_one(older, tmp_path):
    open_store(older).close()
    open_store(str(tmp_path / "fresh.db")).close()
    with database(older) as upgraded, upgraded.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.METADATA) == []
        assert context.get_current_revision() == schema.HEAD
        names = sa.inspect(connection).get_table_names()
        assert set(names) == {*schema.METADATA.tables, "alembic_version"}
        here = described(connection)
    if older.startswith("sqlite"):
        with database(str(tmp_path / "fresh.db")) as fresh, fresh.reading() as connection:
            assert described(connection) == here


@pytest.mark.slow
def test_all_of_an_older_leaderboard_comes_along(older):
    with open_store(older) as store:
        assert list(store.problems()) == []
        assert [(one.name, one.identity) for one in store.observers()] == [("anna (lab)", "anna"), ("net", "weights-2")]
        assert len(store.observers(latest=False)) == 3
        assert [one.key for one in store.observations()] == ["s2"]  # the newest of the source
        first = ["answer 0", "answer 1", "answer 2", "answer 0"]
        assert store.trials(["k2"])["response"].tolist() == first
        assert len(store.trials(["k1"])) == len(store.trials(["s1"])) == 10
        assert store.complete("k1") and store.complete("k2")
        assert store.latest_scores() == []  # of the weights before, and of trials that were replaced
        net = next(one for one in store.observers(latest=False) if one.identity == "weights-1")
        assert [one.status for one in store.outcomes(observer="net")] == ["done"]
        commands = [(run["command"], run["status"]) for run in store.runs().values()]
        assert commands == [("bench run", "done"), ("bench run again", None)]
        (ghost,) = store.outcomes(observer="ghost")
        assert (ghost.reason, ghost.detail, ghost.observer) == ("no such checkpoint", "Traceback", None)
    assert net.card == {}
    with database(older) as upgraded, upgraded.reading() as connection:
        sets, scores = schema.SCORE_SETS.c, schema.SCORES.c
        query = (
            sa.select(sets.version, scores.metric, scores.value, scores.reason)
            .join(schema.SCORES, scores.score_set == sets.id)
            .order_by(sets.created, scores.position)
        )
        assert [tuple(row) for row in connection.execute(query)] == [
            (1, "shape_bias", 0.5, ""),
            (1, "other", None, "no trials"),
            (2, "shape_bias", 0.75, ""),
            (1, "shape_bias", 0.25, ""),
        ]


@pytest.mark.slow
def test_two_upgraded_copies_of_a_leaderboard_are_one(older, tmp_path):
    open_store(older).close()
    copy = str(tmp_path / "copy.db")
    assert api.merge([older], copy).conflicts == []
    before = api.db_status(copy).counts
    merged = api.merge([older], copy).merged[0]
    assert (merged.observations, merged.trials, merged.known, merged.scores) == (0, 0, 34, 0)
    assert api.db_status(copy).counts == before | {"runs": 2 + 2, "run_ends": 1 + 2, "environments": 3}


@pytest.mark.slow
def test_an_upgrade_that_fails_changes_nothing(older, monkeypatch):
    monkeypatch.setattr("benchmark.store.check.all_rows", None)
    monkeypatch.setattr("benchmark.store.sql.sealed", None)  # with which the upgrade brings rows over
    with database(older) as old:
        with old.reading() as connection:
            before = described(connection)
        with pytest.raises(TypeError):
            prepare(old, MIGRATIONS)
        with old.reading() as connection:
            assert described(connection) == before
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0003"


def test_reading_an_older_leaderboard_says_what_to_do(older):
    with pytest.raises(StoreError, match=r"older gestaltbench \(schema 0003.*`bench db upgrade --db "):
        open_store(older, write=False)
    assert api.db_status(older).revision == "0003"


def test_another_schema_is_refused(url):
    open_store(url).close()
    for number, said in (
        ("0042", r"newer gestaltbench \(schema 0042.*--upgrade"),
        ("0002", r"much older gestaltbench \(schema 0002"),
        ("x", r"is damaged: .*schema 'x'"),
    ):
        with database(url) as made, made.writing() as connection:
            connection.execute(schema.REVISION.update().values(version_num=number))
        for write in (True, False):
            with pytest.raises(StoreError, match=said):
                open_store(url, write=write)


def test_another_programs_data_base_is_refused(url):
    with database(url) as made, made.writing() as connection:
        connection.execute(sa.text("CREATE TABLE bookmarks (name TEXT)"))
    for write in (True, False):
        with pytest.raises(StoreError, match=r"another program \(tables bookmarks"):
            open_store(url, write=write)


#: What somebody's leaderboard may bring along -> how it is named.
FOREIGN = {
    "trigger": ("CREATE TRIGGER higher {when}", "the trigger 'higher'"),
    "view": ("CREATE VIEW best AS SELECT * FROM scores", "the view 'best'"),
    "table": ("CREATE TABLE more (a TEXT)", "the table 'more'"),
    "index": ("CREATE UNIQUE INDEX ix_once ON scores (value)", "the (unique )?index 'ix_once'"),
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
        with pytest.raises(StoreError, match=f"is damaged: {said} is none of a leaderboard's"):
            act(db=url) if act.__module__.startswith("benchmark.api") else act(url)
