"""Scores by hand, at their edges, and against slow loops."""

from dataclasses import replace

import numpy as np
import pytest
from corruption_tables import by_name, table
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.contracts import Coded
from benchmark.contracts.trials import Columns
from suites.corruption import SUITE
from suites.corruption.cells import cells_of
from suites.corruption.config import CorruptionConfig
from suites.corruption.metrics import alexnet, mean_ce
from suites.corruption.score import over_reference


def scored(cells, **more):
    return by_name(SUITE.score(SUITE.config, table(cells, **more)))


HAND = {
    "clean": [1, 1, 1, 0], "fog/1": [1, 1, 0, 0], "fog/2": [1, 0, 0, 0], "gaussian_noise/1": [0, 0, 1, 0],
    "gaussian_noise/2": [0, 0, 0, 0],
}  # fmt: skip


def test_every_mean_by_hand():
    five = {name: [1, 1, 1, 1] if name == "fog/1" else row for name, row in HAND.items()}
    found = scored(HAND, top5=five)
    expected = {
        "clean_accuracy": 3 / 4, "corruption_accuracy": (2 + 1 + 1 + 0) / 16, "relative_robustness": (4 / 16) / (3 / 4),
        "mean_error": 75.0, "noise_accuracy": 1 / 8, "weather_accuracy": 3 / 8, "unseen_accuracy": 4 / 16,
        "top5_accuracy": (4 + 1 + 1 + 0) / 16, "clean_top5_accuracy": 3 / 4, "flip_consistency": (3 / 4 + 3 / 4) / 2,
    }  # fmt: skip
    assert {name: found[name, ""].value for name in expected} == pytest.approx(expected)
    assert found["corruption_accuracy", "fog"].value == 3 / 8
    assert found["corruption_accuracy", "fog/1"].value == 1 / 2
    assert found["top5_accuracy", "fog/1"].value == 1.0
    assert ("blur_accuracy", "") not in found
    assert found["corruption_accuracy", ""].n == 16 and found["flip_consistency", ""].n == 8
    assert {score.role for score in found.values()} == {"natural"}


def test_corruptions_of_other_packages_have_no_mean():
    """It would change with what is installed; each corruption has its own."""
    found = by_name(SUITE.score(CorruptionConfig(source="plugins", corruptions=("all",)), table(HAND)))
    assert found["corruption_accuracy", ""].value is None and "installed" in found["corruption_accuracy", ""].reason
    assert [n for n, condition in found if not condition and n[:6] != "clean_"] == ["corruption_accuracy"]
    assert found["corruption_accuracy", "fog"].value == 3 / 8 and found["clean_accuracy", ""].value == 3 / 4


def test_no_trials_and_no_clean_images():
    scores = SUITE.score(SUITE.config, table(HAND).where(np.zeros(20, dtype=bool)))
    assert {score.metric for score in scores} == {metric.name for metric in SUITE.metrics}
    assert {(score.value, score.reason) for score in scores} == {(None, "no trials")}
    found = scored({name: row for name, row in HAND.items() if name != "clean"})
    for name in ("clean_accuracy", "clean_top5_accuracy", "relative_robustness"):
        assert found[name, ""].value is None and "not shown" in found[name, ""].reason


def test_seen_cells_are_flagged_and_left_out_of_unseen_and_training_images_are_flagged_everywhere():
    found = scored(HAND, training=("noise(gaussian)",))
    assert found["corruption_accuracy", "gaussian_noise/1"].flags == ("seen in training",)
    assert found["corruption_accuracy", "fog/1"].flags == ()
    assert found["corruption_accuracy", ""].flags[-1] == "includes 2 seen cells"
    assert "seen" not in str(found["weather_accuracy", ""].flags)
    assert found["unseen_accuracy", ""].value == 3 / 8
    assert found["unseen_accuracy", ""].flags[-1] == "without 2 seen cells"
    everything = scored(HAND, training=("corruption(common)",))["unseen_accuracy", ""]
    assert everything.value is None and everything.reason == "every cell was seen in training"
    found = scored(HAND, missing={"natural (held out)": "training images shown instead: ..."})
    assert all("training images" in one.flags for one in found.values() if one.value is not None)


def test_sixteen_way_accuracy_is_of_images_with_a_category():
    sixteen = {"clean": [1, 0, -1, -1], "fog/1": [1, 1, -1, -1], "fog/2": [0, 0, -1, -1]}
    rows = {name: [1, 1, 0, 0] for name in sixteen}
    found = scored(rows, right16=sixteen)
    assert found["clean_accuracy16", ""].value == 1 / 2 and found["clean_accuracy16", ""].n == 2
    assert found["accuracy16", ""].value == 1 / 2 and found["accuracy16", ""].n == 4
    none = scored(rows, right16={name: [-1] * 4 for name in rows})
    assert not any("16" in metric for metric, _ in none)


def correlated(rng, images, conditions):
    """Some images are easy everywhere: cells are far from independent."""
    ease = rng.random(images)
    return {c: (rng.random(images) < ease).astype(int) for c in conditions}


@pytest.mark.slow
def test_intervals_resample_images_as_a_plain_loop_does():
    rng = np.random.default_rng(1)
    cells = correlated(rng, 80, ("clean", "fog/1", "fog/2", "snow/1", "gaussian_noise/1"))
    found = scored(cells)
    matrix = np.array(list(cells.values()))
    corrupted = cells_of(list(cells)[1:])
    theirs = np.array([[alexnet()[1][cell.condition] for cell in corrupted]])
    order = [list(cells).index(cell.condition) for cell in corrupted]
    means, left, errors = [], [], []
    for _ in range(4000):
        drawn = matrix[:, rng.integers(0, 80, 80)].mean(axis=1)
        means.append(drawn[1:].mean())
        left.append(drawn[1:].mean() / drawn[0])
        errors.append(mean_ce(1 - drawn[None, order], theirs, corrupted)[0])
    expected = (("corruption_accuracy", means, 1), ("relative_robustness", left, 1), ("mce_partial", errors, 100))
    for name, draws, scale in expected:
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (found[name, ""].low, found[name, ""].high) == pytest.approx((low, high), abs=0.02 * scale)


# --- the ratios of paired tests are the scores -----------------------------------------------------------------------

SHOWN = ("clean", "fog/1", "fog/2", "fog/3", "snow/1", "gaussian_noise/2", "rotation/90")
ANSWER = st.sampled_from((-1, 0, 1))
SWEEPS = st.integers(2, 7).flatmap(
    lambda n: st.fixed_dictionaries(dict.fromkeys(SHOWN, st.lists(ANSWER, min_size=n, max_size=n)))
)


@pytest.mark.slow
@given(SWEEPS)
@example({"clean": [-1, 1]})
def test_ratios_are_the_scores_of_any_sweep(rows):
    rows = {name: row for name, row in rows.items() if max(row) >= 0}
    if not rows:
        return
    sixteen = {name: [max(0, value) for value in row] for name, row in rows.items()}
    trials = table(rows, training=("noise(gaussian)",), right16=sixteen)
    scores = by_name(SUITE.score(SUITE.config, trials))
    for metric in SUITE.metrics:
        found = scores.get((metric.name, ""))
        if metric.ratio is None or metric.name in ("mce", "relative_mce"):
            continue
        num, den = (np.asarray(part, dtype=float) for part in metric.ratio(trials))
        if found is None or found.value is None:
            assert den.sum() == 0, metric.name
        else:
            assert num.sum() / den.sum() == pytest.approx(found.value), metric.name


def test_scores_of_codes_are_those_of_text():
    cells = {"clean": [1, 0], "fog/2": [-1, 1], "fog/1": [1, -1], "fog/3": [1, 1]}
    plain = table(cells, names=["b", "a"])
    texts = {name: plain.coded(name) for name, values in plain.columns.items() if values.dtype.kind == "U"}
    spare = {name: Coded(np.append(one.words, "spare"), one.codes) for name, one in texts.items()}
    packed = replace(plain, columns=Columns({**plain.columns, **spare}))
    assert SUITE.score(SUITE.config, packed) == SUITE.score(SUITE.config, plain)


@pytest.mark.parametrize("without", ["mine", "theirs", "both", "neither"])
def test_relative_errors_need_clean_images_of_both(without):
    rng = np.random.default_rng(11)
    rows = correlated(rng, 6, ("clean", "fog/1", "fog/2"))
    bare = {name: row for name, row in rows.items() if name != "clean"}
    mine, theirs = (table(bare if without in (who, "both") else rows) for who in ("mine", "theirs"))
    found = by_name(over_reference(SUITE.config, mine, {"alexnet": theirs}))
    assert found["mce_measured", ""].value is not None or found["mce_measured", ""].reason
    relative = found["relative_mce_measured", ""]
    assert (relative.reason == "the images as they are were not shown") == (without != "neither")
