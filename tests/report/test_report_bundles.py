"""One file for a colleague: it opens, comes in with all scores computed again, reproduces with the weights alone."""

import json
import re
import shlex
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from benchmark.api import photograph_checks
from benchmark.failures import ScoresError
from benchmark.leaderboard.leaderboard_document import read_leaderboard_document
from benchmark.report import drawing

pytestmark = pytest.mark.slow


def test_a_bundle_goes_to_another_machine_and_back_to_the_same_numbers(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(photograph_checks, "photograph_checks", lambda *given: [])
    monkeypatch.setattr(drawing, "svg", lambda figure, width, named=False: "<svg/>")
    timm, save = pytest.importorskip("timm"), pytest.importorskip("safetensors.torch").save_file
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "here"))
    save(timm.create_model("test_resnet", num_classes=16).state_dict(), "net.safetensors")
    words = "--arch timm:test_resnet --weights net.safetensors --labels world16 --size 64 --resize 64"
    assert bench("register", "my-net", *words.split()).code == 0
    ran = bench(
        "run", "-m", "my-net,ideal-shape", "--suite", "cue-conflict", "--limit", 4, "--batch-size", 4, "--db", "h.db"
    )
    assert ran.code == 0
    said = bench("export", "--bundle", "my-net.zip", "-m", "my-net", "--db", "h.db")
    assert said.code == 0 and re.fullmatch(r"my-net.zip: 1 observer, \d+ scores, 24 trials\n", said.out)
    assert bench("export", "--bundle", "x.zip", "-m", "nobody", "--db", "h.db").code == 1
    assert bench("export", "--bundle", "x.zip", "--scores", "--db", "h.db").code == 2
    with ZipFile("my-net.zip") as packed:
        texts = {name: packed.read(name).decode() for name in packed.namelist()}
    assert [*texts] == ["index.html", "README.txt", "leaderboard.json", "cards/my-net.json"]
    assert str(tmp_path) not in "".join(texts.values()) and "page-observers-ideal-shape" not in texts["index.html"]
    assert 'id="page-observers-my-net"' in texts["index.html"]

    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "there"))
    monkeypatch.chdir(tmp_path / "there")
    assert bench("import", "leaderboard", "../here/my-net.zip", "--db", "t.db").code == 0
    first = bench("reproduce", "my-net", "cue-conflict", "--db", "t.db").err
    register = re.search(r"bench (register .*)", first)[1]
    (tmp_path / "here" / "net.safetensors").rename("net.safetensors")
    assert bench(*shlex.split(register)).code == 0
    again = bench("reproduce", "my-net", "cue-conflict", "--db", "t.db")
    assert again.code == 0 and "equal bit for bit" in again.out

    plain = json.loads(texts["leaderboard.json"])
    row = next(score for score in plain["scores"] if score["metric"] == "natural_accuracy")
    row |= {"value": 0.9 - row["value"] / 2, "low": None, "high": None}
    _packed("forged.zip", {**texts, "leaderboard.json": json.dumps(plain), "../out.txt": "x"})
    forged = bench("import", "leaderboard", "forged.zip", "--db", "f.db")
    assert forged.code == 3 and "differs: my-net under cue-conflict: 1 scores" in forged.err
    assert not (tmp_path / "out.txt").exists()


def _packed(path, texts):
    with ZipFile(path, "w", ZIP_DEFLATED) as packed:
        for name, text in texts.items():
            packed.writestr(name, text)
    return path


def test_a_zip_that_is_no_bundle_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.leaderboard.leaderboard_document.LARGEST", 2**20)
    (tmp_path / "c.zip").write_text("no zip")
    for texts, said in (
        ({"index.html": ""}, "has a leaderboard.json"), ({"leaderboard.json": "[1"}, "cannot be read"),
        ({"leaderboard.json": " " * (2**20 + 1)}, "larger than 1 MiB"), (None, r"c\.zip"),
    ):  # fmt: skip
        with pytest.raises(ScoresError, match=said):
            read_leaderboard_document(_packed(tmp_path / "b.zip", texts) if texts else tmp_path / "c.zip")
