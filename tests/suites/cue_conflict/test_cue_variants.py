"""Frequency conflict and configural shape: sets, scores by hand, and observers that are known to read one cue."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.errors import MissingStimuli
from benchmark.stimuli.datasets import _pick
from benchmark.testing.toys import ToyShelf, toy_stimuli
from suites.cue_conflict import SUITE
from suites.cue_conflict.configural import CONFIGURAL
from suites.cue_conflict.frequency import FREQUENCY, hybrids

FREQUENCIES, SHAPES = FREQUENCY.score, CONFIGURAL.score


def by_name(scores):
    return {(part.metric, part.condition): part for part in scores}


def test_every_image_is_low_once_and_meets_another_category():
    source = toy_stimuli("natural")
    mixed = hybrids(source, 8)
    assert mixed.labels["category"].tolist() == mixed.labels["shape"].tolist() == source.labels["category"].tolist()
    assert (mixed.labels["shape"] != mixed.labels["texture"]).all()
    assert len(set(mixed.ids)) == len(set(mixed.items)) == len(source) and mixed.whole == source.whole
    assert hybrids(source, 8).digest == mixed.digest != hybrids(source, 16).digest
    turned = hybrids(_pick(source, range(len(source) - 1, -1, -1)), 8)
    assert dict(zip(turned.ids, turned.items, strict=True)) == dict(zip(mixed.ids, mixed.items, strict=True))
    assert mixed.decode(3).shape == source.decode(3).shape
    with pytest.raises(MissingStimuli, match="one category"):
        hybrids(_pick(source, (0, 16)), 8)


def test_photographs_of_other_sizes_are_cropped():
    source = toy_stimuli("natural", size=4)
    wide = type(source)(**{**vars(source), "decode": lambda i: np.full((300 + i, 400, 3), 9 * i, np.uint8)})
    assert hybrids(wide, 8).decode(1).shape == (224, 224, 3)


def test_frequency_bias_by_hand():
    cuts = np.repeat(["cut/4", "cut/16"], 4)
    columns = {
        "role": np.full(8, "frequency-conflict"),
        "condition": cuts,
        "stimulus": np.tile([f"i{i}" for i in range(4)], 2),
        "category": np.full(8, "cat"),
        "shape": np.full(8, "cat"),
        "texture": np.full(8, "dog"),
        "response": np.array(["cat", "dog", "dog", "car", "cat", "cat", "cat", "dog"]),
    }
    scores = by_name(FREQUENCIES(None, Trials(columns)))
    assert scores["low_frequency_bias", ""].value == pytest.approx(4 / 7)
    assert scores["low_frequency_bias", "cut/4"].value == pytest.approx(1 / 3)
    assert scores["low_frequency_bias", "cut/16"].value == 0.75
    assert (scores["low_fraction", ""].value, scores["high_fraction", ""].value) == (0.5, 3 / 8)
    assert list(scores).index(("low_frequency_bias", "cut/4")) < list(scores).index(("low_frequency_bias", "cut/16"))
    assert all(part.value is None for part in FREQUENCIES(None, Trials({})))


def test_configural_sensitivity_by_hand():
    right = {"whole": [1, 1, 1, 1, 0], "frankenstein": [1, 0, 0, 0, 1], "fragmented": [1, 1, 1, 0, 0]}
    names, answers = zip(*((name, hit) for name, hits in right.items() for hit in hits), strict=True)
    columns = {
        "role": np.full(15, "silhouettes"),
        "condition": np.array(names),
        "stimulus": np.tile([f"i{i}" for i in range(5)], 3),
        "category": np.full(15, "cat"),
        "response": np.where(answers, "cat", "dog"),
    }
    scores = by_name(SHAPES(None, Trials(columns)))
    assert scores["configural_sensitivity", ""].value == pytest.approx(4 / 5 - 2 / 5)
    assert scores["fragmentation_cost", ""].value == pytest.approx(1 / 5)
    assert scores["inversion_cost", ""].value is None and scores["inversion_cost", ""].reason
    assert scores["silhouette_accuracy", "frankenstein"].value == 0.4
    assert scores["configural_sensitivity", ""].method == "t (by stimulus)"
    assert all(part.value is None for part in SHAPES(None, Trials({})))


def test_variants_and_their_plans():
    assert SUITE.variants["frequency"] is FREQUENCY and SUITE.variants["configural"] is CONFIGURAL
    cuts = {
        space: [b.condition for b in FREQUENCY.plan(None, ToyShelf(space)).blocks]
        for space in ("imagenet1k", "world16")
    }
    assert cuts == {
        "imagenet1k": ["cut/4", "cut/8", "cut/16", "cut/32"],
        "world16": ["cut/2", "cut/4", "cut/8", "cut/16"],
    }
    shapes = CONFIGURAL.plan(None, ToyShelf("geirhos16")).blocks
    assert [block.condition for block in shapes] == ["whole", "fragmented", "frankenstein", "inverted"]
