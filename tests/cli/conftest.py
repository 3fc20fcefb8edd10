"""A small leaderboard that the commands read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmark import api

OLD = Path(__file__).parents[1] / "store" / "leaderboard-0003.sql"
MODELS = "world-standard-0,world-stylised-0,ideal-shape,ideal-texture"


@pytest.fixture(scope="session")
def board(tmp_path_factory):
    """Two networks and two ideal observers on twelve stimuli of each set."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        db = str(folder / "results.db")
        assert api.run(db=db, models=MODELS, suites="cue-conflict", limit=12, batch=12).exit_code == 0
    return db


@pytest.fixture
def older(tmp_path):
    """A leaderboard of the schema before."""
    path = tmp_path / "older.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    return path
