"""Agreement with human clicks as published; spectral centroid, Gini, centred cosine by closed forms; reference maps."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from tensors import assert_close

from benchmark.contracts import Block
from benchmark.testing import ToyShelf, ToyView, toy_stimuli
from suites.saliency import SUITE
from suites.saliency.config import SaliencyConfig
from suites.saliency.maps import references
from suites.saliency.maps.gradients import frequencies, gini, input_gradients, total_variation
from suites.saliency.maps.localisation import context_of
from suites.saliency.maps.references import alignment, blur_kernel, human_map, logit, strongest
from suites.saliency.plan import plan


def test_the_kernel_is_nearly_a_box_that_moves_by_half_a_pixel_and_processing_is_that_of_another_implementation():
    kernel = blur_kernel()
    assert (kernel.shape, kernel.sum()) == ((10, 10), pytest.approx(1, abs=1e-6))
    assert kernel.min() / kernel.max() == pytest.approx(0.78, abs=0.005)
    taps = np.arange(10) - 4  # of "same" padding: four before, five after
    assert kernel.sum(axis=1) @ taps == pytest.approx(0.46, abs=0.005)
    assert kernel.sum(axis=0) @ taps == pytest.approx(0.54, abs=0.005)
    stored = np.random.default_rng(0).random((256, 256)).astype(np.float32)
    small = (stored[1::4] + stored[2::4]) / 2  # bilinear from 256 to 64 without antialiasing
    small = (small[:, 1::4] + small[:, 2::4]) / 2
    expected = ndimage.correlate(small, kernel, mode="constant", origin=-1)
    np.testing.assert_allclose(human_map(stored, (64, 64)), expected, atol=1e-6)


@pytest.mark.parametrize("levels", [4, 10**6])
def test_spearman_equals_scipy_with_and_without_ties(levels):
    rng = np.random.default_rng(0)
    maps, human = (rng.integers(1, levels, (3, 12, 12)).astype(float) for _ in range(2))
    expected = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(maps, human, strict=True)]
    np.testing.assert_allclose(alignment(maps, human), expected, atol=1e-12)


def test_the_target_is_the_logit_and_the_map_its_strongest_channel():
    weights = torch.randn(3 * 16, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.eye(4, dtype=torch.bool)[[2]]
    images = torch.rand(1, 3, 4, 4)
    (found,) = input_gradients(lambda x: x.flatten(1) @ weights, images, [rows], logit)
    expected = weights[:, 2].view(1, 3, 4, 4)
    assert_close(found, expected)
    np.testing.assert_allclose(strongest(found.numpy()), expected.abs().amax(1).numpy())


def test_a_view_is_held_against_its_own_maps():
    view = ToyView(plan(SaliencyConfig(), ToyShelf("imagenet1k")).blocks[-1], np.array([5, 2]))
    found = SUITE.observe(SUITE.config, view)
    wanted = [view.categories.index(c) for c in view.labels["category"]]
    rows = torch.eye(16, dtype=torch.bool)[wanted]
    (gradient,) = input_gradients(view.forward, view.images, [rows], logit)
    human = np.stack([human_map(view.importance(i), (224, 224)) for i in (5, 2)])
    pairs = zip(np.abs(gradient.numpy()).max(axis=1), human, strict=True)
    expected = [stats.spearmanr(g.ravel(), h.ravel()).statistic for g, h in pairs]
    assert found["clickme"] == pytest.approx(expected, abs=1e-9)
    assert set(found) == {"response", "clickme"}


def test_high_frequencies_and_steps_of_white_noise():
    noise = np.random.default_rng(0).standard_normal((2, 3, 224, 224))
    np.testing.assert_allclose(frequencies(noise)[1], 1 - np.pi / 16, atol=2e-3)
    np.testing.assert_allclose(total_variation(noise), 2 * np.sqrt(2), atol=5e-3)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize(("axis", "cycles"), [(0, 2), (1, 3)])
def test_the_centroid_of_a_wave_is_its_frequency(size, axis, cycles):
    wave = np.cos(2 * np.pi * cycles * np.arange(size) / size)
    one = wave[:, None] if axis == 0 else wave[None, :]
    image = np.broadcast_to(one, (1, 3, size, size))
    assert frequencies(image)[0][0] == pytest.approx(cycles / size, abs=1e-9)


def test_gini_on_paper():
    assert gini(np.full((1, 4, 4), 3.0))[0] == pytest.approx(0)
    point = np.zeros((1, 4, 4))
    point[0, 1, 2] = 7
    assert gini(point)[0] == pytest.approx(15 / 16)
    assert gini(np.array([[[1.0, 3.0]]]))[0] == pytest.approx(0.25)  # (-1 + 3) / (2 * 4)
    assert np.isnan(gini(np.zeros((1, 4, 4))))[0]


def test_columns_of_reference_maps_are_their_areas():
    view = ToyView(Block(stimuli=toy_stimuli("natural")), np.arange(20))
    images, scene = view.images.numpy(), context_of(view, 160)
    first = references.reference_columns(images, scene)
    for name, maps in references.reference_maps(images, list(scene.items)).items():
        for column, expected in scene.areas(maps, name).items():
            np.testing.assert_allclose(first[column], expected, atol=1e-12)
