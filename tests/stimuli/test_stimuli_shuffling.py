"""Stimuli in random order: the same on every machine, unrelated to class, another set."""

from dataclasses import replace

import numpy as np

from benchmark.stimuli.shuffling import shuffled
from benchmark.testing import toy_stimuli


def test_the_same_stimuli_in_another_order():
    plain = toy_stimuli("natural", size=200)
    mixed = shuffled(plain)
    assert sorted(mixed.ids) == sorted(plain.ids) and mixed.ids != plain.ids
    assert mixed.digest != plain.digest
    assert mixed.name == "toy-natural (shuffled)" and mixed.whole == 200
    for i in (0, 57, 199):
        at = plain.ids.index(mixed.ids[i])
        assert mixed.items[i] == plain.items[at]
        assert mixed.labels["category"][i] == plain.labels["category"][at]
        assert np.array_equal(mixed.decode(i), plain.decode(at))


def test_the_order_follows_content_alone():
    plain = toy_stimuli("natural", size=60)
    backwards = list(range(59, -1, -1))
    turned = replace(
        plain,
        ids=tuple(plain.ids[i] for i in backwards),
        items=tuple(plain.items[i] for i in backwards),
        labels={name: column[backwards] for name, column in plain.labels.items()},
    )
    assert shuffled(turned).ids == shuffled(plain).ids == shuffled(plain).ids


def test_a_part_from_the_front_is_a_sample():
    """Sorted by class, the first tenth has few classes; shuffled it has nearly all, at their rates."""
    size = 1600
    classes = np.array([f"c{i // 100:02d}" for i in range(size)])
    plain = replace(toy_stimuli("natural", size=size), labels={"category": classes})
    front = shuffled(plain).labels["category"][:160]
    assert len(set(classes[:160])) == 2 and len(set(front)) == 16
    counts = np.unique(front, return_counts=True)[1]
    assert ((counts - 10) ** 2 / 10).sum() < 37.7  # chi-square, 15 degrees of freedom, p = 0.001


def test_equal_items_keep_the_order_of_their_names():
    plain = toy_stimuli("natural", size=6)
    same = replace(plain, items=("x",) * 6)
    assert shuffled(same).ids == tuple(sorted(plain.ids))
