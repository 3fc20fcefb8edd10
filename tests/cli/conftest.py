"""A small leaderboard that the commands read."""

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from benchmark import api
from benchmark.store.versions import MIGRATIONS

MODELS = "world-standard-0,world-stylised-0,ideal-shape,ideal-texture"


@pytest.fixture(scope="session")
def board(tmp_path_factory):
    """Two networks and two ideal observers on twelve stimuli of each set."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        db = str(folder / "results.db")
        assert (
            api.run(db=db, models=MODELS, suites="cue-conflict", limit=12, batch=12).exit_code == 0
        )
    return db


@pytest.fixture
def older(tmp_path):
    """An empty leaderboard of the first schema."""
    path = tmp_path / "older.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO meta VALUES ('application', 'gestaltbench')"))
    return path
