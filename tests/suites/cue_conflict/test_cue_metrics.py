"""The metrics by hand, at their edges."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.stimuli.image_names import GEIRHOS16
from suites.cue_conflict import SUITE


def trials(rows, role="cue-conflict", missing=None):
    """Rows of (response, shape, texture)."""
    response, shape, texture = (np.array(column, dtype="U16") for column in zip(*rows, strict=True))
    names, n = np.array([f"{i}.png" for i in range(len(rows))]), len(rows)
    columns = {"role": np.full(n, role), "condition": np.full(n, ""), "stimulus": names, "category": shape}
    return Trials(columns={**columns, "shape": shape, "texture": texture, "response": response}, missing=missing or {})


def scored(table):
    """(metric, condition) -> score."""
    return {(score.metric, score.condition): score for score in SUITE.score(None, table)}


BY_HAND = [
    *[("cat", "cat", "dog")] * 3,  # shape
    *[("dog", "cat", "dog")] * 2,  # texture
    *[("bear", "cat", "dog")] * 4,  # neither
    ("na", "cat", "dog"),  # no answer: neither
    *[("dog", "dog", "car")] * 2,  # shape, of another category
    *[("car", "car", "car")] * 3,  # cues agree, right
    ("bus", "car", "car"),  # cues agree, wrong
]


def test_every_metric_by_hand():
    scores = scored(trials(BY_HAND))
    expected = {"shape_bias": 5 / 7, "shape_fraction": 5 / 12, "texture_fraction": 2 / 12, "neither_fraction": 5 / 12}
    expected["agree_accuracy"] = 3 / 4
    assert {name: scores[name, ""].value for name in expected} == pytest.approx(expected)
    assert scores["shape_bias", "cat"].value == pytest.approx(3 / 5)
    assert scores["shape_bias", "dog"].value == 1.0
    assert scores["shape_bias", "car"].value is None
    assert scores["shape_bias", ""].n == 7


def test_graded_shape_bias_by_hand():
    shown = trials([("cat", "cat", "dog"), ("dog", "cat", "dog"), ("cat", "cat", "cat"), ("car", "dog", "car")])
    answers = {at: i for i, at in enumerate(GEIRHOS16)}
    probability = np.full((4, 16), 0.01)
    probability[0, answers["cat"]], probability[0, answers["dog"]] = 0.6, 0.2
    probability[1, answers["cat"]], probability[1, answers["dog"]] = 0.1, 0.3
    probability[3, answers["dog"]] = probability[3, answers["car"]] = 0.0  # neither cue has any: it does not count
    graded = scored(Trials(columns={**shown.columns, "probability": probability}))["graded_shape_bias", ""]
    assert (graded.value, graded.n, graded.excluded) == (pytest.approx((0.75 + 0.25) / 2), 2, 2)
    assert graded.low < 0.5 < graded.high
    one_hot = np.eye(16)[[answers[name] for name in shown["response"].tolist()]]
    scores = scored(Trials(columns={**shown.columns, "probability": one_hot}))
    assert scores["graded_shape_bias", ""].value == scores["shape_bias", ""].value == pytest.approx(1 / 3)


@pytest.mark.parametrize("row", [("bear", "cat", "dog"), ("na", "cat", "dog"), ("cat", "cat", "cat")])
def test_no_cue_followed_is_no_value_with_a_reason(row):
    score = scored(trials([row] * 5))["shape_bias", ""]
    assert (score.value, score.low, score.high) == (None, None, None) and score.reason


def test_na_counts_in_every_fraction_but_not_in_the_bias():
    with_na = scored(trials([*BY_HAND, *[("na", "cat", "dog")] * 12]))
    assert with_na["shape_bias", ""].value == pytest.approx(5 / 7)
    assert with_na["shape_fraction", ""].value == pytest.approx(5 / 24)
    assert with_na["neither_fraction", ""].value == pytest.approx(17 / 24)


def test_who_never_answers_has_no_score_and_so_no_rank():
    for role in ("cue-conflict", "edges"):
        scores = SUITE.score(None, trials([("na", "cat", "dog")] * 9, role))
        assert {(score.value, score.reason, score.excluded) for score in scores} == {(None, "no answer but 'na'", 9)}


def test_intervals_are_about_other_shapes_and_textures():
    """Of 6 shapes x 4 textures, named as the published images are, two textures are always followed. Label columns of
    a set of one's own say the same; other names say nothing."""
    plain = trials([(answer, "cat", "dog") for answer in ("cat", "cat", "dog", "dog") * 6])
    names = np.array([f"cat{s + 1}-dog{t + 1}.png" for s, t in np.ndindex(6, 4)])
    scores = scored(Trials(columns={**plain.columns, "stimulus": names}))
    assert scores["shape_bias", ""].method == "wilson, clustered (6 shapes x 4 textures)"
    # Influence 1/48 or -1/48 each. Textures: 4 (6/48)^2 4/3, single images contained; shapes: 0. df: textures less 1.
    variance = 4 * (6 / 48) ** 2 * 4 / 3
    n, t = 0.25 / variance, 3.1824463
    half = t * np.sqrt(0.25 / n + t**2 / (4 * n**2)) / (1 + t**2 / n)
    score = scores["shape_bias", ""]
    assert (score.low, score.high) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)
    for name in ("shape_fraction", "texture_fraction", "neither_fraction"):
        assert "6 shapes x 4 textures" in scores[name, ""].method
    own = Trials(columns={**plain.columns, "texture_exemplar": np.tile(list("wxyz"), 6)})
    scores, before = scored(own)["shape_bias", ""], scored(plain)["shape_bias", ""]
    assert (scores.method, before.method) == ("wilson, clustered (4 textures)", "wilson")
    assert scores.high - scores.low > 1.5 * (before.high - before.low)


@pytest.mark.parametrize("role", ["edges", "silhouettes", "natural"])
def test_accuracies_count_na_as_wrong(role):
    rows = [("cat", "cat", "")] * 3 + [("na", "cat", ""), ("dog", "cat", "")]
    scores = scored(trials(rows, role))
    assert scores[f"{role}_accuracy", ""].value == pytest.approx(3 / 5)
    assert ("shape_bias", "") not in scores
