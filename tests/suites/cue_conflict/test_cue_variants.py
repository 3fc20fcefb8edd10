"""Reciprocal ranks of shape and texture among all classes, frequency conflict and configural shape: by hand, and on the
world's observers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark import api
from benchmark.contracts import Block, Trials
from benchmark.failures import MissingStimuli, StimuliError
from benchmark.stimuli.datasets import _pick
from benchmark.store import open_store
from benchmark.testing import ToyShelf, check_suite, toy_stimuli
from registry.labels import built_in_space
from suites.cue_conflict import SUITE
from suites.cue_conflict.configural import CONFIGURAL
from suites.cue_conflict.frequency import FREQUENCY, hybrids
from suites.cue_conflict.ranks import RANKS, REFINED, observe, reciprocal_ranks


class View:
    """Logits of a network with ImageNet's classes."""

    def __init__(self, logits, role, **labels):
        self.logits = torch.from_numpy(np.asarray(logits, dtype=np.float32))
        self.block = Block(stimuli=ToyShelf("imagenet1k").find("natural"), role=role)
        self.labels = {name: np.array(values) for name, values in labels.items()}
        self.categories = built_in_space("imagenet1k").classes
        self.outputs = tuple((at,) for at in range(1000))
        self.responses = np.array([self.categories[i] for i in self.logits.argmax(1).tolist()])


def test_keeps_the_contract():
    assert [check for check in check_suite(RANKS) if not check.ok] == []
    assert SUITE.variants["ranks"] is RANKS


def test_ranks_are_those_of_a_sorted_list():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 40))
    members = [rng.choice(40, size, replace=False) for size in (1, 2, 5, 1, 3, 40)]
    for found, values, own in zip(reciprocal_ranks(logits, members), logits, members, strict=True):
        order = np.argsort(-values).tolist()
        assert found == pytest.approx(1 / (1 + min(order.index(i) for i in own)))
    # equal ones share the mean of their places, and nothing has no rank
    found = reciprocal_ranks(np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [3, 2, 1, 0]]), [[2], [1], []])
    assert found[:2] == pytest.approx([1 / 3, 1 / 1.5]) and np.isnan(found[2])


def test_folders_of_one_cue_are_ranked_among_imagenets_classes():
    classes, place = REFINED, {wnid: at for at, wnid in enumerate(built_in_space("imagenet1k").classes)}
    assert [len(classes[cue]) for cue in ("shape", "texture")] == [10, 10]
    assert all(wnid in place for own in classes.values() for wnids in own.values() for wnid in wnids)
    logits = np.tile(-np.arange(1000.0), (3, 1))
    logits[0, place["n03196217"]] = 1e6  # a digital clock is a clock
    found = observe(None, View(logits, "refined-shape", named=["clock", "balloon", "clock"]))
    expected = [1, 1 / (1 + place["n02782093"]), 1 / (1 + place["n02708093"])]
    assert found["shape_reciprocal_rank"] == pytest.approx(expected)
    assert np.isnan(found["texture_reciprocal_rank"]).all()


def shelf_of(**names):
    shelf = ToyShelf("imagenet1k")
    for cue, own in names.items():
        shown = shelf.find(f"refined-{cue}")
        labels = {"category": np.resize(own, len(shown))}
        shelf.asked[f"refined-{cue}"] = replace(shown, labels=labels)
    return shelf


def test_folders_are_labelled_in_imagenets_classes():
    plan = RANKS.plan(None, shelf_of(shape=["clock", "book"], texture=["zebra"]))
    shape, texture = (block.stimuli for block in plan.blocks)
    assert shape.labels["category"][:2].tolist() == ["n02708093", "n06596364"] and shape.space == "imagenet1k"
    assert texture.labels["named"][0] == "zebra" and {block.presentation for block in plan.blocks} == {"crop224"}
    with pytest.raises(StimuliError, match=r"class 'tiger'\. Expected folders called balloon, book"):
        RANKS.plan(None, shelf_of(shape=["tiger"], texture=["zebra"]))


def trials(shape_ranks, texture_ranks, role="cue-conflict", **more):
    n, ranks = len(shape_ranks), zip(("shape", "texture"), (shape_ranks, texture_ranks), strict=True)
    columns = {"role": np.full(n, role), "condition": np.full(n, ""), "response": np.full(n, "cat")}
    columns |= {f"{cue}_reciprocal_rank": np.array(own, dtype=float) for cue, own in ranks}
    return {**columns, "stimulus": np.array([f"{role}{i}" for i in range(n)]), **more}


def scored(columns, missing=None):
    return {score.metric: score for score in RANKS.score(None, Trials(columns=columns, missing=missing or {}))}


def test_scores_by_hand():
    cues = {"shape": np.array(["cat", "cat", "dog"]), "texture": np.array(["dog", "car", "dog"])}
    found = scored(trials([1, 0.5, 1], [0.25, 0.1, 1], **cues))  # the third has no conflict
    assert found["shape_mrr"].value == pytest.approx(0.75) and found["texture_mrr"].value == pytest.approx(0.175)
    assert found["relative_shape_mrr"].value == pytest.approx(0.75 / 0.925)
    assert found["shape_mrr"].n == 2


def test_folders_of_other_sizes_count_alike():
    nan = np.nan
    parts = [trials([1, 0.5, 0.5, 0.4], [nan] * 4, "refined-shape"), trials([nan] * 2, [0.1, 0.3], "refined-texture")]
    found = scored({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    assert found["relative_shape_mrr"].value == pytest.approx(0.6 / 0.8)
    alone = scored(parts[0], {"refined-texture": "not on this disk"})
    assert alone["shape_mrr"].value == pytest.approx(0.6)
    assert alone["texture_mrr"].value is None and alone["texture_mrr"].reason == "not on this disk"
    assert alone["relative_shape_mrr"].value is None


@pytest.mark.slow
def test_the_worlds_observers_lean_as_they_are_known_to(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    db = str(tmp_path / "results.db")
    names = ["ideal-shape", "ideal-texture", "world-standard-0", "world-stylised-0"]
    api.run(db=db, models=names, suites="cue-conflict:ranks", limit=64)
    rows = [row for row in open_store(db, write=False).latest_scores() if not row.condition]
    found = {(row.observer, row.metric): row.value for row in rows}
    assert found["ideal-shape", "shape_mrr"] == found["ideal-texture", "texture_mrr"] == 1
    assert found["ideal-shape", "texture_mrr"] == pytest.approx(1 / 9)  # fifteen share the places 2 to 16
    leaning = {name: found[name, "relative_shape_mrr"] for name in names}
    assert leaning["ideal-shape"] == pytest.approx(0.9) and leaning["ideal-texture"] == pytest.approx(0.1)
    assert leaning["world-stylised-0"] > 0.7 and leaning["world-standard-0"] < 0.5


def by_name(suite, columns):
    assert all(part.value is None for part in suite.score(None, Trials(columns={})))
    return {(part.metric, part.condition): part for part in suite.score(None, Trials(columns=columns))}


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
    wide = replace(source, decode=lambda i: np.full((300 + i, 400, 3), 9, np.uint8))
    assert hybrids(wide, 8).decode(1).shape == (224, 224, 3)  # photographs of other sizes are cropped


def test_frequency_bias_by_hand():
    cuts = np.repeat(["cut/4", "cut/16"], 4)
    columns = {
        "role": np.full(8, "frequency-conflict"), "condition": cuts,
        "stimulus": np.tile([f"i{i}" for i in range(4)], 2), "category": np.full(8, "cat"), "shape": np.full(8, "cat"),
        "texture": np.full(8, "dog"), "response": np.array(["cat", "dog", "dog", "car", "cat", "cat", "cat", "dog"]),
    }  # fmt: skip
    scores = by_name(FREQUENCY, columns)
    assert scores["low_frequency_bias", ""].value == pytest.approx(4 / 7)
    assert scores["low_frequency_bias", "cut/4"].value == pytest.approx(1 / 3)
    assert scores["low_frequency_bias", "cut/16"].value == 0.75
    assert (scores["low_fraction", ""].value, scores["high_fraction", ""].value) == (0.5, 3 / 8)
    assert list(scores).index(("low_frequency_bias", "cut/4")) < list(scores).index(("low_frequency_bias", "cut/16"))


def test_configural_sensitivity_by_hand():
    right = {"whole": [1, 1, 1, 1, 0], "frankenstein": [1, 0, 0, 0, 1], "fragmented": [1, 1, 1, 0, 0]}
    names, answers = zip(*((name, hit) for name, hits in right.items() for hit in hits), strict=True)
    scores = by_name(CONFIGURAL, {
        "role": np.full(15, "silhouettes"), "condition": np.array(names), "category": np.full(15, "cat"),
        "stimulus": np.tile([f"i{i}" for i in range(5)], 3), "response": np.where(answers, "cat", "dog"),
    })  # fmt: skip
    assert scores["configural_sensitivity", ""].value == pytest.approx(4 / 5 - 2 / 5)
    assert scores["fragmentation_cost", ""].value == pytest.approx(1 / 5)
    assert scores["inversion_cost", ""].value is None and scores["inversion_cost", ""].reason
    assert scores["silhouette_accuracy", "frankenstein"].value == 0.4
    assert scores["configural_sensitivity", ""].method == "t (by stimulus)"


def test_variants_and_their_plans():
    assert SUITE.variants["frequency"] is FREQUENCY and SUITE.variants["configural"] is CONFIGURAL
    cuts = {"imagenet1k": ["cut/4", "cut/8", "cut/16", "cut/32"], "world16": ["cut/2", "cut/4", "cut/8", "cut/16"]}
    for space, expected in cuts.items():
        assert [block.condition for block in FREQUENCY.plan(None, ToyShelf(space)).blocks] == expected
    shapes = CONFIGURAL.plan(None, ToyShelf("geirhos16")).blocks
    assert [block.condition for block in shapes] == ["whole", "fragmented", "frankenstein", "inverted"]
