"""A small leaderboard that the commands read."""

import pytest

from benchmark import api

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
