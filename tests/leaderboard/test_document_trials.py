"""A leaderboard as one document fits its schema and carries its trials: scores are made again from them, and nothing of
them fills what is one's own."""

import copy
import csv
import json
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pytest

from benchmark import api
from benchmark.engine.scoring import Scorer
from benchmark.failures import ScoresError, StoreError
from benchmark.leaderboard.leaderboard_document import Document
from benchmark.stimuli.datasets import sample
from benchmark.stimuli.world.sets import generated_set
from benchmark.store import open_store
from benchmark.store.codec import decode, encode

pytestmark = pytest.mark.slow
SCHEMA = Path(__file__).parents[2] / "docs" / "leaderboard-2.schema.json"


@pytest.fixture(scope="module")
def document(folder):
    """The export of two observers on 8 images of each set of cue-conflict, as plain data."""
    db = str(folder / "lab.db")
    report = api.run(db=db, models="ideal-shape,ideal-texture", suites="cue-conflict", limit=8, batch=8)
    assert report.exit_code == 0
    return api.document(api.Selection(db)).model_dump(mode="json")


@pytest.fixture
def board(tmp_path, monkeypatch):
    """bring(DOCUMENT, DB): the report of its import."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def bring(document, db="mine.db"):
        (tmp_path / "lab.json").write_text(json.dumps(document))
        return api.import_leaderboard("lab.json", db=db)

    return bring


def shape_bias(db):
    rows = open_store(db, write=False).latest_scores()
    return {row.observer: row.value for row in rows if (row.metric, row.condition) == ("shape_bias", "")}


def contents(db):
    names = sorted(row.name for row in open_store(db, write=False).observers(latest=False))
    return [api.document(api.Selection(db)), names]


def otherwise(document, name):
    """The document with the answers of an observer changed in one chunk of its trials."""
    changed = copy.deepcopy(document)
    keys = {row["key"] for row in changed["observations"] if row["observer"] == name}
    chunk = next(row for row in changed["chunks"] if row["observation"] in keys)
    columns = decode(b64decode(chunk["payload"]), chunk["n"])
    columns["response"] = np.roll(columns["response"], 1)
    chunk["payload"] = b64encode(encode(columns)).decode()
    return changed


def test_there_and_back_every_score_is_made_again_once_and_the_same(document, board, monkeypatch):
    scored, score = [], Scorer.observer
    monkeypatch.setattr(Scorer, "observer", lambda self, *given: scored.append(given) or score(self, *given))
    report = board(document)
    assert len(scored) == 4  # two outcomes, and a look at the stored trials of each
    assert report.trials == {"ideal-shape": 48, "ideal-texture": 48} and report.scored == 2
    assert not (report.different or report.refused or report.left_out or report.reported.observers)
    after = api.document(api.Selection("mine.db")).model_dump(mode="json")
    for part, key in (("scores", "metric"), ("observations", "key"), ("chunks", "payload"), ("stimuli", "digest")):
        rows = [[{**row, "score_set": 0} for row in plain[part]] for plain in (document, after)]
        assert sorted(rows[0], key=str) == sorted(rows[1], key=str) and key in rows[0][0]
    assert api.check_db(db="mine.db", rescore=True) == []
    again = board(document)
    assert (again.trials, again.scored, again.refused) == ({}, 0, [])
    assert api.document(api.Selection("mine.db")).model_dump(mode="json") == after


def test_scores_of_a_variant_come_in_with_their_trials(board):
    api.run(db="lab.db", models="ideal-shape", suites="cue-conflict:ranks", limit=8, batch=8)
    report = board(api.document(api.Selection("lab.db")).model_dump(mode="json"))
    assert (report.scored, report.left_out, report.different) == (1, [], [])


def test_a_score_that_its_trials_do_not_give_is_named_and_not_shown(document, board, bench):
    changed = copy.deepcopy(document)
    for row in changed["scores"]:
        if (row["observer"], row["metric"], row["condition"]) == ("ideal-texture", "shape_bias", ""):
            assert row["value"] == 0.0
            row.update(value=0.99, low=None, high=None)
    board(document, "honest.db")
    board(changed)
    assert shape_bias("mine.db") == shape_bias("honest.db") == {"ideal-shape": 1.0, "ideal-texture": 0.0}
    said = bench("import", "leaderboard", "lab.json", "--db", "third.db")
    assert said.code == 3 and "96 trials of 2 observers imported and scored: 2 score sets" in said.out
    text = "differs: ideal-texture under cue-conflict: 1 scores are not what the trials give: shape_bias is 0.99"
    assert text in said.err


def test_an_observer_that_is_here_is_refused_unless_its_answers_are_those_here(document, board):
    board(document)
    before, report = contents("mine.db"), board(otherwise(document, "ideal-shape"))
    (identity,) = (row["identity"] for row in document["observers"] if row["name"] == "ideal-shape")
    text = f"'ideal-shape' ({identity[:12]}) is in this leaderboard already, with other answers than in the document"
    assert report.refused == [text] and contents("mine.db") == before
    # blocks that were not asked here yet are not filled by the other's answers
    some = copy.deepcopy(document)
    lost = next(row["key"] for row in some["observations"] if row["observer"] == "ideal-shape")
    for part, key in (("observations", "key"), ("chunks", "observation")):
        some[part] = [row for row in some[part] if row[key] != lost]
    for row in some["score_sets"]:
        row["observations"] = [key for key in row["observations"] if key != lost]
    board(some, "part.db")
    assert len(board(document, "part.db").refused) == 1
    with open_store("part.db", write=False) as store:
        assert lost not in {row.key for row in store.observations()}


@pytest.mark.release
@pytest.mark.parametrize("claim", ["name", "answers"])
def test_another_observer_under_ones_own_name_or_with_ones_own_keys_is_refused(document, board, claim):
    board(document)
    before, other = contents("mine.db"), copy.deepcopy(document)
    for row in other["observers"]:
        row["identity"] = row["identity"][::-1]
    if claim == "answers":
        for row in (*other["observers"], *other["scores"], *other["observations"]):
            field = "name" if "name" in row else "observer"
            row[field] = "x-" + row[field]
    report = board(other)
    wanted = {"name": "has the name of another observer", "answers": "claims answers of another observer"}
    assert len(report.refused) == 2 and all(wanted[claim] in line for line in report.refused)
    assert not report.trials and contents("mine.db") == before


def bomb(plain):
    """A small block that inflates to 16 megabytes of zeros."""
    plain["chunks"][0]["payload"] = b64encode(encode({"response": np.zeros((8, 2**18))})).decode()


HOSTILE = {
    "is not in base64": lambda plain: plain["chunks"][0].update(payload="no base64!"),
    "its checksum does not fit": lambda plain: plain["chunks"][0].update(payload="AAAA"),
    "inflates to more": bomb,
    "or has too many trials": lambda plain: plain["chunks"][0].update(n=200),
    "is of no observation": lambda plain: plain["chunks"][0].update(index=3),
    "a chunk occurs twice": lambda plain: plain["chunks"].append(plain["chunks"][0]),
    "has no trials": lambda plain: plain["chunks"].pop(),
    "no stimulus set with names": lambda plain: plain["stimuli"][0].update(ids=[], labels={}),
    "not one name and one label": lambda plain: plain["stimuli"][0]["ids"].pop(),
}


@pytest.mark.parametrize("message", HOSTILE)
def test_a_hostile_document_is_one_error_and_leaves_nothing(document, board, message):
    with open_store("mine.db"):
        pass
    changed = copy.deepcopy(document)
    HOSTILE[message](changed)
    with pytest.raises(ScoresError, match=message) as raised:
        board(changed)
    assert len(str(raised.value)) < 1000 and str(raised.value).isprintable()
    assert contents("mine.db")[1] == [] and not api.document(api.Selection("mine.db")).stimuli


def test_labels_that_were_planted_are_found_whoever_comes_first(document, board):
    changed = copy.deepcopy(document)
    stimuli = next(row for row in changed["stimuli"] if row["name"] == "world-edges")
    stimuli["labels"]["category"] = stimuli["labels"]["category"][::-1]
    board(document)
    with pytest.raises(ScoresError, match="with other names or labels: one is wrong"):
        board(changed)
    board(changed, "planted.db")
    with open_store("planted.db") as store, pytest.raises(StoreError, match="has other image names or labels"):
        store.put_stimuli(sample(generated_set("world-edges"), 8))


def test_the_published_schema_is_that_of_the_program():
    published = json.loads(SCHEMA.read_text())
    assert published == {"$schema": published["$schema"], **Document.model_json_schema()}


def test_a_document_has_every_score_and_fits_the_schema(document, folder):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert (document["form"], document["version"]) == ("gestaltbench-leaderboard", 2)
    db = str(folder / "lab.db")
    rows = open_store(db, write=False).latest_scores()
    assert len(document["scores"]) == len(rows) > 10
    assert Document.model_validate(document) == api.document(api.Selection(db))
    stored = {(r.observer, r.metric, r.condition, r.role): r for r in rows}
    for one in document["scores"]:
        row = stored[one["observer"], one["metric"], one["condition"], one["role"]]
        assert [one[name] for name in ("value", "low", "high", "n")] == [row.value, row.low, row.high, row.n]
        assert one["value"] is not None or one["reason"]


def test_the_ending_chooses_the_form(document, folder, bench, tmp_path):
    db = str(folder / "lab.db")
    forms = {"csv": "observer,kind,", "json": '{\n "form": "gestaltbench-leaderboard"', "tex": "\\begin{table}"}
    for name, begins in ((f"a.{end}", begins) for end, begins in {**forms, "md": "| observer |"}.items()):
        path = tmp_path / name
        assert bench("export", "--scores", "--db", db, "-o", path).code == 0
        assert path.read_text().startswith(begins)
    assert bench("export", "--db", db, "-o", tmp_path / "b.tex").code == 0
    assert (tmp_path / "b.tex").read_text().startswith("\\begin{table}")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(open_store(db, write=False).latest_scores())
