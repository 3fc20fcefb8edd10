"""Spectral centroid, Gini and centred cosine against closed forms."""

import numpy as np
import pytest

from benchmark.contracts import Block
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency.config import REFERENCES
from suites.saliency.maps import references
from suites.saliency.maps.gradients import centred_cosine, frequencies, gini, total_variation
from suites.saliency.maps.mask_context import context_of
from suites.saliency.maps.references import reference_columns, reference_maps


def grad_centroid(gradients):
    return frequencies(gradients)[0]


def noise(n=2, size=224, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 3, size, size))


def test_the_centroid_of_white_noise():
    expected = (np.sqrt(2) + np.arcsinh(1)) / 6
    assert expected == pytest.approx(0.3826, abs=1e-4)
    np.testing.assert_allclose(grad_centroid(noise()), expected, atol=1e-3)


def test_high_frequencies_and_steps_of_white_noise():
    np.testing.assert_allclose(frequencies(noise())[1], 1 - np.pi / 16, atol=2e-3)
    np.testing.assert_allclose(total_variation(noise()), 2 * np.sqrt(2), atol=5e-3)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize(("axis", "cycles"), [(0, 2), (1, 3)])
def test_the_centroid_of_a_wave_is_its_frequency(size, axis, cycles):
    wave = np.cos(2 * np.pi * cycles * np.arange(size) / size)
    one = wave[:, None] if axis == 0 else wave[None, :]
    image = np.broadcast_to(one, (1, 3, size, size))
    assert grad_centroid(image)[0] == pytest.approx(cycles / size, abs=1e-9)


@pytest.mark.parametrize("size", [8, 9])
def test_the_half_spectrum_counts_as_the_whole_one(size):
    g = noise(1, size)
    centred = g - g.mean(axis=(2, 3), keepdims=True)
    power = (np.abs(np.fft.fft2(centred)) ** 2).sum(axis=1)[0]
    f = np.fft.fftfreq(size)
    rho = np.hypot(f[:, None], f[None])
    assert grad_centroid(g)[0] == pytest.approx((rho * power).sum() / power.sum(), rel=1e-7)


def test_gini_on_paper():
    assert gini(np.full((1, 4, 4), 3.0))[0] == pytest.approx(0)
    point = np.zeros((1, 4, 4))
    point[0, 1, 2] = 7
    assert gini(point)[0] == pytest.approx(15 / 16)
    assert gini(np.array([[[1.0, 3.0]]]))[0] == pytest.approx(0.25)  # (-1 + 3) / (2 * 4)
    assert np.isnan(gini(np.zeros((1, 4, 4))))[0]


def test_the_cosine_ignores_brightness_and_length():
    x, g = np.random.default_rng(0).random((2, 3, 8, 8)), noise(2, 8)
    plain = centred_cosine(x, g)
    np.testing.assert_allclose(centred_cosine(x + 0.3, 1e-12 * g), plain, rtol=1e-6)
    np.testing.assert_allclose(centred_cosine(x, x - x.mean(axis=(2, 3), keepdims=True)), 1)
    assert np.isnan(centred_cosine(np.full((1, 3, 8, 8), 0.5), g[:1]))[0]


def test_noise_follows_the_image_not_the_batch():
    images = np.random.default_rng(0).random((3, 3, 8, 8))
    both = reference_maps(images, ["a", "b", "c"])
    alone = reference_maps(images[1:2], ["b"])
    assert tuple(both) == tuple(REFERENCES)
    for name in REFERENCES:
        np.testing.assert_array_equal(both[name][1:2], alone[name])
    assert not np.array_equal(both["noise"][0], both["noise"][1])


def test_reference_maps_are_measured_once_for_all_that_see_the_same(monkeypatch):
    view = ToyView(Block(toy_stimuli("natural")), np.arange(20))
    images, scene = view.images.numpy(), context_of(view, 160)
    first = reference_columns(images, scene)
    for name, maps in reference_maps(images, list(scene.items)).items():
        for column, expected in scene.areas(maps, name).items():
            np.testing.assert_allclose(first[column], expected, atol=1e-12)
    calls = []
    measured = references.reference_maps
    monkeypatch.setattr(references, "reference_maps", lambda *given: calls.append(given) or measured(*given))
    again = reference_columns(images.copy(), context_of(view, 160))
    assert not calls
    for column, values in first.items():
        np.testing.assert_array_equal(again[column], values)
    other = reference_columns(1 - images, scene)
    assert calls
    assert not np.allclose(other["darkness_auc"], first["darkness_auc"])
