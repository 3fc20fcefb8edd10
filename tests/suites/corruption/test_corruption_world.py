"""The world's own degradations against numpy and scipy; pixels that follow the seed alone."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from benchmark.transforms.listing import transform
from suites.corruption.config import world_list
from suites.corruption.world import contrast, low_pass, rotation, salt_and_pepper, uniform_noise

RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (6, 3, 64, 64)).astype(np.float32)) / 255
SMOOTH = torch.from_numpy(ndimage.gaussian_filter(IMAGES.numpy(), (0, 0, 2, 2)))
SEEDS = np.arange(6, dtype=np.uint64) + 7
MADE = [(entry, level) for entry in world_list().values() for level in entry.levels]


def stored(values):
    return np.floor(np.clip(np.asarray(values, dtype=np.float64), 0, 1) * 255 + 0.5) / 255


def levels_apart(one, other):
    return np.abs(np.asarray(one) * 255 - np.asarray(other) * 255).max()


@pytest.mark.parametrize(("entry", "level"), MADE, ids=lambda value: getattr(value, "name", str(value)))
def test_every_condition_gives_stored_images_by_seed_alone(entry, level):
    made = transform(entry, level)
    images = (IMAGES * 255).to(torch.uint8) if made.stored else IMAGES
    before = images.clone()
    out = made.apply(images, SEEDS)
    assert out.shape == images.shape and torch.equal(images, before)
    if not made.stored:
        assert out.dtype == torch.float32
        assert levels_apart(out, stored(out)) < 1e-3
    order = torch.tensor([4, 1, 5])
    assert torch.equal(made.apply(images[order], SEEDS[order.numpy()]), out[order])


@pytest.mark.parametrize("sigma", [0.7, 1, 1.5])
def test_low_pass_is_a_gaussian_mirrored_at_the_border(sigma):
    mine = low_pass(SMOOTH, sigma, SEEDS)
    theirs = ndimage.gaussian_filter(SMOOTH.double().numpy(), (0, 0, sigma, sigma), mode="reflect")
    assert levels_apart(mine, stored(theirs)) <= 1.001
    assert np.mean(np.abs(mine.numpy() - stored(theirs)) > 1e-4) < 1e-3


def test_contrast_and_rotation():
    np.testing.assert_allclose(contrast(IMAGES, 0.3, SEEDS), stored(0.5 + 0.3 * (IMAGES.double() - 0.5)), atol=1e-6)
    np.testing.assert_array_equal(rotation(IMAGES, 90, SEEDS), np.rot90(IMAGES.numpy(), 1, (2, 3)))
    np.testing.assert_array_equal(rotation(IMAGES, 180, SEEDS), IMAGES.numpy()[:, :, ::-1, ::-1])


def test_uniform_noise_is_uniform_grey_and_of_its_width():
    grey = torch.full((6, 3, 64, 64), 0.5)
    out = uniform_noise(grey, 0.2, SEEDS).numpy()
    assert np.array_equal(out[:, 0], out[:, 1]) and np.array_equal(out[:, 0], out[:, 2])
    noise = (out[:, 0] - 0.5).ravel()
    assert np.abs(noise).max() <= 0.2 + 1 / 255
    spread = noise + RNG.uniform(-0.5, 0.5, noise.size) / 255  # undo the rounding
    assert stats.kstest(spread, "uniform", (-0.2, 0.4)).pvalue > 1e-3
    assert not np.array_equal(out[0], out[1])


def test_salt_and_pepper_replaces_its_share_half_black_half_white():
    out = salt_and_pepper(torch.full((6, 3, 64, 64), 0.4), 0.2, SEEDS).numpy()
    for value in (0, 1):
        assert stats.binomtest(int((out[:, 0] == value).sum()), 6 * 64 * 64, 0.1).pvalue > 1e-3
    kept = out[(out != 0) & (out != 1)]
    np.testing.assert_allclose(kept, 0.4, atol=1e-6)
    assert np.array_equal(out[:, 0], out[:, 2])
