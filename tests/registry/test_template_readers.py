"""Template readers: where their templates come from, what they answer, and that noise follows image and seed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmark.stimuli.world.sets import CATEGORIES, WORLD_SETS, WorldSet, render, training_set
from registry.cards import read_cards
from registry.files import Place
from registry.loading import load_model
from registry.simulated import mixed, normal

FILE = Path(__file__).parents[2] / "registry/world_checkpoints/world-readers.safetensors"
#: What reader 2 says of every tenth of the first 160 conflict stimuli: nine of sixteen are right.
ANSWERS = [
    *("bird", "dog", "bear", "keyboard", "clock", "truck", "boat", "boat"),
    *("bottle", "truck", "car", "cat", "bear", "chair", "clock", "dog"),
]
NAMES = tuple(f"world-reader-{i}" for i in range(5))


def pixels(world_set: WorldSet, indices: range) -> torch.Tensor:
    images = np.stack([render(world_set, i).image for i in indices])
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def readers():
    cards = read_cards(())
    return [load_model(cards[name], Place(Path("unused"))) for name in NAMES]


@pytest.fixture(scope="module")
def images():
    return pixels(WORLD_SETS["world-cue-conflict"], range(0, 160, 10)).float() / 255


def answers(reader, images):
    with torch.inference_mode():
        return reader.forward(images).argmax(1)


def test_templates_are_silhouettes_of_training_stimuli():
    """By hand: the share of each 4 x 4 block that the mask of a training silhouette covers."""
    shipped = load_file(FILE)["templates"].numpy()
    drawn = training_set("silhouettes", 512, 7)
    assert drawn.seed not in {known.seed for known in WORLD_SETS.values()}
    for place, index in ((0, 0), (1, 16), (33, 17), (511, 511)):
        assert drawn.shape[index] == CATEGORIES[place // 32]
        blocks = render(drawn, index).mask.reshape(16, 4, 16, 4).mean((1, 3))
        assert np.array_equal(shipped[place], np.rint(blocks * 255).astype(np.uint8))
    assert FILE.stat().st_size < 1_000_000


@pytest.mark.slow
def test_no_template_is_of_an_evaluation_stimulus():
    """Every eighth: templates that were drawn from one of the sets would be of dozens of these."""
    known = {one.tobytes() for one in load_file(FILE)["templates"].numpy()}
    assert len(known) == 512
    for name, world_set in WORLD_SETS.items():
        for i in range(0, world_set.size if "textures" not in name else 0, 8):
            blocks = render(world_set, i).mask.reshape(16, 4, 16, 4).mean((1, 3))
            assert np.rint(blocks * 255).astype(np.uint8).tobytes() not in known


def test_numbers_are_splitmix64():
    """The first numbers of the published generator from state 0, and from one step on."""
    found = mixed(torch.tensor([1, 2])).numpy().view(np.uint64).tolist()
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_noise_is_normal_and_streams_are_independent():
    keys = mixed(torch.arange(400))
    first, second = (normal(keys, 256, stream).numpy() for stream in (1, 2))
    assert abs(first.mean()) < 0.01
    assert abs(first.std() - 1) < 0.01
    assert abs(np.mean(np.abs(first) < 1) - 0.6827) < 0.005
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(first[:, 0], first[:, 1])[0, 1]) < 0.2


@pytest.mark.slow
def test_an_answer_depends_on_the_image_and_the_reader_alone(readers, images):
    for reader in readers:
        with torch.inference_mode():
            together = reader.forward(images)
            apart = torch.cat([reader.forward(one[None]) for one in images])
            turned = reader.forward(images.flip(0)).flip(0)
        assert torch.allclose(together, apart, atol=1e-5)
        assert torch.allclose(together, turned, atol=1e-5)


@pytest.mark.slow
def test_readers_are_independent_and_see_one_level(readers, images):
    """Noise follows the image: one pixel a level brighter draws another."""
    changed = images.clone()
    changed[:, 0, 30, 30] += torch.where(changed[:, 0, 30, 30] < 0.5, 1, -1) / 255
    with torch.inference_mode():
        one, other = readers[0].forward(images), readers[0].forward(changed)
        second = readers[1].forward(images)
    assert ((one - other).abs() > 1e-3).float().mean() > 0.9
    assert ((one - second).abs() > 1e-3).float().mean() > 0.9


def test_what_one_reader_answers(readers, images):
    shapes = WORLD_SETS["world-cue-conflict"].shape[:160:10]
    assert sum(a == b for a, b in zip(ANSWERS, shapes, strict=True)) == 9
    assert [CATEGORIES[i] for i in answers(readers[2], images).tolist()] == ANSWERS
