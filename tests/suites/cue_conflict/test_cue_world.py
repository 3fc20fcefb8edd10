"""Ideal observers through the whole program, on the built-in world: scores known in closed form."""

import pytest

from benchmark import api

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """(observer, metric) -> score over all conflict images of the world."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("board")
        patch.setenv("BENCH_HOME", str(folder))
        db = str(folder / "results.db")
        report = api.run(db=db, models="ideal-*", suites="cue-conflict")
        assert report.exit_code == 0 and not (folder / "decoded").exists()
        rows = [row for card in api.models("ideal-*") for row in api.show(api.Selection(db), card.name)]
        return {(row.observer, row.metric): row for row in rows if row.condition == "" and row.space == "world16"}


P = 0.75  # the noisy reader: shape with P, each of 15 others, the texture among them, with (1 - P) / 15
EXACT = {
    "ideal-shape": {"shape_bias": 1, "graded_shape_bias": 1, "texture_fraction": 0, "natural_accuracy": 1,
                    "edges_accuracy": 1, "silhouettes_accuracy": 1},
    "ideal-texture": {"shape_bias": 0, "graded_shape_bias": 0, "texture_fraction": 1, "natural_accuracy": 1},
    "ideal-constant": {"edges_accuracy": 1 / 16, "shape_fraction": 1 / 16},
}  # fmt: skip
WITHIN = {
    "ideal-guesser": {"shape_bias": 1 / 2, "shape_fraction": 1 / 16, "texture_fraction": 1 / 16,
                      "neither_fraction": 14 / 16, "natural_accuracy": 1 / 16, "edges_accuracy": 1 / 16},
    "ideal-constant": {"shape_bias": 0.5},
    "ideal-noisy": {"shape_fraction": P, "texture_fraction": (1 - P) / 15, "shape_bias": P / (P + (1 - P) / 15),
                    "natural_accuracy": P},
}  # fmt: skip


def test_ideal_observers_have_the_scores_of_their_definition(scores):
    for name, expected in EXACT.items():
        assert {metric: scores[name, metric].value for metric in expected} == pytest.approx(expected), name
    assert scores["ideal-shape", "shape_bias"].high == 1
    for name, expected in WITHIN.items():
        for metric, value in expected.items():
            assert scores[name, metric].low <= value <= scores[name, metric].high, (name, metric)
