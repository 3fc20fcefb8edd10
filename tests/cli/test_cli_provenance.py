"""`bench show --provenance` and `bench reproduce`."""

import csv
import json
import shlex
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark import api
from benchmark.leaderboard.provenance import _registration
from benchmark.stimuli.image_names import GEIRHOS16
from registry.world_networks import tiny_resnet

NAMES = ("world-standard-0", "cue-conflict")


@pytest.mark.slow
def test_a_number_comes_out_again_bit_for_bit(bench, board):
    ended = bench("reproduce", *NAMES, "shape_bias", "-q", "--db", board)
    assert ended.code == 0 and "equal bit for bit" in ended.out, ended.err
    assert repr(api.provenance(api.Selection(board), *NAMES)[0].score.value) in ended.out


@pytest.mark.release
def test_what_is_said_to_come_first_can_be_pasted(bench, tmp_path, monkeypatch):
    """In a fresh place and from another folder: the model is registered with all that decides its answers."""
    torch.manual_seed(0)
    weights = tmp_path / "a folder" / "it's one.pt"
    weights.parent.mkdir()
    torch.save({"ema": tiny_resnet().state_dict(), "raw": tiny_resnet().state_dict()}, weights)
    given = ("--size", 64, "--resize", 70, "--mean", "0.1,0.2,0.3", "--std", "0.25,0.5,0.25")
    more = ("--channels", "bgr", "--resize-mode", "squash", "--key", "raw", "--labels", "world16")
    arch = ("--arch", "python:registry.world_networks:tiny_resnet", "--training", "noise(uniform)")
    assert bench("register", "m", "--weights", weights, *arch, *given, *more).code == 0
    run = ("run", "-m", "m", "-s", "cue-conflict", "--limit", "4", "-q")
    assert bench(*run, "--db", tmp_path / "r.db").code == 0
    (before,) = api.provenance(api.Selection(str(tmp_path / "r.db")), "m", "cue-conflict")
    (first,) = before.first
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(weights.parent)
    unknown = bench("reproduce", "m", "cue-conflict", "--db", tmp_path / "r.db")
    assert unknown.code == 2 and f"First comes {first}" in unknown.err
    for command in (first.partition(": ")[2], before.command):
        ended = bench(*shlex.split(command)[1:])
        assert ended.code == 0, ended.err
    (after,) = api.provenance(api.Selection("results.db"), "m", "cue-conflict")
    assert after.observer.identity == before.observer.identity
    assert after.observer.card["training"] == ["noise(uniform)"]


@pytest.mark.parametrize("card", [{"arch": "hf:clip"}, {"arch": "api:toy", "options": {"api": {}}}], ids=str)
def test_a_model_that_no_command_describes_is_registered_by_its_card(card):
    assert "the `card` that `bench show m --provenance --json` prints" in _registration(
        SimpleNamespace(name="m", card=card)
    )


@pytest.mark.slow
def test_an_altered_number_is_told_with_the_one_made_again(bench, board, tmp_path):
    moved = (
        "UPDATE scores SET value = value + ? WHERE metric = 'shape_bias' AND condition = '' AND score_set IN "
        "(SELECT s.id FROM score_sets s JOIN observers o ON o.id = s.observer WHERE o.name = 'world-standard-0')"
    )
    ended = bench("reproduce", *NAMES, "-q", "--db", forged(board, tmp_path, moved, 0.25))
    assert ended.code == 1, ended.out
    assert "shape_bias: None [None, None] (n 0, altered since it was stored) is now 0.375" in ended.out


NAMED = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")


@pytest.fixture
def beside_people(bench, tmp_path, monkeypatch):
    """A leaderboard in which an observer answered the images that two people answered."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    pictures, people = tmp_path / "pictures", tmp_path / "people"
    people.mkdir()
    rows = {name: [] for name in ("subject-01", "subject-02")}
    for number, category in enumerate(GEIRHOS16):
        (pictures / category).mkdir(parents=True)
        for image in (f"{category}1.png", f"{category}2.png"):
            pixels = np.full((8, 8, 3), 7 * number + int(image[-5]), dtype=np.uint8)
            Image.fromarray(pixels).save(pictures / category / image)
            for at, (name, table) in enumerate(rows.items()):
                answer = category if (number + at) % 3 else "dog"
                table.append([name, 1, len(table), 0.5, answer, category, 0, image])
    for name, table in rows.items():
        with (people / f"edges_{name}_session-1.csv").open("w", newline="") as file:
            csv.writer(file).writerows([NAMED, *table])
    assert bench("data", "add", "edges", str(pictures)).code == 0
    db = str(tmp_path / "r.db")
    api.import_trials(people, source="lab", db=db)
    ran = api.run(db=db, models="ideal-guesser", suites="human-comparison", stimuli="edges", batch=32)
    assert ran.exit_code == 0, ran
    return db


@pytest.mark.release
def test_agreement_with_people_is_made_again_from_their_copied_answers(beside_people):
    names = ("ideal-guesser", "human-comparison")
    rows, wanted = api.show(api.Selection(beside_people), names[0]), ("error_consistency", "kept", "edges")
    (stored,) = (row for row in rows if row.space == "geirhos16" and _which(row) == wanted)
    assert stored.value is not None
    found = api.reproduce(*names, db=beside_people)
    assert found.exit_code == 0 and len(found.numbers) > 5
    (again,) = [one for one in found.numbers if _which(one.stored) == _which(stored)]
    assert again.equal and again.again.value == stored.value


@pytest.mark.slow
def test_what_was_imported_says_how_it_came(bench, beside_people, tmp_path):
    (tmp_path / "scores.csv").write_text("observer,metric,value\nnet,recall,0.25\n")
    api.import_scores(tmp_path / "scores.csv", source="a paper", db=beside_people)
    trials = f"bench import trials {tmp_path / 'people'} --source lab"
    scores = f"bench import scores {tmp_path / 'scores.csv'} --source 'a paper'"
    net = "net (a paper, reported)"
    for words, said in (
        (("subject-01 (lab)", "human-comparison"), f"import its trials, as it was done: {trials}"),
        (("ideal-guesser", "human-comparison", "error_consistency", "kept"), f"depends on, as it was done: {trials}"),
        ((net, "reported", "recall"), f"import the score, as it was done: {scores}"),
    ):
        ended = bench("show", "--provenance", *words, "--db", beside_people)
        assert ended.code == 0 and f"{said}\n" in ended.out, ended
    refused = bench("reproduce", net, "reported", "recall", "--db", beside_people)
    assert refused.code == 1 and "`bench show --provenance 'net (a paper, reported)' reported --db" in refused.err


def _which(row):
    return row.metric, row.condition, row.role


POLICY = {"device": "cpu", "precision": "fp32", "compile": False, "seed": 0}


@pytest.mark.slow
@pytest.mark.parametrize("details", [
    {"asked": {"executor": "ray", "address": "127.0.0.1:1"}}, {"asked": {"models": "*"}}, {"asked": [1]},
    {"asked": {"limit": "4"}}, {"asked": {"batch": -3}}, {"asked": {"stimuli": 5}}, {"policy": {"device": "cpu"}},
    {"policy": POLICY | {"seed": "x"}}, {"policy": POLICY | {"compile": "; touch x"}},
], ids=str)  # fmt: skip
def test_a_leaderboard_does_not_say_where_or_what_else_is_run(bench, board, tmp_path, details):
    path = forged(board, tmp_path, "UPDATE observations SET details = ?", json.dumps({"policy": POLICY, **details}))
    for command in (("show", "--provenance"), ("reproduce",)):
        ended = bench(*command, *NAMES, "--db", path)
        assert ended.code == 1 and len(ended.errors) == 1, ended.err
        assert "the leaderboard asks for" in ended.err and "No command is made of it" in ended.err


def test_a_name_that_stands_for_several_models_makes_no_command(bench, board, tmp_path):
    change = "UPDATE observers SET name = ? WHERE name = 'world-standard-0'"
    ended = bench("reproduce", "*", NAMES[1], "--db", forged(board, tmp_path, change, "*"))
    assert ended.code == 1 and "asks for 'models' '*'" in ended.err


def test_a_stored_command_is_never_run(bench, board, tmp_path):
    shell = f"bench run --limit 12; touch {tmp_path}/ran $(touch {tmp_path}/ran)"
    details = json.dumps({"policy": POLICY})
    path = forged(board, tmp_path, "UPDATE observations SET details = ?", details)
    with sqlite3.connect(path) as store:
        store.execute("UPDATE runs SET command = ?", (shell,))
    planned = []
    api.reproduce(*NAMES, "shape_bias", db=path, agreed=lambda one: bool(planned.append(one)))
    (request,) = [one.request for one in planned]
    assert (request.models, request.suites, request.limit) == (*NAMES, None)
    assert not (tmp_path / "ran").exists()


def forged(board, folder, change, value):
    """A copy of a leaderboard in which one value is another."""
    path = folder / "forged.db"
    with sqlite3.connect(board) as source, sqlite3.connect(path) as target:
        source.backup(target)
        target.execute(change, (value,))
    return str(path)
