"""The published human trials through the import: the human row on the board, to four digits."""

import pytest

from benchmark import api

pytestmark = pytest.mark.slow

HUMAN_ROW = {
    "error_consistency": 0.4312,
    "observed_consistency": 0.8085,
    "accuracy_difference": 0.00657,
    "ood_accuracy": 0.7228,
}


def test_the_human_row_of_an_import(data, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    db = str(tmp_path / "results.db")
    report = api.import_trials(data / "human-trials", db=db)
    assert report.trials == 85120
    rows = [
        row
        for row in api.show("people (among themselves)", db=db)
        if row.suite == "human-comparison" and not row.role and row.n == 58880
    ]
    values = {row.metric: row.value for row in rows}
    for metric, expected in HUMAN_ROW.items():
        digits = 5 if expected < 0.01 else 4
        assert round(values[metric], digits) == pytest.approx(expected), metric
    assert any(
        row.observer == "people (among themselves)"
        for board in api.rank("human-comparison", db=db)
        for row in board.references
    )
