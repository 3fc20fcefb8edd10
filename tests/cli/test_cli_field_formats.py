"""Scores leave in the formats of other projects and as a badge."""

import json
import os
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from benchmark.leaderboard.field_formats import plain_name

pytestmark = pytest.mark.slow
NET = "world-standard-0"


def test_every_eval_ever_has_an_aggregate_and_samples_that_fit_its_schemas(board, bench, tmp_path):
    words = ("export", "--format", "every-eval-ever", "--db", board)
    assert "-o FOLDER" in bench(*words).err
    assert bench(*words, "-o", tmp_path / "out").code == 0
    files = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in tmp_path.rglob("*.json*")}
    assert {path.split("/")[1:4][2] for path in files} == {NET, "world-stylised-0"}  # ideal observers are no models
    for path, text in files.items():
        if path.endswith(".jsonl"):
            continue
        plain = json.loads(text)
        stated = plain["detailed_evaluation_results"]
        rows = [json.loads(line) for line in files[stated["file_path"]].splitlines()]
        assert stated["checksum"] == sha256(files[stated["file_path"]]).hexdigest()
        assert stated["total_rows"] == len(rows) == 72
        assert {row["evaluation_id"] for row in rows} == {plain["evaluation_id"]}
        assert {row["model_id"] for row in rows} == {plain["model_info"]["id"]} != {""}
        known = {row["evaluation_result_id"] for row in plain["evaluation_results"]}
        assert len(known) == len(plain["evaluation_results"]) and {row["evaluation_result_id"] for row in rows} <= known
        assert all(
            row["evaluation"]["is_correct"] == (row["output"]["raw"] == row["input"]["reference"]) for row in rows
        )
        _fit(plain, rows)
    assert bench(*words, "-o", tmp_path / "again").code == 0
    again = tmp_path / "again"
    assert {path: (again / path).read_bytes() for path in files} == files


def _fit(aggregate, samples):
    folder = Path(os.environ.get("BENCH_TEST_DATA", ""), "schemas", "every-eval-ever")
    if folder.is_dir():
        from jsonschema import Draft7Validator

        whole, one = (
            json.loads((folder / f"{name}.schema.json").read_text()) for name in ("eval", "instance_level_eval")
        )
        assert not [error.message for error in Draft7Validator(whole).iter_errors(aggregate)]
        assert not [error.message for row in samples for error in Draft7Validator(one).iter_errors(row)]


def test_headlines_for_hugging_face_have_their_interval_beside_them(board, bench):
    words = ("export", "--format", "eval-results", "--db", board)
    assert "choose one of 2 with --model" in bench(*words).err
    (row,) = yaml.safe_load(bench(*words, "-m", NET).out)
    assert row["dataset"] == {"id": "gestaltbench/cue-conflict", "task_id": "shape_bias"} and 0 <= row["value"] <= 1
    assert "wilson" in row["notes"] and "program: gestaltbench " in row["notes"]
    huggingface = pytest.importorskip("huggingface_hub.repocard_data")
    front = bench("export", "--format", "model-index", "--db", board).out
    index = next(yaml.safe_load_all(front))["model-index"]
    read = {one["name"]: huggingface.model_index_to_eval_results([one])[1] for one in index}
    assert {name: [result.metric_value for result in own] for name, own in read.items()}[NET] == [row["value"]]


def test_a_badge_has_value_and_interval_and_its_text_is_text(board, bench):
    drawn = ElementTree.fromstring(bench("badge", NET, "--db", board).out)
    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert said[0] == "cue-conflict: shape bias" and "[" in said[1] and NET in drawn[0].text
    assert bench("badge", NET, "--metric", "nothing", "--db", board).code == 2
    assert "as a network, it has scores under none" in bench("badge", "ideal-shape", "--db", board).err
    page = bench("export", "--format", "html", "--db", board).out
    assert page.startswith("<p>") and "<table>" in page


@pytest.mark.parametrize(
    ("name", "plain"), [("../../x", "x"), ("a/b c", "a-b-c"), ("..", "unnamed"), ("net (lab)", "net-lab")]
)
def test_a_name_in_a_path_stays_in_its_folder(name, plain):
    assert plain_name(name) == plain
