"""`--limit N`: the front of one random order that shows all categories, textures and conditions in proportion."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.stimuli.datasets import sample, shuffled, subset
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.items import sample_order
from benchmark.testing import toy_stimuli


def spreads(column, levels):
    """Largest less smallest count of a level in each front part of a column [n]."""
    counts = np.cumsum(column[:, None] == np.array(levels), axis=0)
    return np.ptp(counts, axis=1)


def designed(*sizes, each=10):
    """Names and columns of a crossed design, sorted as folders are."""
    cells = np.indices((*sizes, each)).reshape(len(sizes) + 1, -1)[:-1]
    names = ("category", "condition", "texture")
    labels = {name: column.astype(str) for name, column in zip(names, cells, strict=False)}
    return [f"{i:05d}.png" for i in range(cells.shape[1])], labels


@pytest.mark.parametrize("name", ["cue-conflict", "natural", "cue-conflict-alpha0", "edges"])
def test_every_number_of_images_is_balanced_to_within_one(name):
    labels = shuffled(generated_set(f"world-{name}")).labels
    for column in {"category", "texture"} & set(labels):
        assert spreads(labels[column], np.unique(labels[column])).max() == 1


def test_n_images_are_contained_in_more_and_in_what_a_protocol_shows_of_them():
    whole = generated_set("world-natural")
    before = set()
    for limit in (1, 15, 16, 100, 300, 479):
        part = sample(whole, limit)
        assert before < set(part.ids) and len(part) == limit and part.whole == 480
        assert set(subset(part, 64).ids) == set(part.ids[:64])
        before = set(part.ids)
    assert sample(whole, 480) is whole


def test_levels_of_unequal_size_are_shown_in_proportion():
    """Few images of 900 and 100 must not become half and half: a mean over them would be of another set."""
    labels = {"category": np.array(["a"] * 900 + ["b"] * 100)}
    order = sample_order([f"{i}.png" for i in range(1000)], labels, 1000)
    rare = np.cumsum(np.array(order) >= 900)
    assert np.abs(rare - np.arange(1, 1001) / 10).max() <= 1


def test_the_order_follows_names_not_places():
    ids, labels = designed(5, 4)
    back = {name: column[::-1] for name, column in labels.items()}
    turned = sample_order(ids[::-1], back, 30)
    assert [ids[::-1][i] for i in turned] == [ids[i] for i in sample_order(ids, labels, 30)]
    assert len(set(sample_order([f"x{i}" for i in range(9)], {}, 4))) == 4


def test_shuffled_stimuli_come_in_the_order_that_a_limit_cuts():
    plain = toy_stimuli("natural", size=200)
    mixed = shuffled(plain)
    assert sorted(mixed.ids) == sorted(plain.ids) and mixed.ids[:50] == sample(plain, 50).ids
    assert mixed.digest != plain.digest
    assert mixed.name == "toy-natural (shuffled)" and mixed.whole == 200
    for i in (0, 57, 199):
        at = plain.ids.index(mixed.ids[i])
        assert mixed.items[i] == plain.items[at]
        assert mixed.labels["category"][i] == plain.labels["category"][at]
        assert np.array_equal(mixed.decode(i), plain.decode(at))
    part = sample(plain, 50)
    assert shuffled(part).ids == part.ids
    nothing = replace(plain, ids=(), items=(), labels={"category": np.zeros(0, dtype=str)})
    assert not len(shuffled(nothing)) and sample(nothing, 3) is nothing
