"""Tables of `bench ask`: which trials count, what is said of them, and people on the board of the built-in world."""

import csv
import shutil

import pytest

from benchmark import api
from benchmark.engine.tasks import plan_tasks
from benchmark.failures import TrialsError
from benchmark.plugins import find_suites
from benchmark.stimuli.datasets import sample
from benchmark.stimuli.trial_tables import TableHints, read_tables
from benchmark.stimuli.world.sets import generated_set
from benchmark.variables import read_settings
from registry.cards import read_cards

SIXTEEN = 16


def rows(person, shown=SIXTEEN, experiment="edges", wrong=0, **columns):
    """A person's answers to the first images of a set of the world, the first `wrong` of them "dog" or "cat"."""
    stimuli, asked = sample(generated_set(f"world-{experiment}"), shown), []
    for i, (name, digest) in enumerate(zip(stimuli.ids, stimuli.items, strict=True)):
        category = str(stimuli.labels["category"][i])
        answer = ("cat" if category == "dog" else "dog") if i < wrong else category
        asked.append({
            "subj": person, "session": "1", "trial": str(i + 1), "rt": "0.5", "category": category, "condition": "",
            "object_response": answer, "imagename": name, "experiment": experiment, "set": f"world-{experiment}",
            "space": "world16", "digest": digest, "status": "ok", "mask": "1", **columns,
        })  # fmt: skip
    return asked


def table(path, *people):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(people[0][0]))
        out.writeheader()
        for person in people:
            out.writerows(person)
    return path


def test_late_trials_and_checks_do_not_count_and_are_counted(tmp_path):
    person = rows("subject-01")
    person[2]["status"] = person[5]["status"] = "late"
    again = {**person[2], "trial": "3b", "status": "ok", "object_response": "oven"}
    checks = [{**person[0], "trial": f"c{i}", "status": "check", "object_response": said, "category": "bear"}
              for i, said in enumerate(("bear", "na"))]  # fmt: skip
    place = table(tmp_path / "asked.csv", [*person, again, *checks])
    (file,) = read_tables(place).files
    assert len(file) == SIXTEEN - 1 and (file.experiment, file.space) == ("edges", "world16")
    assert file.columns["response"][file.columns["trial"] == "3b"] == ["oven"]
    assert file.remarks == (
        "2 of 17 trials had a late frame: left out",
        "1 of 16 images have no trial in time: no table that needs all of them has this person (`--keep-late` counts "
        "the late trials)",
        "1 of 2 attention checks failed",
    )
    (kept,) = read_tables(place, TableHints(keep_late=True)).files
    assert len(kept) == SIXTEEN and "3b" not in kept.columns["trial"].tolist()
    assert kept.remarks[0] == "2 of 17 trials had a late frame: kept"
    with pytest.raises(TrialsError, match="--keep-late"):
        read_tables(table(tmp_path / "asked.csv", rows("subject-01", status="late")))


@pytest.mark.slow
def test_presentation_times_are_kept_as_ways_of_asking(tmp_path):
    """The longest counts; of the others, scores are kept beside it. Practice does not count."""
    slow, fast = rows("subject-01", duration_ms="200"), rows("subject-01", wrong=16, duration_ms="50")
    practice = {**slow[0], "trial": "p1", "status": "practice", "imagename": "practice", "digest": ""}
    again = [{**row, "trial": str(int(row["trial"]) + SIXTEEN)} for row in fast]
    db, place = str(tmp_path / "results.db"), table(tmp_path / "lab" / "asked.csv", [practice, *slow, *again])
    assert api.import_trials(place.parent, db=db).trials == 2 * SIXTEEN
    with api.Selection(db).reading() as store:
        stored = {row.details["prompt"]: row.n for row in store.observations(suite="trials")}
    assert stored == {"200 ms": SIXTEEN, "50 ms": SIXTEEN}


@pytest.mark.parametrize(("change", "message"), [
    ({"status": "fine"}, "row 4: status is 'fine'; expected ok, late, check or practice"),
    ({"set": "world-sketches"}, "row 4: set is 'world-sketches'; expected 'world-edges'"),
    ({"digest": "0" * 64}, "is not an image of 'world-edges' as this version"),
    ({"imagename": "nobody-0001"}, "is not an image of 'world-edges'"),
    ({"duration_ms": "a while"}, "row 4: duration_ms is 'a while'; expected milliseconds"),
])  # fmt: skip
def test_a_faulty_table_is_refused_with_the_row(tmp_path, change, message):
    person = rows("subject-01", duration_ms="200")
    person[2] |= change
    with pytest.raises(TrialsError, match=message):
        api.import_trials(table(tmp_path / "asked.csv", person), db=str(tmp_path / "results.db"))


@pytest.mark.parametrize("name", ["cue-conflict", "human-comparison", "corruption", "adversarial", "saliency"])
def test_simulated_people_take_part_where_people_do_and_elsewhere_have_a_reason(name):
    (task,) = plan_tasks([read_cards(())["world-reader-0"]], [find_suites().suites[name]], read_settings(), 4)
    if name in ("cue-conflict", "human-comparison"):
        assert task.plan.blocks and task.space == "world16"
    else:
        assert not task.plan.blocks and "simulated person" in task.reason


def scores(db, suite, metric, condition=""):
    """Scores of the newest board by observer."""
    with api.Selection(db).reading() as store:
        found = store.latest_scores(suite=suite, metrics=[metric], conditions=[condition])
    return {row.observer: row for row in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A leaderboard of the world: a network and two readers on 16 images of each set."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        db = str(folder / "results.db")
        models = "world-standard-0,world-reader-0,world-reader-1"
        api.run(db=db, models=models, suites="cue-conflict,human-comparison", limit=SIXTEEN, batch=16)
    return db


@pytest.mark.slow
def test_a_person_alone_stands_beside_the_readers_and_moves_no_network(world, tmp_path):
    db = str(shutil.copy(world, tmp_path / "results.db"))
    before = scores(db, "human-comparison", "error_consistency")
    person = rows("subject-01", wrong=4)
    person[1]["status"] = "late"
    again = {**person[1], "trial": "2b", "status": "ok"}
    report = api.import_trials(table(tmp_path / "lab" / "a.csv", [*person, again]), source="lab", db=db)
    assert report.trials == SIXTEEN
    assert report.notes == ["subject-01 (lab): 1 of 17 trials had a late frame: left out"]
    after = scores(db, "human-comparison", "error_consistency")
    assert {name: row.value for name, row in before.items()}.items() <= {n: r.value for n, r in after.items()}.items()
    own = after["subject-01 (lab)"]
    assert own.space == "world16" and own.value is not None
    assert "1 of 17 trials had a late frame: left out" in own.flags
    assert any("simulated" in flag for flag in own.flags)
    accuracy = scores(db, "cue-conflict", "edges_accuracy")
    assert accuracy["subject-01 (lab)"].value == 12 / 16
    assert accuracy["subject-01 (lab)"].stimuli == accuracy["world-standard-0"].stimuli
    board = next(board for board in api.rank(api.Selection(db), "cue-conflict") if board.space == "world16")
    cell = next(row for row in board.references if row.observer.startswith("subject")).cells["edges_accuracy"]
    assert cell.value == 0.75 and cell.low < 0.75 < cell.high


@pytest.mark.slow
def test_two_people_take_the_readers_place_in_what_they_answered(world, tmp_path):
    db = str(shutil.copy(world, tmp_path / "results.db"))
    people = [rows("subject-01", wrong=4), rows("subject-02", wrong=6)]
    api.import_trials(table(tmp_path / "lab" / "a.csv", *people), source="lab", db=db)
    api.rescore(db=db)
    with api.Selection(db).reading() as store:
        rows_ = store.latest_scores(suite="human-comparison", conditions=["kept"])
    by = {(row.observer, row.role, row.metric): row for row in rows_}
    network = by["world-standard-0", "edges", "error_consistency"]
    assert not any("simulated" in flag for flag in network.flags) and network.value is not None
    assert any("simulated" in flag for flag in by["world-standard-0", "silhouettes", "error_consistency"].flags)
    ceiling = by["world-standard-0", "edges", "human_error_consistency"].value
    observed, expected = 14 / 16, (12 / 16) * (10 / 16) + (4 / 16) * (6 / 16)
    assert ceiling == pytest.approx((observed - expected) / (1 - expected))
    group = by["people (among themselves)", "edges", "error_consistency"]
    assert group.value == pytest.approx(ceiling) and group.space == "world16"
    pooled = scores(db, "cue-conflict", "edges_accuracy")["people (pooled)"]
    assert pooled.value == pytest.approx(22 / 32) and pooled.low is not None
    tests = api.compare(api.Selection(db), "world-standard-0", "people", suite="human-comparison")
    assert tests.headlines
