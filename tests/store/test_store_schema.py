"""The schema: made at once, upgraded from the schema before, refused where it is newer or no leaderboard's."""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from benchmark import api
from benchmark.errors import StoreError
from benchmark.store import open_store, schema
from benchmark.store.connection import connect
from benchmark.store.place import locate
from benchmark.store.versions import MIGRATIONS, prepare

OLD = Path(__file__).parent / "leaderboard-0003.sql"
ADDED = """
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade():
    how = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("observers", recreate=how) as table:  # others refer to it
        table.add_column(sa.Column("country", sa.Text, nullable=False, server_default="unknown"))
    {more}
"""


@contextmanager
def database(url):
    opened = connect(locate(url), write=True)
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
    """The URL of a leaderboard of the schema before."""
    text = OLD.read_text(encoding="utf-8")
    if url.startswith("postgresql"):
        text = text.replace(" DOUBLE", " DOUBLE PRECISION").replace(" BLOB", " BYTEA")
        text = re.sub(r"X'([0-9A-F]*)'", r"'\\x\1'", text)
    with database(url) as old, old.writing() as connection:
        for statement in text.split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
    return url


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


@pytest.fixture
def newer_program(tmp_path, monkeypatch):
    """A program with one more migration: its folder."""

    def install(more=""):
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        (folder / "versions" / "0005_country.py").write_text(ADDED.format(more=more))
        monkeypatch.setattr("benchmark.store.schema.HEAD", "0005")
        return folder

    return install


def test_a_later_migration_keeps_references(url, made, newer_program):
    with open_store(url) as store:
        run, observer = made.world(store)
        made.answers(store, "k1", observer)
    with database(url) as old:
        prepare(old, newer_program())
        with old.reading() as connection:
            assert connection.scalar(sa.text("SELECT country FROM observers")) == "unknown"
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0005"
    with open_store(url) as store:
        assert len(store.trials(["k1"])) == 10
        with pytest.raises(StoreError, match="refers to nothing stored"):  # references still hold
            store.put_observation(run, made.observation("k2", "nobody"))


@pytest.mark.slow
def test_an_upgrade_that_fails_changes_nothing(older, newer_program):
    with database(older) as old:
        with old.reading() as connection:
            before = described(connection)
        with pytest.raises(ZeroDivisionError):
            prepare(old, newer_program("1 / 0"))
        with old.reading() as connection:
            assert described(connection) == before
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0003"


def test_reading_an_older_leaderboard_says_what_to_do(older):
    with pytest.raises(StoreError, match=r"older gestaltbench \(schema 0003.*`bench db upgrade --db "):
        open_store(older, write=False)
    assert api.db_status(older).revision == "0003"


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("0042", r"newer gestaltbench \(schema 0042.*--upgrade"),
        ("0002", r"much older gestaltbench \(schema 0002"),
        ("x", r"is damaged: .*schema 'x'"),
    ],
)
def test_another_schema_is_refused(url, write, number, said):
    open_store(url).close()
    with database(url) as made, made.writing() as connection:
        connection.execute(schema.REVISION.update().values(version_num=number))
    with pytest.raises(StoreError, match=said):
        open_store(url, write=write)


@pytest.mark.parametrize("write", [True, False])
def test_another_programs_data_base_is_refused(url, write):
    with database(url) as made, made.writing() as connection:
        connection.execute(sa.text("CREATE TABLE bookmarks (name TEXT)"))
    with pytest.raises(StoreError, match=r"another program \(tables bookmarks"):
        open_store(url, write=write)
