"""The exact path: the same draws in float64 give the published images, to the byte where that is due."""

import numpy as np
import published_corruptions as published
import pytest
import torch
from given_draws import Given
from transform_samples import synthetic

from benchmark.transforms.blur import disc, followed
from benchmark.transforms.corruptions import CORRUPTIONS, corrupted

SIDE = 96
PIXELS = synthetic(4, SIDE, seed=3)
OUTER_AND_INNER = (1, 3, 5, *(pytest.param(level, marks=pytest.mark.slow) for level in (2, 4)))
FLAT = (1, 2)  # one colour; white


def constants(name, severity):
    return CORRUPTIONS[name].constants[severity - 1]


def exact(name, severity, pixels, *arrays, extra=()):
    """Our result in float64 with given draws [n, ...] (HWC ones turned to CHW by the caller)."""
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).double()
    draws = Given([torch.from_numpy(np.asarray(a, dtype=np.float64)) for a in arrays])
    out = corrupted(CORRUPTIONS[name], levels, (*constants(name, severity), *extra), draws)
    return out.byte().permute(0, 2, 3, 1).numpy()


def chw(draws):
    return np.moveaxis(draws, -1, 1)


def apart(ours, theirs):
    """(largest difference in grey levels, share of differing values outside the flat images).

    On flat areas sums may fall just short of a whole level or not, in either implementation, and storing drops the
    fraction; so the two flat images count for the first number only."""
    difference = np.abs(ours.astype(int) - np.stack(theirs).astype(int))
    busy = difference[[i for i in range(len(ours)) if i not in FLAT]]
    return int(difference.max()), float((busy > 0).mean())


def seeded(name, severity):
    """The library's images, image i after seeding numpy with i."""
    out = []
    for i, image in enumerate(PIXELS):
        np.random.seed(i)
        out.append(published.by_library(name, image, severity))
    return out


def legacy(draw):
    """[n, ...]: the same draws from numpy's old generator seeded with 0, 1, ..."""
    return np.stack([draw(np.random.RandomState(i)) for i in range(len(PIXELS))])


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise"])
def test_normal_noise(name, severity):
    normals = legacy(lambda rng: rng.normal(size=(SIDE, SIDE, 3)))
    most, share = apart(exact(name, severity, PIXELS, chw(normals)), seeded(name, severity))
    assert most <= 1
    assert share < 1e-5


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_shot_noise(severity):
    peak = constants("shot_noise", severity)[0]
    counts = np.stack([np.random.RandomState(i).poisson(image / 255 * peak) for i, image in enumerate(PIXELS)])
    ours = exact("shot_noise", severity, PIXELS, chw(counts))
    assert apart(ours, seeded("shot_noise", severity)) == (0, 0.0)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_impulse_noise(severity):
    util = pytest.importorskip("skimage.util", reason="scikit-image is a development dependency")
    share = constants("impulse_noise", severity)[0]
    theirs, flips, salts = [], [], []
    for i, image in enumerate(PIXELS):
        noisy = util.random_noise(image / 255, mode="s&p", amount=share, rng=np.random.default_rng(i))
        theirs.append(published.cut(noisy * 255))
        rng = np.random.default_rng(i)
        flips.append(rng.random((SIDE, SIDE, 3)))
        salts.append(rng.random((SIDE, SIDE, 3)))
    ours = exact("impulse_noise", severity, PIXELS, chw(np.stack(flips)), chw(np.stack(salts)))
    assert apart(ours, theirs) == (0, 0.0)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
@pytest.mark.parametrize("name", ["defocus_blur", "gaussian_blur"])
def test_blurs(name, severity):
    most, share = apart(exact(name, severity, PIXELS), seeded(name, severity))
    assert most <= 1
    assert share < 1e-4


def test_defocus_kernels_are_the_published_ones():
    library = published.library()
    for radius, softness in CORRUPTIONS["defocus_blur"].constants:
        theirs = library.disk(radius, softness)
        assert np.allclose(disc(radius, softness), theirs, atol=1e-8)
    sums = [disc(*c).sum(dtype=np.float64) for c in CORRUPTIONS["defocus_blur"].constants]
    assert sums[3:] == pytest.approx([1.0130, 1.0108], abs=5e-5)


def moves(delta, seed):
    """Published order: per visited pixel across, then down; integers in [-delta, delta - 1]."""
    inner = SIDE - 2 * delta
    return np.random.RandomState(seed).randint(-delta, delta, size=(inner, inner, 2))


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_glass_blur(severity, monkeypatch):
    _, delta, passes = constants("glass_blur", severity)
    steps = [moves(delta, k) for k in range(passes)]
    queue = iter(np.concatenate([s.reshape(-1, 2) for s in steps]))
    monkeypatch.setattr(np.random, "randint", lambda *_, size: next(queue))
    theirs = published.by_library("glass_blur", PIXELS[0], severity)
    uniforms = [(s[None] + delta + 0.5) / (2 * delta) for s in steps]
    most, share = apart(exact("glass_blur", severity, PIXELS[:1], *uniforms), [theirs])
    assert most <= 1
    assert share < 1e-3  # the two Gaussians add in another order; the map itself is exact:


@pytest.mark.parametrize("delta", [1, 2, 3, 4])
def test_glass_map_is_the_loop(delta):
    side = 40
    rng = np.random.RandomState(delta)
    steps = rng.randint(-delta, delta, size=(3, side - 2 * delta, side - 2 * delta, 2))
    ours = followed(torch.from_numpy(steps).flip(1, 2), side, side, delta)
    for step, result in zip(steps, ours, strict=True):
        places = np.arange(side * side).reshape(side, side)
        for i, h in enumerate(range(side - delta, delta, -1)):
            for j, w in enumerate(range(side - delta, delta, -1)):
                across, down = step[i, j]
                places[h, w] = places[h + down, w + across]
        assert np.array_equal(result.numpy(), places.reshape(-1))


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_motion_blur_is_imagemagick_s(severity):
    angles = np.array([-44.9, -10.0, 0.0, 33.3])
    ours = exact("motion_blur", severity, PIXELS, (angles[:, None] + 45) / 90)
    settings = constants("motion_blur", severity)
    theirs = [published.smeared(p, *settings, a) for p, a in zip(PIXELS, angles, strict=True)]
    assert apart(ours, theirs) == (0, 0.0)
    near = [
        published.cut(published.library()._motion_blur(p, *settings, a)) for p, a in zip(PIXELS, angles, strict=True)
    ]
    assert apart(ours, near)[0] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_zoom_blur(severity):
    theirs = [published.zoom_blur(p, *constants("zoom_blur", severity)) for p in PIXELS]
    most, share = apart(exact("zoom_blur", severity, PIXELS), theirs)
    assert most <= 1
    assert share < 2e-4  # the published code adds in float32


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_snow(severity):
    normals = legacy(lambda rng: rng.normal(size=(SIDE, SIDE)))
    angles = np.array([-134.0, -90.0, -60.5, -46.0])
    theirs = [
        published.snow(p, n, a, *constants("snow", severity)) for p, n, a in zip(PIXELS, normals, angles, strict=True)
    ]
    ours = exact("snow", severity, PIXELS, normals[:, None], (angles[:, None] + 135) / 90)
    most, share = apart(ours, theirs)
    assert most <= 1
    assert share < 1e-3


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
    ours = exact("frost", severity, PIXELS, draws, extra=(textures,))
    assert apart(ours, theirs) == (0, 0.0)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_fog(severity):
    uniforms = legacy(lambda rng: rng.random_sample(128 * 128 - 1))
    most, share = apart(exact("fog", severity, PIXELS, uniforms), seeded("fog", severity))
    assert most <= 1
    assert share < 1e-4


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
@pytest.mark.parametrize(("name", "share"), [("brightness", 0.01), ("contrast", 0.0), ("saturate", 0.0)])
def test_colour_and_contrast(name, share, severity):
    most, differing = apart(exact(name, severity, PIXELS), seeded(name, severity))
    assert most <= 1
    assert differing <= share


def test_saturation_turns_grey_reddish_as_published():
    grey = np.full((1, 40, 40, 3), 120, np.uint8)
    assert exact("saturate", 4, grey)[0, 0, 0].tolist() == [120, 108, 108]
    assert exact("saturate", 5, grey)[0, 0, 0].tolist() == [120, 96, 96]


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_elastic_transform(severity):
    corners = legacy(lambda rng: rng.random_sample((3, 2)))
    across = legacy(lambda rng: rng.random_sample((SIDE, SIDE)))
    down = 1 - across.transpose(0, 2, 1)
    settings = constants("elastic_transform", severity)
    theirs = [published.elastic(*one, *settings) for one in zip(PIXELS, corners, across, down, strict=True)]
    most, share = apart(exact("elastic_transform", severity, PIXELS, corners, across, down), theirs)
    assert most <= 1
    assert share < 1e-3


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_pixelate_and_jpeg_are_pil_s(severity):
    theirs = [published.pixelate(p, *constants("pixelate", severity)) for p in PIXELS]
    assert apart(exact("pixelate", severity, PIXELS), theirs) == (0, 0.0)
    theirs = seeded("jpeg_compression", severity)
    assert apart(exact("jpeg_compression", severity, PIXELS), theirs) == (0, 0.0)


@pytest.mark.parametrize("severity", OUTER_AND_INNER)
def test_spatter(severity):
    if severity < 4:
        pytest.importorskip("cv2", reason="spatter at severities 1 to 3 needs OpenCV")
    normals = legacy(lambda rng: rng.normal(size=(SIDE, SIDE)))
    ours = exact("spatter", severity, PIXELS, normals[:, None])
    most, share = apart(ours, seeded("spatter", severity))
    assert most <= 1
    assert share < 1e-3
