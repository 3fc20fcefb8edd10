"""The schema: made at once, equal to the sum of its migrations, upgraded, refused where it is
newer."""

import hashlib
import shutil
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from benchmark.errors import StoreError
from benchmark.store import open_store, schema
from benchmark.store.database import connect
from benchmark.store.place import locate
from benchmark.store.questions import HEAD
from benchmark.store.versions import MIGRATIONS, prepare

ADDED = """
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


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


def migrate(database, to="head"):
    with database.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def described(connection):
    """Everything that the data base says of its tables."""
    seen = sa.inspect(connection)
    return {
        name: {
            "columns": [
                (one["name"], str(one["type"]), one["nullable"], one["default"])
                for one in seen.get_columns(name)
            ],
            "primary": seen.get_pk_constraint(name),
            "foreign": sorted(map(str, seen.get_foreign_keys(name))),
            "unique": sorted(map(str, seen.get_unique_constraints(name))),
            "indexes": sorted(map(str, seen.get_indexes(name))),
        }
        for name in seen.get_table_names()
    }


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_give_the_metadata(url):
    with database(url) as made:
        migrate(made)
        with made.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, schema.METADATA) == []


def test_a_fresh_leaderboard_equals_a_migrated_one(url):
    with database(url) as made:
        prepare(made)
        with made.reading() as connection:
            fresh = described(connection)
            names = list(reversed(schema.METADATA.sorted_tables))
        with made.writing() as connection:
            for table in [*names, schema.REVISION]:
                connection.execute(sa.schema.DropTable(table))
        migrate(made)
        with made.reading() as connection:
            assert described(connection) == fresh


def test_alembic_sees_a_fresh_leaderboard_as_current(url):
    open_store(url).close()
    with database(url) as made, made.reading() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == HEAD


OLD = """
INSERT INTO meta VALUES ('application', 'gestaltbench');
INSERT INTO environments VALUES (1, 'd', '{}', 't');
INSERT INTO runs VALUES (1, 'bench import trials x', 1, 't');
INSERT INTO observers VALUES (1, 'subject-01', 'human', 'a', 't'),
  (2, 'alexnet-caffe (published)', 'published', 'b', 't'),
  (3, 'resnet50 (published)', 'published', 'c', 't'), (4, 'net', 'network', 'w', 't');
INSERT INTO registrations VALUES (1, 1, '[]', '{}', 't'), (2, 2, '["standard"]', '{"training":["standard"]}', 't'),
  (3, 3, '[]', '{}', 't'), (4, 4, '[]', '{}', 't');
INSERT INTO stimuli VALUES ('s', 'cue-conflict', 'geirhos16', 1, 1, 'trial tables', '[]', 't', x'00');
INSERT INTO observations VALUES
  (1, 'k1', 1, 'trials', 1, 'geirhos16', 's', 'cue-conflict', '', 'published', '', 1, 1, 't', '{}'),
  (2, 'k2', 4, 'cue-conflict', 1, 'geirhos16', 's', 'cue-conflict', '', 'whole', '', 1, 1, 't', '{}'),
  (3, 'k3', 2, 'trials', 1, 'geirhos16', 's', 'cue-conflict', '', 'published', '', 1, 1, 't', '{}')
"""


def test_imported_observers_of_an_older_leaderboard_get_a_source(url):
    with database(url) as old:
        migrate(old, "0002")
        with old.writing() as connection:
            for statement in OLD.split(";\n"):
                connection.execute(sa.text(statement.replace("x'00'", _blob(connection))))
        prepare(old)
        with old.reading() as connection:
            rows = connection.execute(
                sa.text("SELECT observation FROM assertions ORDER BY id")
            ).all()
    assert rows == [(1,), (3,)]
    with open_store(url) as store:
        found = {row.name: row for row in store.observers()}
    assert set(found) == {
        "subject-01 (model-vs-human)",
        "alexnet-caffe (texture-vs-shape)",
        "resnet50 (unknown source)",
        "net",
    }
    person = found["subject-01 (model-vs-human)"]
    text = b'["human","model-vs-human","subject-01"]'
    assert person.identity == hashlib.sha256(text).hexdigest()
    assert person.card == {"named": "subject-01", "source": "model-vs-human"}
    assert found["alexnet-caffe (texture-vs-shape)"].training == ("standard",)
    assert found["net"].identity == "w"


def _blob(connection):
    return "x'00'" if connection.dialect.name == "sqlite" else "'\\x00'::bytea"


@pytest.fixture
def newer_program(tmp_path, monkeypatch):
    """A program with one more migration: its folder."""

    def install(more=""):
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder)
        (folder / "versions" / "0004_country.py").write_text(ADDED.format(more=more))
        monkeypatch.setattr("benchmark.store.questions.HEAD", "0004")
        return folder

    return install


def test_an_older_leaderboard_is_upgraded(url, made, newer_program):
    with open_store(url) as store:
        _, observer = made.world(store)
        made.answers(store, "k1", observer)
    with database(url) as old:
        prepare(old, newer_program())
        with old.reading() as connection:
            assert connection.scalar(sa.text("SELECT country FROM observers")) == "unknown"
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0004"
    with open_store(url) as store:
        assert len(store.trials(["k1"])) == 10
        with pytest.raises(StoreError, match="refers to nothing stored"):  # references still hold
            store.put_observation(1, made.observation("k2", 77))


def test_an_upgrade_that_fails_changes_nothing(url, made, newer_program):
    with open_store(url) as store:
        made.world(store)
    with database(url) as old:
        with old.reading() as connection:
            before = described(connection)
        with pytest.raises(ZeroDivisionError):
            prepare(old, newer_program("1 / 0"))
        with old.reading() as connection:
            assert described(connection) == before
            assert connection.scalar(sa.select(schema.REVISION.c.version_num)) == "0003"


def test_reading_an_older_leaderboard_says_what_to_do(url, newer_program):
    open_store(url).close()
    newer_program()
    with pytest.raises(
        StoreError, match=r"older gestaltbench \(schema 0003.*`bench db upgrade --db "
    ):
        open_store(url, write=False)


@pytest.mark.parametrize("write", [True, False])
def test_a_newer_leaderboard_is_refused(url, write):
    open_store(url).close()
    with database(url) as made, made.writing() as connection:
        connection.execute(schema.REVISION.update().values(version_num="0042"))
    with pytest.raises(StoreError, match=r"newer gestaltbench \(schema 0042.*--upgrade"):
        open_store(url, write=write)


@pytest.mark.parametrize("write", [True, False])
def test_another_programs_data_base_is_refused(url, write):
    with database(url) as made, made.writing() as connection:
        connection.execute(sa.text("CREATE TABLE bookmarks (name TEXT)"))
    with pytest.raises(StoreError, match=r"another program \(tables bookmarks"):
        open_store(url, write=write)


@pytest.mark.slow
def test_start_up_needs_neither_alembic_nor_pandas_nor_torch(path, python):
    open_store(str(path)).close()
    code = """if True:
        import sys
        from benchmark.store import open_store
        with open_store(sys.argv[1], write=False) as store:
            store.latest_scores(suite="cue-conflict")
        heavy = {"alembic", "pandas", "torch", "scipy", "sqlalchemy.orm"} & set(sys.modules)
        print(sorted(heavy))
    """
    process = python(code, path)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert out.strip() == "[]"


def test_naming_the_store_does_not_import_sql(python):
    process = python("import sys, benchmark.store; print('sqlalchemy' in sys.modules)")
    assert process.communicate(timeout=60)[0].strip() == "False"
