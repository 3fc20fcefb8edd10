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
        assert (report.exit_code, report.decoded) == (0, 0)
        names = [card.name for card in api.models("ideal-*")]
        return {
            (row.observer, row.metric): row
            for name in names
            for row in api.show(name, db=db)
            if row.condition == "" and row.space == "world16"
        }


def test_the_shape_reader_is_all_shape(scores):
    score = scores["ideal-shape", "shape_bias"]
    assert (score.value, score.high) == (1.0, 1.0)
    assert (
        scores["ideal-shape", "texture_fraction"].value == 0.0 and scores["ideal-shape", "graded_shape_bias"].value == 1
    )
    for metric in ("natural_accuracy", "edges_accuracy", "silhouettes_accuracy"):
        assert scores["ideal-shape", metric].value == 1.0


def test_the_texture_reader_is_all_texture(scores):
    assert scores["ideal-texture", "shape_bias"].value == scores["ideal-texture", "graded_shape_bias"].value == 0.0
    assert scores["ideal-texture", "texture_fraction"].value == 1.0
    assert scores["ideal-texture", "natural_accuracy"].value == 1.0


def test_the_guesser_is_within_its_intervals(scores):
    chances = {
        "shape_bias": 1 / 2, "shape_fraction": 1 / 16, "texture_fraction": 1 / 16,
        "neither_fraction": 14 / 16, "natural_accuracy": 1 / 16, "edges_accuracy": 1 / 16,
    }  # fmt: skip
    for metric, chance in chances.items():
        score = scores["ideal-guesser", metric]
        assert score.low <= chance <= score.high, metric


def test_the_constant_responder_is_right_once_in_sixteen(scores):
    assert scores["ideal-constant", "edges_accuracy"].value == pytest.approx(1 / 16)
    assert scores["ideal-constant", "shape_fraction"].value == pytest.approx(1 / 16)
    score = scores["ideal-constant", "shape_bias"]
    assert score.low <= 0.5 <= score.high


def test_the_noisy_reader_follows_its_probability(scores):
    """Shape with p, each of 15 others with (1 - p) / 15: the texture is one of them."""
    p = 0.75
    expected = {
        "shape_fraction": p,
        "texture_fraction": (1 - p) / 15,
        "shape_bias": p / (p + (1 - p) / 15),
        "natural_accuracy": p,
    }
    for metric, value in expected.items():
        score = scores["ideal-noisy", metric]
        assert score.low <= value <= score.high, metric
