"""People with a part of an experiment's images: in no row, and never silently gone."""

import csv
from pathlib import Path

import pytest

from benchmark import api
from benchmark.cli.tables import print_boards

NAMES = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
IMAGES = ("cat1-dog1.png", "cat2-dog2.png", "cat3-bear1.png", "cat4-bear2.png")


def table(folder: Path, person: str, images: tuple[str, ...]) -> None:
    with (folder / f"cue-conflict_{person}_session-1.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(NAMES)
        out.writerows([person, 1, i, "0.5", ("cat", "dog")[i % 2], "cat", "0", image] for i, image in enumerate(images))


@pytest.mark.slow
def test_the_board_counts_and_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    folder = tmp_path / "lab"
    folder.mkdir()
    for person in ("subject-01", "subject-02", "subject-03"):
        table(folder, person, IMAGES)
    table(folder, "subject-04", IMAGES[:3])
    table(folder, "subject-05", ("cat9-dog9.png",))  # of other images: no part of these
    db = str(tmp_path / "r.db")
    api.import_trials(folder, db=db)
    (board,) = (one for one in api.rank("cue-conflict", db=db) if "4 images" in str(one.sets))
    people = [row.observer for row in board.references if row.kind == "human"]
    assert people == ["subject-01 (lab)", "subject-02 (lab)", "subject-03 (lab)"]
    said = "1 person with a part of the images is not compared: subject-04 (lab) (cue-conflict 3 of 4)"
    assert said in board.notes
    monkeypatch.setenv("COLUMNS", "200")
    print_boards("cue-conflict", db=db)
    assert said in capsys.readouterr().out
