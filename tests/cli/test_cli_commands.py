"""What each command does where nothing is wrong, and that Python and the command line agree."""

import io
import sqlite3
import sys

import pytest
from PIL import Image

from benchmark import api
from benchmark.cli import main, suites


@pytest.mark.slow
def test_run_prints_a_ranking_and_stores_it(bench):
    ended = bench("run", "-m", "ideal-*", "-s", "cue-conflict", "--limit", "16", "-q")
    assert ended.code == 0 and "5 done" in ended.err
    assert all(name in ended.out for name in ("ideal-shape", "ideal-guesser", "chance"))
    again = bench("run", "-m", "ideal-*", "-s", "cue-conflict", "--limit", "16", "-q")
    assert "5 cached" in again.err and again.out == ended.out


def plan_of(ended):
    """Model -> (trials, cached, about) of a dry run, and its last line."""
    assert ended.code == 0, ended.err
    rows = [line.split("│")[1:-1] for line in ended.out.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {row[0]: (int(row[3]), int(row[4]), row[5]) for row in cells}, ended.out


@pytest.mark.slow
def test_a_dry_run_says_what_a_run_would_find_stored(bench):
    words = ("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "300")
    bench(*words)
    with sqlite3.connect("results.db") as connection:
        ((n,),) = connection.execute("SELECT SUM(n) FROM chunks")
        assert plan_of(bench(*words, "--dry-run"))[0] == {"ideal-shape": (n, n, "stored")}
        # As a run leaves it that was killed: whole chunks, not of all blocks.
        connection.execute(
            "DELETE FROM chunks WHERE position > 0 OR observation > (SELECT MIN(observation) FROM chunks)"
        )
        ((kept,),) = connection.execute("SELECT SUM(n) FROM chunks")
    connection.close()
    plan, out = plan_of(bench(*words, "--dry-run"))
    assert 0 < kept < n and plan == {"ideal-shape": (n, kept, "< 1 s")} and "about 1 s of computing\n" in out
    other = plan_of(bench(*words, "--seed", "1", "--dry-run"))[0]
    assert other == {"ideal-shape": (n, 0, "< 1 s")}


def test_models_sets_and_suites_are_listed_shown_and_checked(bench):
    listed = bench("models", "ideal-*")
    assert "ideal-noisy" in listed.out and "world-standard-0" not in listed.out
    shown = bench("models", "show", "world-standard-0")
    assert "sha256" in shown.out and "standard" in shown.out
    checked = bench("models", "check", "world-standard-0")
    assert checked.code == 0 and "FAIL" not in checked.out and "finite logits" in checked.out
    assert bench("models", "check", "ideal-shape").code == 0
    assert "cue-conflict" in bench("data", "list").out
    shown = bench("suites", "show", "cue-conflict")
    assert "shape_bias (headline)" in shown.out
    checked = bench("suites", "check", "cue-conflict")
    assert checked.code == 0 and "FAIL" not in checked.out


def test_an_added_folder_is_found_and_verified(bench, tmp_path):
    for category in ("cat", "dog"):
        (tmp_path / "mine" / category).mkdir(parents=True)
        Image.effect_noise((32, 32), 80).convert("RGB").save(tmp_path / "mine" / category / f"{category}1.png")
    words = ("--role", "edges", "--space", "geirhos16")
    assert bench("data", "add", "my-edges", tmp_path / "mine", *words).code == 0
    assert bench("data", "path", "my-edges").out.strip() == str(tmp_path / "mine")
    assert bench("data", "verify", "my-edges").code == 0


def test_a_part_of_a_set_says_how_much_is_there(bench, tmp_path, monkeypatch):
    for name in ("a.png", "b.PNG", ".hidden.png", "notes.txt"):
        (tmp_path / "edges" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "edges" / "cat" / name).write_bytes(b"")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    row = next(line for line in bench("data", "list").out.splitlines() if line.startswith("edges"))
    assert row.split()[1:5] == ["2", "of", "160", "images"]


def test_a_reader_who_has_enough_ends_a_command_quietly(monkeypatch, capsys):
    def closed(*_args, **_kwargs):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(suites, "echo_line", closed)
    monkeypatch.setattr(sys, "argv", ["bench", "suites"])
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # it is closed at the end
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.slow
def test_power_of_a_pair_of_all_pairs_and_of_a_plan(bench, tmp_path):
    board = str(tmp_path / "results.db")
    api.run(db=board, models="ideal-*", suites="cue-conflict", limit=320)
    pair = ("ideal-noisy", "ideal-texture", "-s", "cue-conflict", "--db", board)
    shown = bench("power", *pair, "--detect", "0.3")
    assert shown.code == 0 and shown.out.startswith("Power")
    compared = bench("compare", *pair).out
    (row,) = api.power(api.Selection(board), "ideal-noisy", "ideal-texture", suite="cue-conflict", detect=0.3)
    assert f"{row.comparison.n}" in compared
    more = api.power(api.Selection(board), "ideal-noisy", "ideal-texture", suite="cue-conflict", detect=0.1)
    assert more[0].images > row.images
    assert "the middle of" in bench("power", "-s", "cue-conflict", "--detect", "0.3", "--db", board).out
    assert "2,941" in bench("power", "--discordant", "0.15").out
    for wrong, said in (
        (("--discordant", "0.01"), "a difference of 0.02 needs at least that share"),
        (("--discordant", "0.1", "a"), "needs no observers"),
        (("ideal-noisy", "nobody", "--db", board), "no observer is called 'nobody'"),
        (("--detect", "0"), "not in the range"),
    ):
        refused = bench("power", *wrong)
        assert refused.code and said in refused.err
