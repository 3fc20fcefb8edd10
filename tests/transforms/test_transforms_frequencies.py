"""Noise of one octave, hybrids, and silhouettes put together otherwise."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from transform_samples import as_bytes, as_images, seeds, synthetic

from benchmark.transforms.frequencies import CENTRES, hybrid, masked
from benchmark.transforms.silhouette_cuts import ARRANGEMENTS, cut_of, rearranged

GREY = torch.full((3, 3, 224, 224), 0.449)


@pytest.mark.parametrize("band", range(7))
def test_noise_is_of_one_octave_and_its_strength_is_the_level(band):
    noise = masked(f"band-{band}", 0.08).apply(GREY, seeds(3))[:, 0].double().numpy() - 0.449
    assert noise.std(axis=(1, 2)) == pytest.approx(0.08, rel=0.03)
    spectrum, frequencies, centre = np.abs(np.fft.fft2(noise)) ** 2, np.fft.fftfreq(224, 1 / 224), 1.75 * 2**band
    cycles = np.hypot(frequencies[:, None], frequencies)
    assert CENTRES[f"band-{band}"] == centre
    inside = (cycles >= centre / 2**0.5) & (cycles < centre * 2**0.5)
    assert (spectrum[:, inside].sum(axis=1) / spectrum.sum(axis=(1, 2)) > 0.995).all()
    assert not np.allclose(noise[0], noise[1])


def test_images_are_grey_at_a_fifth_of_the_contrast_around_one_mean():
    images = as_images(synthetic(3, 40))
    shown = masked("unmasked", 0).apply(images, seeds(3)).double()
    grey = images.double().mul(torch.tensor([0.2125, 0.7154, 0.0721])[:, None, None]).sum(1)
    assert torch.equal(shown[:, 0], shown[:, 2])
    assert torch.allclose(shown.mean(dim=(1, 2, 3)), torch.full((3,), 0.449).double(), atol=2e-3)
    assert torch.allclose(shown[:, 0].std(dim=(1, 2)), 0.2 * grey.std(dim=(1, 2)), atol=2e-3)
    assert torch.equal(masked("unmasked", 0, whole=True).apply(images, seeds(3)), images)


@pytest.mark.parametrize("transform", [masked("band-2", 0.08), *map(rearranged, ARRANGEMENTS)], ids=lambda t: t.name)
def test_an_image_has_one_result_in_any_batch(transform):
    images, numbers = as_images(synthetic(4, 48, seed=1)), seeds(4)
    whole = as_bytes(transform.apply(images, numbers))
    alone = np.concatenate([as_bytes(transform.apply(images[i : i + 1], numbers[i : i + 1])) for i in range(4)])
    assert np.array_equal(alone, whole) and transform.apply(images[:0], numbers[:0]).shape == images[:0].shape


def test_a_hybrid_is_a_low_pass_and_what_another_loses():
    low, high = (image.copy() for image in synthetic(5, 64, seed=2)[[0, 3]])
    sigma = 64 * np.sqrt(2 * np.log(2)) / (2 * np.pi * 8)

    def blurred(image):
        return ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="reflect")

    expected = np.clip(np.round(blurred(low) + high - blurred(high)), 0, 255)
    assert np.abs(hybrid(low, high, 8).astype(int) - expected).max() <= 1
    assert np.abs(hybrid(low, low, 8).astype(int) - low).max() == 0
    wave = 100 * np.cos(2 * np.pi * 8 * (np.arange(512) + 0.5) / 512)[None, :, None] + 128 + np.zeros((512, 1, 3))
    grey = np.full((512, 512, 3), 128, np.uint8)
    kept = hybrid(wave.round().astype(np.uint8), grey, 8)[256, 128:384, 0].astype(float)
    assert (kept.max() - kept.min()) / 200 == pytest.approx(0.5, abs=0.02)


#: A bottle: a narrow neck above a wide body that is further to the left, 48 x 48 px.
BOTTLE = np.zeros((48, 48), bool)
BOTTLE[6:26, 20:28] = BOTTLE[26:42, 8:30] = True


def shown(mask):
    """Every arrangement of an object, [H, W] in grey levels."""
    images = as_images(np.repeat(np.where(mask, 0, 255)[None, ..., None], 3, axis=3).astype(np.uint8))
    return {name: as_bytes(rearranged(name).apply(images, seeds(1)))[0, ..., 0] for name in ARRANGEMENTS}


def test_a_cut_is_where_the_object_is_in_one_piece_nearest_to_its_middle():
    assert cut_of(BOTTLE) == (23, 20, 27)
    legs = BOTTLE.copy()
    legs[20:28, 22:25] = False  # two pieces about the middle
    assert cut_of(legs) in {(28, 8, 29), (19, 20, 27)}
    split = np.zeros((11, 10), bool)
    split[:, [1, 8]] = split[0] = True  # in one piece at the top alone
    assert cut_of(split) == (5, 1, 8) and cut_of(np.eye(1, 8, 3, dtype=bool)) == (0, 3, 3)


def test_arrangements_by_hand():
    assert all(set(np.unique(image)) == {0, 255} for image in shown(BOTTLE).values())  # nothing shrinks
    objects = {name: image == 0 for name, image in shown(BOTTLE).items()}
    pieces = {name: ndimage.label(mask)[1] for name, mask in objects.items()}
    assert pieces == {"whole": 1, "fragmented": 2, "frankenstein": 1, "inverted": 1}
    drawn = {name: np.argwhere(mask) - np.argwhere(mask).min(axis=0) for name, mask in objects.items()}
    assert np.array_equal(drawn["whole"], np.argwhere(BOTTLE[6:, 8:]))
    # Below the cut (row 17 of 36) the body, columns 0 to 21, turns about the neck's middle, 15.5: columns 10 to 31.
    expected = np.zeros((36, 32), bool)
    expected[:20, 12:20] = True
    expected[20:, 10:32] = True
    assert np.array_equal(drawn["frankenstein"] + [0, 10], np.argwhere(expected))
    assert np.array_equal(drawn["inverted"], np.argwhere(BOTTLE[::-1][6:42, 8:30]))
    assert set(range(43)) - {*drawn["fragmented"][:, 0]} == {*range(18, 25)}  # a fifth of 36 rows


def test_what_would_leave_the_frame_makes_all_arrangements_smaller():
    mask = np.zeros((40, 40), bool)
    mask[1:39, 10:30] = True
    heights = {name: np.ptp(np.flatnonzero((image < 128).any(axis=1))) + 1 for name, image in shown(mask).items()}
    assert heights["fragmented"] == 40
    assert heights["whole"] == heights["frankenstein"] == pytest.approx(38 * 40 / 46, abs=1.5)
    assert (shown(~mask & mask)["frankenstein"] == 255).all()
