"""A leaderboard as one document: everything is in it, the schema fits, a reader finds its way."""

import csv
import json
from pathlib import Path

import pytest

from benchmark import api
from benchmark.leaderboard.leaderboard_document import Document
from benchmark.store import open_store

SCHEMA = Path(__file__).parents[2] / "docs" / "leaderboard-2.schema.json"


@pytest.fixture(scope="module")
def db(folder):
    path = str(folder / "results.db")
    report = api.run(db=path, models="ideal-shape,ideal-texture", suites="cue-conflict", limit=8, batch=8)
    assert report.exit_code == 0
    return path


def test_the_published_schema_is_that_of_the_program():
    published = json.loads(SCHEMA.read_text())
    assert published == {"$schema": published["$schema"], **Document.model_json_schema()}


@pytest.mark.slow
def test_a_document_has_every_score_and_fits_the_schema(db):
    jsonschema = pytest.importorskip("jsonschema")
    plain = api.document(api.Selection(db)).model_dump(mode="json")
    jsonschema.validate(plain, json.loads(SCHEMA.read_text()))
    assert (plain["form"], plain["version"]) == ("gestaltbench-leaderboard", 2)
    rows = open_store(db, write=False).latest_scores()
    assert len(plain["scores"]) == len(rows) > 10
    assert Document.model_validate(plain) == api.document(api.Selection(db))
    stored = {(r.observer, r.metric, r.condition, r.role): r for r in rows}
    for one in plain["scores"]:
        row = stored[one["observer"], one["metric"], one["condition"], one["role"]]
        assert [one[name] for name in ("value", "low", "high", "n")] == [row.value, row.low, row.high, row.n]
        assert one["value"] is not None or one["reason"]


@pytest.mark.slow
def test_the_ending_chooses_the_form(db, bench, tmp_path):
    forms = {"csv": "observer,kind,", "json": '{\n "form": "gestaltbench-leaderboard"', "tex": "\\begin{table}"}
    for name, begins in ((f"a.{end}", begins) for end, begins in {**forms, "md": "| observer |"}.items()):
        path = tmp_path / name
        assert bench("export", "--scores", "--db", db, "-o", path).code == 0
        assert path.read_text().startswith(begins)
    assert bench("export", "--db", db, "-o", tmp_path / "b.tex").code == 0
    assert (tmp_path / "b.tex").read_text().startswith("\\begin{table}")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(open_store(db, write=False).latest_scores())
