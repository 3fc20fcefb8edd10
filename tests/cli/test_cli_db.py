"""`bench run --shard` and `bench db`."""

import shutil
import sqlite3

import pytest

from benchmark.store import open_store
from benchmark.store.schema import HEAD

IDEALS = ("run", "-m", "ideal-shape,ideal-texture", "-s", "cue-conflict", "--limit", 6, "-q")


def scores(path):
    with open_store(str(path), write=False) as store:
        return {row._replace(created="", set_id="") for row in store.latest_scores()}


@pytest.mark.slow
def test_a_shard_that_is_not_there_is_said(bench, tmp_path):
    first, second, third = (tmp_path / f"shard-{i}.db" for i in (1, 2, 3))
    for i, path in ((1, first), (2, second), (3, third)):
        assert bench(*IDEALS, "--shard", f"{i}/3", "--db", path).code == 0
    ended = bench("db", "merge", first, third, "--into", tmp_path / "merged.db")
    assert ended.code == 3 and "shard 2/3 of plan " in ended.err and "is unfinished in this leaderboard" in ended.err
    assert "not scored: ideal-" in ended.err and "blocks are not answered yet" in ended.err
    ended = bench("db", "merge", second, "--into", tmp_path / "merged.db")
    assert (ended.code, ended.err) == (0, "")
    assert bench(*IDEALS, "--db", tmp_path / "whole.db").code == 0
    assert scores(tmp_path / "merged.db") == scores(tmp_path / "whole.db")


def test_shards_that_cannot_be(bench, tmp_path):
    for text in ("0/3", "4/3", "a/b", ""):
        ended = bench(*IDEALS, "--shard", text, "--db", tmp_path / "x.db")
        assert ended.code == 2 and len(ended.errors) == 1 and f"shard '{text}': expected I/N" in ended.err
    assert not (tmp_path / "x.db").exists()


@pytest.mark.slow
def test_status_check_and_vacuum_make_no_leaderboard(bench, tmp_path):
    assert bench(*IDEALS, "--db", tmp_path / "a.db").code == 0
    told = bench("db", "status", "--db", tmp_path / "a.db")
    assert (told.code, told.err) == (0, "")
    assert "SQLite 3." in told.out and "2 observers" in told.out and "no end" not in told.out
    told = bench("db", "check", "--db", tmp_path / "a.db")
    assert (told.code, told.out, told.err) == (0, "sound: every row was read\n", "")
    assert bench("db", "vacuum", "--db", tmp_path / "a.db").code == 0
    for command in ("status", "check", "vacuum"):
        ended = bench("db", command, "--db", tmp_path / "none.db")
        assert (ended.code, len(ended.errors)) == (1, 1) and "no leaderboard at" in ended.err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.slow
def test_a_leaderboard_of_another_schema_is_described_and_refused(bench, board, monkeypatch):
    monkeypatch.setattr("benchmark.store.schema.HEAD", "0005")
    assert f"schema {HEAD}, this program's is 0005" in bench("db", "status", "--db", board).out
    told = bench("rank", "--db", board)
    assert told.code == 1 and f"schema {HEAD}; this one, " in told.err


@pytest.mark.slow
def test_two_killed_runs_that_are_complete_together_are_scored(bench, tmp_path):
    """As if each had died in the middle of its answers, before any score."""
    assert bench(*IDEALS, "--db", tmp_path / "whole.db").code == 0
    for name, half in (("a.db", 0), ("b.db", 1)):
        shutil.copy(tmp_path / "whole.db", tmp_path / name)
        with sqlite3.connect(tmp_path / name) as connection:
            connection.executescript(
                "DELETE FROM scores; DELETE FROM score_sets; DELETE FROM run_ends;"
                "DELETE FROM outcomes WHERE status <> 'partial';"
                f"DELETE FROM chunks WHERE rowid % 2 = {half};"
            )
    ended = bench("db", "merge", tmp_path / "a.db", "--into", tmp_path / "merged.db")
    assert ended.code == 3 and "a.db: 6 of its observations lack trials" in ended.err
    assert scores(tmp_path / "merged.db") == set()
    ended = bench("db", "merge", tmp_path / "b.db", "--into", tmp_path / "merged.db")
    assert (ended.code, ended.err) == (0, "")
    assert scores(tmp_path / "merged.db") == scores(tmp_path / "whole.db") != set()
    assert bench("db", "check", "--rescore", "--db", tmp_path / "merged.db").code == 0
