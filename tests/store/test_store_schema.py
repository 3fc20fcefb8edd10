"""The schema: made at once, upgraded from the first one, refused where it is newer or no leaderboard's."""

import shutil
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import gestaltbench as gb
from benchmark import api
from benchmark.failures import StoreError
from benchmark.store import open_store, schema, versions
from benchmark.store.connection import connect
from benchmark.store.location import parse_location
from benchmark.store.versions import is_there


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


MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0005", "0004"
def upgrade():
    with op.batch_alter_table("runs") as table:
        table.add_column(sa.Column("more", sa.Text))
        {further}
"""


@pytest.fixture
def older(url, made, tmp_path, monkeypatch):
    """A leaderboard of the schema before, and the migration of the next one, which may fail."""
    with open_store(url) as store:
        made.answers(store, "k1", made.world(store)[1])
    migrations = shutil.copytree(versions.MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr(versions, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "HEAD", "0005")

    def written(further=""):
        (migrations / "versions" / "0005_more.py").write_text(MIGRATION.format(further=further))
        return url

    return written


@pytest.mark.slow
def test_a_leaderboard_is_there_once_it_is_made(url):
    assert not is_there(url)
    open_store(url).close()
    assert is_there(url)


@pytest.mark.slow
def test_an_older_leaderboard_is_upgraded_by_the_first_command_that_writes(older):
    url = older()
    with pytest.raises(StoreError, match="is older: `bench db upgrade --db "):
        open_store(url, write=False)
    assert api.db_status(url).revision == "0004"
    open_store(url).close()
    with database(url) as upgraded, upgraded.reading() as connection:
        assert "more" in {column["name"] for column in sa.inspect(connection).get_columns("runs")}
        assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0005"
    with open_store(url, write=False) as store:
        assert len(store.trials(["k1"])) == 10 and len(store.runs()) == 2


@pytest.mark.slow
def test_an_upgrade_that_fails_changes_nothing(older):
    url = older("raise TypeError")
    with database(url) as old:
        with old.reading() as connection:
            before = described(connection)
        with pytest.raises(TypeError):
            open_store(url)
        with old.reading() as connection:
            assert described(connection) == before
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0004"


def test_the_tables_are_those_that_the_program_declares(url):
    open_store(url).close()
    with database(url) as made, made.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.METADATA) == []
        newest = ScriptDirectory(str(versions.MIGRATIONS)).get_current_head()
        assert context.get_current_revision() == schema.HEAD == newest


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
        with pytest.raises(StoreError, match=f"is damaged: ({said}) is none of a leaderboard's"):
            act(db=url) if act.__module__.startswith("benchmark.api") else act(url)
