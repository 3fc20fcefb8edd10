"""`bench compare consistency` on a small leaderboard of imported trials."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from benchmark import api
from benchmark.cli.tables import consistency
from benchmark.leaderboard.consistency import observer_pairs
from benchmark.observer_trials import observer_trials
from benchmark.plugins import SuiteShelf
from suites.human_comparison import SUITE

CATEGORIES = ("airplane", "bear", "cat", "dog")


def table(path, observer, right, experiment="contrast", conditions=("c50", "c10")):
    path.mkdir(parents=True, exist_ok=True)
    with (path / f"{experiment}_{observer}_session_1.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename"])
        for i, good in enumerate(right):
            category = CATEGORIES[i % 4]
            answer = category if good else CATEGORIES[(i + 1) % 4]
            condition = conditions[i % len(conditions)]
            name = f"{i:04d}_cop_s01_{condition}_{category}_10_n0000000{i % 10}_{i}.png"
            out.writerow([observer, 1, i, 0.5, answer, category, condition, name])


@pytest.fixture
def board(tmp_path, monkeypatch):
    shelf = SuiteShelf({"human-comparison": SUITE}, {})
    monkeypatch.setattr("benchmark.plugins.find_suites", lambda *_, **__: shelf)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    for observer, p in (("subject-01", 0.8), ("subject-02", 0.7), ("subject-03", 0.5)):
        table(tmp_path / "contrast", observer, rng.random(40) < p)
    db = str(tmp_path / "results.db")
    api.import_trials(tmp_path / "contrast", db=db)
    return db


def run(board, *words):
    return CliRunner().invoke(
        consistency, [*words, "--db", board], env={"COLUMNS": "200"}, catch_exceptions=False, standalone_mode=False
    )


@pytest.mark.slow
def test_two_observers(board):
    out = run(board, "subject-03 (contrast)", "subject-01 (contrast)").output
    assert "a = subject-03 (contrast) and b = subject-01 (contrast)" in out
    assert all(text in out for text in ("c10", "c50", "mean over conditions", "kappa", "only", "["))
    with api.Selection(board).reading() as store:
        a, b = (observer_trials(store, SUITE, name) for name in ("subject-03 (contrast)", "subject-01 (contrast)"))
    rows = {pair.condition: pair.agreement for pair in observer_pairs({"contrast": {"a": a, "b": b}})}
    assert "all trials" not in out and rows["mean over conditions"].n == 40
    assert rows["mean over conditions"].kappa == pytest.approx((rows["c10"].kappa + rows["c50"].kappa) / 2)
    one = rows["c10"]
    assert one.n == rows["c50"].n == 20
    assert f"{one.kappa:.3f}" in out and f"[{one.low:.3f}, {one.high:.3f}]" in out


@pytest.mark.slow
def test_a_verdict_holds_accuracy_beside_agreement(board, tmp_path):
    """Kappa of always right and of always wrong is 0 with anybody; a copy that answers alike is no change."""
    right = np.random.default_rng(1).random(200) < 0.7
    answers = {
        "net-right": np.ones(200, bool), "net-wrong": np.zeros(200, bool), "net": right, "net-copy": right,
        **{f"subject-1{i}": np.random.default_rng(i).random(200) < 0.6 + i / 20 for i in range(5)},
    }  # fmt: skip
    for observer, row in answers.items():
        table(tmp_path / "again" / "contrast", observer, row)
    api.import_trials(tmp_path / "again" / "contrast", db=board)

    def said(base, new, **asked):
        return api.diff(api.Selection(board), base, f"{new} (contrast)", suite="human-comparison", **asked)

    lost = said("net-right (contrast)", "net-wrong", noninferior=0.05)
    verdicts = {change.metric.name: change.comparison.verdict for change in lost.changes}
    assert verdicts == {"error_consistency": "inconclusive", "ood_accuracy": "worse"} and lost.exit_code == 1
    copy = said("net (contrast)", "net-copy", noninferior=0.0001)
    assert (copy.verdict, copy.exit_code) == ("no answer changed", 0)
    near, far = (said("people", "net", equivalent=margin) for margin in (1.5, 0.0001))
    assert (near.verdict, near.exit_code) == ("equivalent", 0)
    assert (far.verdict, far.exit_code) == ("inconclusive", 3)
    assert len(near.changes) == 2 and near.base == "people"
