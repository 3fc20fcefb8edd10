"""Ideal observers and template readers: what they answer, and chance that hangs on image and seed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.stats import chisquare

from benchmark.stimuli.world.sets import CATEGORIES as OF_WORLD
from benchmark.stimuli.world.sets import generated_set, training_set
from registry.cards import ModelCard, read_cards
from registry.files import WeightSources
from registry.labels import geirhos_groups
from registry.loading import load_network
from registry.simulated import IdealObserver, splitmix64
from registry.user_errors import CardError, LabelError, UnknownName

CATEGORIES = tuple(geirhos_groups())
SEEDS = np.arange(20_000, dtype=np.uint64)
rng = np.random.default_rng(0)
SHAPES = np.asarray(rng.choice(CATEGORIES, len(SEEDS)))
TEXTURES = np.asarray(rng.choice(CATEGORIES, len(SEEDS)))
LABELS = {"category": SHAPES, "shape": SHAPES, "texture": TEXTURES}


def observer(arch, **options):
    return IdealObserver(ModelCard(name="x", source="ideal", arch=arch, options=options))


def answers(who, labels=LABELS):
    one_hot = who.answer(labels, SEEDS, CATEGORIES)
    assert one_hot.dtype == np.float32 and one_hot.shape == (len(SEEDS), 16) and (one_hot.sum(1) == 1).all()
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
    assert chisquare([(found == category).sum() for category in CATEGORIES]).pvalue > 0.001
    assert abs((found == SHAPES).mean() - 1 / 16) < 0.008


@pytest.mark.parametrize("p", [0.0, 0.25, 0.75, 1.0])
def test_the_noisy_reader_is_right_with_its_probability(p):
    found = answers(observer("noisy-shape-reader", p=p))
    right = found == SHAPES
    assert abs(right.mean() - p) <= 4 * np.sqrt(p * (1 - p) / len(SEEDS))
    if p < 1:
        step = (np.searchsorted(CATEGORIES, found) - np.searchsorted(CATEGORIES, SHAPES)) % 16
        assert chisquare(np.bincount(step[~right], minlength=16)[1:]).pvalue > 0.001


@pytest.mark.slow
@given(st.permutations(range(30)), st.integers(1, 29))
def test_answers_do_not_depend_on_order_or_batch(order, cut):
    for arch in ("uniform-guesser", "noisy-shape-reader", "texture-reader"):
        who = observer(arch)
        rows = range(30), order[:cut], order[cut:]
        whole, *parts = (who.answer({"category": SHAPES[at]}, SEEDS[at], CATEGORIES) for at in rows)
        assert np.array_equal(np.concatenate(parts), whole[np.asarray(order)])


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


FILE = Path(__file__).parents[2] / "registry/world_checkpoints/world-readers.safetensors"


def test_templates_are_silhouettes_of_training_stimuli():
    """By hand: the share of each 4 x 4 block that the mask of a training silhouette covers."""
    shipped = load_file(FILE)["templates"].numpy()
    drawn = training_set("silhouettes", 512, 7)
    assert not {*drawn.items} & {*generated_set("world-silhouettes").items}
    for place, index in ((0, 0), (1, 16), (33, 17), (511, 511)):
        assert drawn.labels["shape"][index] == OF_WORLD[place // 32]
        blocks = drawn.mask(index).reshape(16, 4, 16, 4).mean((1, 3))
        assert np.array_equal(shipped[place], np.rint(blocks * 255).astype(np.uint8))
    assert FILE.stat().st_size < 1_000_000


@pytest.mark.slow
def test_readers_are_independent_and_see_one_level():
    """Noise follows the image: one pixel a level brighter draws another."""
    cards, place = read_cards(()), WeightSources(weights_folder=Path("unused"))
    readers = [load_network(cards[f"world-reader-{i}"], place) for i in range(5)]
    drawn = np.stack([generated_set("world-cue-conflict").decode(i) for i in range(0, 160, 10)])
    images = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
    changed = images.clone()
    changed[:, 0, 30, 30] += torch.where(changed[:, 0, 30, 30] < 0.5, 1, -1) / 255
    with torch.inference_mode():
        one = readers[0].forward(images)
        for other in (readers[0].forward(changed), readers[1].forward(images)):
            assert ((one - other).abs() > 1e-3).float().mean() > 0.9
