"""Recipes of imported networks: on their cards, from whom, and kept."""

import csv

import pytest

from benchmark import api
from benchmark.variables import read_settings

NAMES = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")


def write(folder, observer, experiment="noise-png", answer="cat"):
    folder.mkdir(exist_ok=True)
    with (folder / f"{experiment}-experiment_{observer}_session-1.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        for i in range(4):
            table.writerow([observer, 1, i + 1, "NaN", answer, "cat", "0.35", f"n{i:08d}_1.png"])


def recipes(db):
    with api.reading(read_settings(db)) as store:
        return {row.name: row.card.get("training") for row in store.observers()}


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    for name in ("mine", "sixteen21--salt-and-pepper-noise-multiple", "subject-01"):
        write(folder, name)
    return folder


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "results.db")


@pytest.mark.slow
def test_names_statements_and_a_file(tables, db):
    api.import_trials(tables, db=db)
    named = "sixteen21--salt-and-pepper-noise-multiple (tables)"
    known = recipes(db)
    assert known["mine (tables)"] is None
    assert known["subject-01 (tables)"] is None
    assert known[named] == ["noise(salt-and-pepper)"]

    (tables / "training.yaml").write_text("mine: standard\n")
    api.import_trials(tables, db=db)  # known trials: only the card is new
    assert recipes(db)["mine (tables)"] == ["standard"]

    api.import_trials(tables, training=["mine=noise(uniform)", f"{named}=contrast"], db=db)
    assert recipes(db)["mine (tables)"] == ["noise(uniform)"]
    assert recipes(db)[named] == ["contrast"]


@pytest.mark.slow
def test_a_recipe_stays_where_nothing_new_is_said(tables, db):
    api.import_trials(tables, training=["mine=noise(uniform)"], db=db)
    report = api.import_trials(tables, db=db)
    assert (report.trials, report.known) == (0, 3)
    assert recipes(db)["mine (tables)"] == ["noise(uniform)"]
    write(tables, "mine", "contrast-png", "dog")  # a second experiment of the same network
    api.import_trials(tables, db=db)
    assert recipes(db)["mine (tables)"] == ["noise(uniform)"]
