"""The exact path: the same draws in float64 give the published images, to the byte where that is due."""

import numpy as np
import published_corruptions as published
import pytest
import torch
from scipy import ndimage
from transform_samples import Given, synthetic

from benchmark.transforms.basics import gaussian
from benchmark.transforms.blur import defocus_blur, disc_kernel
from benchmark.transforms.corruptions import CORRUPTIONS, corrupted

SIDE = 96
PIXELS = synthetic(4, SIDE, seed=3)
OUTER_AND_INNER = (1, 3, 5, *(pytest.param(level, marks=pytest.mark.slow) for level in (2, 4)))
FLAT = (1, 2)  # one colour; white


def constants(name, severity):
    return CORRUPTIONS[name].constants[severity - 1]


#: Hendrycks and Dietterich 2019, the code of the authors: severities 1 to 5 in the order of a corruption's parameters.
#: Those whose pixels are held against the authors' library elsewhere are not listed again.
PUBLISHED = {
    "impulse_noise": [(0.03,), (0.06,), (0.09,), (0.17,), (0.27,)],
    "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    "zoom_blur": [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    "snow": [
        ((0.1, 0.3), 3, 0.5, (10, 4), 0.8), ((0.2, 0.3), 2, 0.5, (12, 4), 0.7), ((0.55, 0.3), 4, 0.9, (12, 8), 0.7),
        ((0.55, 0.3), 4.5, 0.85, (12, 8), 0.65), ((0.55, 0.3), 2.5, 0.85, (12, 12), 0.55)],
    "frost": [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    "elastic_transform": [  # 244 times (2, .7, .1), (2, .08, .2), (.05, .01, .02), (.07, .01, .02), (.12, .01, .02)
        (488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)],
    "pixelate": [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)],
}  # fmt: skip


def exact(name, severity, pixels, *arrays, extra=()):
    """Our result in float64 with given draws [n, ...] (HWC ones turned to CHW by the caller)."""
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).double()
    draws = Given([torch.from_numpy(np.asarray(a, dtype=np.float64)) for a in arrays])
    out = corrupted(CORRUPTIONS[name], levels, (*constants(name, severity), *extra), draws)
    return out.byte().permute(0, 2, 3, 1).numpy()


def chw(draws):
    return np.moveaxis(draws, -1, 1)


def require_alike(ours, theirs, share=0):
    """A level apart at most, and in that share of the values; share 0: the same everywhere.

    On flat areas sums may fall just short of a whole level or not, in either implementation, and storing drops the
    fraction; so the two flat images do not count for the share."""
    difference = np.abs(ours.astype(int) - np.stack(theirs).astype(int))
    busy = difference[[i for i in range(len(ours)) if i not in FLAT]]
    assert difference.max() <= (share > 0) and (busy > 0).mean() <= share


def legacy(draw):
    """[n, ...]: the same draws from numpy's old generator seeded with 0, 1, ..."""
    return np.stack([draw(np.random.RandomState(i)) for i in range(len(PIXELS))])


def normals(*channels):
    return legacy(lambda rng: rng.normal(size=(SIDE, SIDE, *channels)))


def counts(severity):
    means = PIXELS / 255 * constants("shot_noise", severity)[0]
    return np.stack([np.random.RandomState(i).poisson(mean) for i, mean in enumerate(means)])


#: What the library does, too: share of values that may differ by a level, and the draws at a severity.
LIBRARY = {
    "gaussian_noise": (1e-5, lambda _: [chw(normals(3))]), "speckle_noise": (1e-5, lambda _: [chw(normals(3))]),
    "shot_noise": (0, lambda severity: [chw(counts(severity))]), "spatter": (1e-3, lambda _: [normals()[:, None]]),
    "fog": (1e-4, lambda _: [legacy(lambda rng: rng.random_sample(128 * 128 - 1))]),
    "jpeg_compression": (0, lambda _: []),
    **{name: (1e-4, lambda _: []) for name in ("defocus_blur", "gaussian_blur", "contrast", "saturate")},
    "brightness": (0.06, lambda _: []),  # its table is of float32, which stores one value in twenty a level off
}  # fmt: skip


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
@pytest.mark.parametrize("name", LIBRARY)
def test_the_same_draws_give_the_librarys_images(name, severity):
    (share, draws), theirs = LIBRARY[name], []
    for i, image in enumerate(PIXELS):
        np.random.seed(i)
        theirs.append(published.by_library(name, image, severity))
    require_alike(exact(name, severity, PIXELS, *draws(severity)), theirs, share)


@pytest.mark.parametrize("name", PUBLISHED)
def test_severities_are_the_published_ones(name):
    for mine, theirs in zip(CORRUPTIONS[name].constants, PUBLISHED[name], strict=True):
        flat, expected = (np.hstack(values).astype(float) for values in (mine, theirs))
        assert flat[: len(expected)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_impulse_noise(severity):
    util = pytest.importorskip("skimage.util", reason="scikit-image is a development dependency")
    share, theirs = constants("impulse_noise", severity)[0], []
    for i, image in enumerate(PIXELS):
        noisy = util.random_noise(image / 255, mode="s&p", amount=share, rng=np.random.default_rng(i))
        theirs.append(published.cut(noisy * 255))
    draws = np.stack([np.random.default_rng(i).random((2, SIDE, SIDE, 3)) for i in range(len(PIXELS))])
    require_alike(exact("impulse_noise", severity, PIXELS, chw(draws[:, 0]), chw(draws[:, 1])), theirs)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_glass_blur(severity, monkeypatch):
    _, delta, passes = constants("glass_blur", severity)  # per visited pixel across, then down
    inner = (SIDE - 2 * delta, SIDE - 2 * delta, 2)
    steps = [np.random.RandomState(k).randint(-delta, delta, size=inner) for k in range(passes)]
    queue = iter(np.concatenate([s.reshape(-1, 2) for s in steps]))
    monkeypatch.setattr(np.random, "randint", lambda *_, size: next(queue))
    theirs = published.by_library("glass_blur", PIXELS[0], severity)
    uniforms = [(s[None] + delta + 0.5) / (2 * delta) for s in steps]
    # the two Gaussians add in another order
    require_alike(exact("glass_blur", severity, PIXELS[:1], *uniforms), [theirs], 1e-3)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_motion_blur_is_imagemagick_s(severity):
    angles = np.array([-44.9, -10.0, 0.0, 33.3])
    ours = exact("motion_blur", severity, PIXELS, (angles[:, None] + 45) / 90)
    settings = constants("motion_blur", severity)
    require_alike(ours, [published.smeared(p, *settings, a) for p, a in zip(PIXELS, angles, strict=True)])
    blurred = published.library()._motion_blur
    require_alike(ours, [published.cut(blurred(p, *settings, a)) for p, a in zip(PIXELS, angles, strict=True)], 1)


@pytest.mark.slow
@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_zoom_blur_and_pixelate(severity):
    theirs = [published.zoom_blur(p, *constants("zoom_blur", severity)) for p in PIXELS]
    require_alike(exact("zoom_blur", severity, PIXELS), theirs, 2e-4)  # the published code adds in float32
    theirs = [published.pixelate(p, *constants("pixelate", severity)) for p in PIXELS]
    require_alike(exact("pixelate", severity, PIXELS), theirs)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_snow(severity):
    angles, settings = np.array([-134.0, -90.0, -60.5, -46.0]), constants("snow", severity)
    theirs = [published.snow(*each, *settings) for each in zip(PIXELS, normals(), angles, strict=True)]
    ours = exact("snow", severity, PIXELS, normals()[:, None], (angles[:, None] + 135) / 90)
    require_alike(ours, theirs, 1e-3)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_frost(severity):
    rng = np.random.RandomState(0)
    textures = [rng.randint(0, 256, (120 + 7 * k, 130, 3)).astype(np.uint8) for k in range(6)]
    draws = np.array([[0.0, 0.0, 0.0], [0.39, 0.5, 0.99], [0.81, 0.999, 0.25], [0.9999, 0.3, 0.6]])
    theirs = []
    for image, (pick, down, across) in zip(PIXELS, draws, strict=True):
        texture = textures[int(pick * 5)]
        top, left = int(down * (texture.shape[0] - SIDE)), int(across * (130 - SIDE))
        theirs.append(published.frost(image, texture, top, left, *constants("frost", severity)))
    require_alike(exact("frost", severity, PIXELS, draws, extra=(textures,)), theirs)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_elastic_transform(severity):
    corners = legacy(lambda rng: rng.random_sample((3, 2)))
    across = legacy(lambda rng: rng.random_sample((SIDE, SIDE)))
    draws, settings = (corners, across, 1 - across.transpose(0, 2, 1)), constants("elastic_transform", severity)
    theirs = [published.elastic(*one, *settings) for one in zip(PIXELS, *draws, strict=True)]
    require_alike(exact("elastic_transform", severity, PIXELS, *draws), theirs, 1e-3)


@pytest.mark.parametrize("border", ["nearest", "reflect", "constant"])
@pytest.mark.parametrize("size", [2, 5, 24])
def test_a_gaussian_has_scipy_s_borders_however_wide(border, size):
    line = np.random.default_rng(0).normal(size=size)
    expected = ndimage.gaussian_filter1d(line, 2.5, mode=border)
    np.testing.assert_allclose(gaussian(size, 2.5, border) @ line, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(24, 32), (25, 30), (31, 29)])  # the first is transformed as it is
def test_out_of_focus_is_a_correlation_with_mirrored_borders(shape):
    images = torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(2)).double()
    seen = defocus_blur(images, 6, 0.5)[0].numpy()
    for channel, image in enumerate(images[0].numpy()):
        expected = ndimage.correlate(image, disc_kernel(6, 0.5).astype(float), mode="mirror")
        assert np.allclose(seen[channel], expected, atol=1e-12)
