"""Mistakes: one clear line on stderr, no traceback, the right exit code; a line to paste works when it is pasted."""

import shlex
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from registry.cards import read_cards
from registry.world_networks import tiny_resnet

TINY = "python:registry.world_networks:tiny_resnet"
INPUT = ("--labels", "world16", "--size", "64", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
GIVEN = f"--arch {TINY} {' '.join(INPUT)}"


def mistake(ended, code, *words):
    """One line, with these words in it."""
    assert ended.code == code and len(ended.errors) == 1 and ended.errors[0].startswith("bench: "), ended.err
    assert [word for word in words if str(word) not in ended.errors[0]] == [], ended.err


@pytest.mark.parametrize(("words", "code", "found"), [
    ("run --model world-standrd-0", 2, "world-standrd-0|world-standard-0"),
    ("run --suite cue-conflct", 2, "cue-conflct|cue-conflict"), ("rnk", 2, "rnk|rank"),
    ("models show ideal-shap", 2, "ideal-shape"), ("suites show cue-conflct", 2, "cue-conflict"),
    ("data fetch cue-conflct", 2, "cue-conflict"), ("register x --arch timm:resnet5", 2, "resnet50"),
    ("register x --arch nonsense", 2, "timm:NAME"),
    ("register x --arch open_clip:ViT-B-32 --threshold 0.5", 2, "--threshold|detectors"),
    ("register p --arch open_clip:ViT-B-32 --probe world --key ema", 2, "--key|taken whole"),
    ("run --batch-size 0", 2, "--batch-size"), ("run --precision fp8", 2, "fp32"), ("run --nonsense", 2, "--nonsense"),
    ("export --format xml", 2, "markdown"), ("register x", 2, "--arch"),
    ("register x --arch timm:resnet18 --mean 1,2", 2, "three numbers"),
    ("register x --arch timm:resnet18 --weights nothere.pt", 1, "nothere.pt"),
    ("register ideal-shape --arch timm:resnet18", 2, "ideal-shape"), ("import trials nothere", 2, "nothere"),
    ("data path cue-conflict", 1, "bench data fetch cue-conflict"), ("rank", 1, "bench run"),
    ("db rescore", 1, "bench run"), ("run -m ideal-shape --limit 2 --precision tf32 --device cpu", 1, "tf32"),
    ("run -m ideal-shape --limit 2 --device nonsense", 1, "nonsense"),
    ("run -m ideal-shape --limit 2 --db nothere/results.db", 1, "nothere"),
    (f"run -m ideal-shape -s cue-conflict --limit 1 --seed {2**63}", 1, "a seed is a whole number of at most 64 bits"),
])  # fmt: skip
def test_unknown_names_usage_and_missing_things(bench, words, code, found):
    mistake(bench(*words.split()), code, *found.split("|"))


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code", "found"), [
    ("rank --by shape_bis", 2, "shape_bias"), ("rank --suite cue-conflct", 2, "cue-conflict"),
    ("show ideal-shap", 2, "ideal-shape"),
    ("compare ideal-shape ideal-textr*", 2, "no observer is called 'ideal-textr*'"),
    ("compare ideal-shape ideal-* --images", 2, "two observers"),
    ("compare people ideal-*", 2, "`bench compare NAME people --db"),
    ("export --trials ideal-shap --suite cue-conflict", 2, "ideal-shape"),
    *((f"{words} -o {{}}/x.csv", 1, "results.db")  # no folder
      for words in ("export", "export --trials ideal-shape", "export --format latex")),
])  # fmt: skip
def test_mistakes_on_a_leaderboard(bench, board, words, code, found):
    mistake(bench(*words.format(board).split(), "--db", board), code, found)


@pytest.mark.parametrize(("words", "pasted"), [
    ("run -m ideal-shape -s shape-bias --limit 2", "run -m ideal-shape -s cue-conflict --limit 2"),
    ("run cue-conflict ideal-shape --limit 2", "run --suite cue-conflict ideal-shape --limit 2"),
    ("run -m ideal-shape,ideal-textur --suite=all", "run -m ideal-shape,ideal-texture --suite=all"),
    ("run --models ideal-shape", "run --model ideal-shape"),
    ("compare ideal-shape", "compare ideal-shape '*'"), ("compare a,b", "compare a b"),
    ("leaderboard", "rank"), ("evaluate ideal-shape", "run ideal-shape"), ("eval", "run"), ("list", "models"),
    ("show m shape-bias", "show m cue-conflict shape_bias --provenance"),
    ("show m saliency", "show m saliency --provenance"),
    ("data show", "data list"), ("data show edges", "data list edges"), ("db stats", "db status"),
])  # fmt: skip
def test_a_mistake_ends_in_the_command_that_was_meant(bench, words, pasted):
    """With --db and whatever else was typed."""
    place = [] if words.startswith("data") else ["--db", "my results.db"]
    ended = bench(*words.split(), *place)
    more = " --db 'my results.db'" if place else ""
    assert ended.code == 2 and ended.errors[-1].partition(" Paste: ")[2] == f"bench {pasted}{more}"


def test_hints_read_the_leaderboard_of_the_command(bench, board):
    mistake(bench("rank", "--db", "no place.db"), 1, "`bench run --db 'no place.db'`")
    mistake(bench("show", "resnet50", "--db", board), 2, f"`bench run --model resnet50 --db {board}`")
    assert bench("data", "list", "edges").out.splitlines()[-1].startswith("edges ")
    assert bench("suites", "list").out == bench("suites").out


def test_help_is_whole_and_the_doctor_takes_one_screen(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for group in ("", "compare", "data", "db", "import", "models", "plot", "suites"):
        shown = bench(*group.split(), "--help").out
        assert [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith("...")] == []
    for words in ("report", "plot", "ask", "export", "compare measures", "data regenerate", "suites new"):
        assert "--out" in bench(*words.split(), "--help").out.replace("--output", "", 1), words
    lines = bench("doctor").out.splitlines()
    assert sum(1 + (len(line) - 1) // 80 for line in lines) <= 24 and max(map(len, lines)) < 240


def test_parquet_without_pyarrow(bench, board, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    arrow.chunked_array([[1]]).take(arrow.array([0]))  # pandas' own use of it, which loads more on the first call
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    ended = bench("export", "--trials", "ideal-shape", "--db", board, "-o", "x.parquet")
    mistake(ended, 1, "pyarrow", ".csv")


@pytest.mark.release
def test_weights_that_changed_after_registration(bench, tmp_path):
    state = tiny_resnet(16).state_dict()
    save_file(state, tmp_path / "net.safetensors")
    assert bench("register", "mine", "--arch", TINY, "--weights", "net.safetensors", *INPUT).code == 0
    state["head.bias"] += 1
    save_file(state, tmp_path / "net.safetensors")
    ended = bench("run", "-m", "mine", "--limit", "2")
    assert ended.code == 1
    failed = [line for line in ended.errors if line.startswith("failed: mine")]
    assert failed and all("digest" in line and "expected" in line for line in failed)
    mistake(bench("models", "check", "mine"), 1, "digest")


def test_missing_stimuli_name_the_command_that_gets_them(bench, tmp_path):
    words = ("run", "-m", "efficientnet-lite0", "-s", "cue-conflict", "--limit", "2")
    ended = bench(*words)
    said = "\n".join(ended.errors)
    assert ended.code == 1 and "nothing ran: the suites wait for data." in said
    assert "cue-conflict: edges, filled-silhouettes, cue-conflict (1,600 images; about 142 MB; CC-BY-4.0)" in said
    assert "--fetch gets" in said
    assert "waiting for data: efficientnet-lite0 under cue-conflict" in ended.errors
    assert bench(*words, "--strict").code == 3
    planned = bench("run", "-m", "efficientnet-lite*", "-s", "cue-conflict", "--dry-run").out.splitlines()
    (line,) = [line for line in planned if line.startswith("waiting for data")]  # once, of three networks
    assert line.count("under cue-conflict") == 3 and "bench data fetch cue-conflict" in line


@pytest.mark.slow
def test_fetch_gets_what_a_run_lacks_and_the_run_ends_in_a_verdict(bench, tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    for name in ("cat4-dog1", "cat5-dog2"):
        (mirror / "cue-conflict" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), "red").save(mirror / "cue-conflict" / "cat" / f"{name}.png")
    monkeypatch.setenv("BENCH_MIRROR", str(mirror))
    save_file(tiny_resnet(16).state_dict(), tmp_path / "net.safetensors")
    words = ("--arch", TINY, "--weights", "net.safetensors", *INPUT[2:], "--labels", "geirhos16")
    assert bench("register", "mine", *words).out.endswith("next: bench run --model mine --fetch\n")
    ended = bench("run", "-m", "mine", "-s", "cue-conflict", "--fetch")
    assert ended.code == 3 and "cue-conflict: 2 of 1280 images" in ended.err, ended.err
    assert "\nnot fetched: edges: " in ended.err  # no connection
    assert "\nmine\n" in ended.out and "not measured" in ended.out.partition("\nmine\n")[2]


def test_scores_of_a_suite_that_is_not_installed_are_said(bench, board, tmp_path):
    """A leaderboard from a machine that has a plug-in more than this one."""
    theirs = tmp_path / "theirs.db"
    shutil.copy(board, theirs)
    with closing(sqlite3.connect(theirs)) as db, db:
        db.execute("UPDATE score_sets SET suite = 'mirror-test'")
    for words in (("rank",), ("rank", "--summary")):
        ended = bench(*words, "--db", theirs)
        assert ended.err == "not shown: scores of suites that are not installed: mirror-test.\n"


@pytest.mark.parametrize(
    "words", [("rank", "--db", ""), ("db", "merge", "a.db", "--into", ""), ("sweep", "")], ids=" ".join
)
def test_a_place_that_is_empty_stands_for_no_default(bench, words):
    """`--db "$RESULTS"` where nobody has set RESULTS: the run went into another leaderboard."""
    ended = bench(*words)
    assert ended.code == 2 and "expected a place, got ''" in ended.err


@pytest.fixture
def files(tmp_path):
    state = tiny_resnet(16).state_dict()
    torch.save(state, tmp_path / "net.pt")
    np.savez(tmp_path / "net.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    return tmp_path


def pasted(line, bench):
    """Each of the commands of a line, as a shell splits them."""
    for command in line.split(" && "):
        words = shlex.split(command)
        assert words[0] == "bench"
        ended = bench(*words[1:])
        assert ended.code == 0, ended.err
    return ended


@pytest.mark.parametrize(("words", "says"), [
    (f"register nothere.pt {GIVEN}", "nothere.pt is not there"), (f"register nothere.pt mine {GIVEN}", "is not there"),
    ("register nothere.pt", "is not there"), ("register net.npz", "--arch as well: timm:NAME"),
    ("register net.pt", "does not state its architecture. Give --arch: timm:NAME"),
])  # fmt: skip
def test_what_is_missing_is_one_line(words, says, bench, files, home):
    ended = bench(*words.split())
    assert ended.code in (1, 2) and len(ended.errors) == 1 and says in ended.errors[0], ended.err
    assert "Paste" not in ended.err and not (home / "cards").exists()


@pytest.mark.slow
def test_a_file_before_its_name_is_registered(bench, files, home):
    assert bench("register", "net.pt", "mine", *GIVEN.split()).code == 0
    assert read_cards(home / "cards")["mine"].arch == TINY


@pytest.mark.slow
def test_a_run_of_a_path(bench, files, home):
    say = ("--arch", "timm:test_resnet", "-s", "cue-conflict", "--limit", "2", "--dry-run")
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=1000).state_dict()
    np.savez(files / "arrays.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    torch.save({**state, "decoder.weight": torch.ones(3)}, files / "more.pt")
    for file, lacking in (("arrays.npz", "--convert"), ("more.pt", "--ignore")):
        ended = bench("run", file, *say)
        line = ended.errors[-1].partition(" Paste: ")[2]
        assert ended.code == 1 and lacking in line, ended.err
        pasted(line, bench)
        assert "converted" not in bench("run", file, *say).err  # it is found again by its file
    assert len(read_cards(home / "cards")) >= 2


@pytest.mark.release
def test_a_sweep(bench, files):
    for step in (1, 2):
        (files / "training").mkdir(exist_ok=True)
        torch.save({"model": tiny_resnet(16), "step": step}, files / "training" / f"step_{step}.pt")
    say = f"sweep training {GIVEN} -s cue-conflict --limit 2 -y -q"
    ended = bench(*say.split())
    line = ended.errors[-1].partition("to use what was left out: ")[2]
    assert ended.code == 1 and line.endswith(" --convert"), ended.err
    assert "2 done" in pasted(line, bench).err
    assert "2 cached" in pasted(line, bench).err  # neither registered again nor taken for further checkpoints
