"""Ideal observers: known scores, and chance that hangs on the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.cards import ModelCard
from registry.errors import CardError, LabelError, UnknownName
from registry.labels import geirhos_groups
from registry.simulated import IdealObserver, splitmix64

CATEGORIES = tuple(geirhos_groups())
SEEDS = np.arange(20_000, dtype=np.uint64)
rng = np.random.default_rng(0)
SHAPES = np.asarray(rng.choice(CATEGORIES, len(SEEDS)))
TEXTURES = np.asarray(rng.choice(CATEGORIES, len(SEEDS)))
LABELS = {"category": SHAPES, "shape": SHAPES, "texture": TEXTURES}


def observer(arch, **options):
    return IdealObserver(ModelCard(name="x", source="ideal", arch=arch, options=options))


def answers(who, labels=LABELS, seeds=SEEDS):
    one_hot = who.answer(labels, seeds, CATEGORIES)
    assert one_hot.dtype == np.float32
    assert one_hot.shape == (len(seeds), 16)
    assert np.array_equal(one_hot.sum(1), np.ones(len(seeds)))
    return np.asarray(CATEGORIES)[one_hot.argmax(1)]


def test_readers_read():
    assert np.array_equal(answers(observer("shape-reader")), SHAPES)
    assert np.array_equal(answers(observer("texture-reader")), TEXTURES)
    assert np.array_equal(answers(observer("shape-reader"), {"category": TEXTURES}), TEXTURES)
    assert set(answers(observer("constant-responder"))) == {"airplane"}
    assert set(answers(observer("constant-responder", answer=2))) == {"bicycle"}


@pytest.mark.parametrize("arch", ["uniform-guesser", "texture-reader"])
def test_guesses_are_uniform(arch):
    found = answers(observer(arch), {"category": SHAPES})
    counts = np.asarray([(found == category).sum() for category in CATEGORIES])
    expected = len(SEEDS) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 38  # chi-square, 15 df, p = .001
    assert abs((found == SHAPES).mean() - 1 / 16) < 0.008


@pytest.mark.parametrize("p", [0.0, 0.25, 0.75, 1.0])
def test_the_noisy_reader_is_right_with_its_probability(p):
    found = answers(observer("noisy-shape-reader", p=p))
    right = found == SHAPES
    assert abs(right.mean() - p) <= 4 * np.sqrt(p * (1 - p) / len(SEEDS))
    if p < 1:
        step = (np.searchsorted(CATEGORIES, found) - np.searchsorted(CATEGORIES, SHAPES)) % 16
        counts = np.bincount(step[~right], minlength=16)[1:]
        expected = counts.sum() / 15
        assert ((counts - expected) ** 2 / expected).sum() < 37  # 14 df, p = .001


def test_independent_copies_agree_by_chance_only():
    one = answers(observer("noisy-shape-reader")) == SHAPES
    other = answers(observer("noisy-shape-reader", seed=1)) == SHAPES
    agreed, expected = (one == other).mean(), 0.75**2 + 0.25**2
    assert abs((agreed - expected) / (1 - expected)) < 0.03


@pytest.mark.slow
@given(st.permutations(range(30)), st.integers(1, 29))
def test_answers_do_not_depend_on_order_or_batch(order, cut):
    for arch in ("uniform-guesser", "noisy-shape-reader", "texture-reader"):
        who = observer(arch)
        labels = {"category": SHAPES[:30]}
        whole = who.answer(labels, SEEDS[:30], CATEGORIES)
        order = np.asarray(order)
        mixed = who.answer({"category": SHAPES[order]}, SEEDS[order], CATEGORIES)
        assert np.array_equal(mixed, whole[order])
        parts = [
            who.answer({"category": SHAPES[:30][part]}, SEEDS[:30][part], CATEGORIES)
            for part in (slice(0, cut), slice(cut, 30))
        ]
        assert np.array_equal(np.concatenate(parts), whole)


def test_splitmix_gives_its_published_numbers():
    """The first outputs of the reference generator from state 1234567."""
    state = np.asarray([1234567], dtype=np.uint64)
    found = [int(splitmix64(state, stream)[0]) for stream in range(3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_what_cannot_be():
    with pytest.raises(UnknownName, match="shape-reader"):
        observer("shape-readr")
    with pytest.raises(CardError, match="expected a probability"):
        observer("noisy-shape-reader", p=7)
    with pytest.raises(LabelError, match="label 'zebra' in column 'shape'"):
        observer("shape-reader").answer({"shape": np.asarray(["zebra"])}, SEEDS[:1], CATEGORIES)
    with pytest.raises(LabelError, match="neither a 'shape' nor a 'category'"):
        observer("shape-reader").answer({}, SEEDS[:1], CATEGORIES)
