"""Published numbers as literals: what the code calls its constants is held against what the papers and the published
code say, never against itself."""

import numpy as np
import pytest
import torch
from given_draws import Given
from transform_samples import as_bytes, as_images, seeds, synthetic

from benchmark.transforms.basics import Streams, working
from benchmark.transforms.corruptions import corruption
from benchmark.transforms.human import degradation, disarray, false_colour

#: Hendrycks and Dietterich 2019, the code of the authors: severities 1 to 5 in the order of a corruption's parameters.
PUBLISHED = {
    "gaussian_noise": [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)],
    "shot_noise": [(60,), (25,), (12,), (5,), (3,)],
    "impulse_noise": [(0.03,), (0.06,), (0.09,), (0.17,), (0.27,)],
    "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    "glass_blur": [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    "zoom_blur": [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    "snow": [
        ((0.1, 0.3), 3, 0.5, (10, 4), 0.8),
        ((0.2, 0.3), 2, 0.5, (12, 4), 0.7),
        ((0.55, 0.3), 4, 0.9, (12, 8), 0.7),
        ((0.55, 0.3), 4.5, 0.85, (12, 8), 0.65),
        ((0.55, 0.3), 2.5, 0.85, (12, 12), 0.55),
    ],
    "frost": [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    "fog": [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    "brightness": [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)],
    "contrast": [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)],
    "elastic_transform": [  # 244 times (2, .7, .1), (2, .08, .2), (.05, .01, .02), (.07, .01, .02), (.12, .01, .02)
        (488, 170.8, 24.4),
        (488, 19.52, 48.8),
        (12.2, 2.44, 4.88),
        (17.08, 2.44, 4.88),
        (29.28, 2.44, 4.88),
    ],
    "pixelate": [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)],
    "jpeg_compression": [(25,), (18,), (15,), (10,), (7,)],
    "speckle_noise": [(0.15,), (0.2,), (0.35,), (0.45,), (0.6,)],
    "gaussian_blur": [(1,), (2,), (3,), (4,), (6,)],
    "spatter": [
        ((0.65, 0.3), 4, 0.69, 0.6, False),
        ((0.65, 0.3), 3, 0.68, 0.6, False),
        ((0.65, 0.3), 2, 0.68, 0.5, False),
        ((0.65, 0.3), 1, 0.65, 1.5, True),
        ((0.67, 0.4), 1, 0.65, 1.5, True),
    ],
    "saturate": [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
}  # fmt: skip
OWN_FIELDS = {"severity", "version", "jpeg85", "quantise", "textures"}
ICE = [np.full((300, 300, 3), 20 + k, np.uint8) for k in range(6)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_severities_are_the_published_ones(name):
    for severity, expected in enumerate(PUBLISHED[name], start=1):
        params = corruption(name, severity, frost=ICE).params
        given = [value for key, value in params.items() if key not in OWN_FIELDS]
        for mine, theirs in zip(given, expected, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-9), severity
    assert severity == 5


def grey_image(level, size=96):
    return torch.full((1, 3, size, size), level / 255)


@pytest.mark.parametrize(("severity", "share"), list(enumerate([0.03, 0.06, 0.09, 0.17, 0.27], start=1)))
def test_impulse_noise_replaces_the_published_share_half_white_half_black(severity, share):
    """20 images of 3 x 96 x 96 values: five standard errors."""
    flat = grey_image(100).expand(20, -1, -1, -1)
    out = as_bytes(corruption("impulse_noise", severity).apply(flat, seeds(20)))
    n = out.size
    assert np.mean(out != 100) == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / n))
    assert np.mean(out == 255) == pytest.approx(share / 2, abs=5 * np.sqrt(share / 2 / n))


@pytest.mark.parametrize(("severity", "side"), list(enumerate([134, 112, 89, 67, 56], start=1)))
def test_pixelate_leaves_as_many_cells_as_published(severity, side):
    """A ramp of 224 columns that no cell averages to the level of its neighbour."""
    ramp = np.tile(np.arange(224, dtype=np.uint8)[None, :, None], (1, 224, 1, 3)).reshape(1, 224, 224, 3)
    out = as_bytes(corruption("pixelate", severity).apply(as_images(ramp), seeds(1)))
    assert len(np.unique(out[0, 0, :, 0])) == side


@pytest.mark.parametrize(("severity", "level"), list(enumerate([108, 92, 84, 79, 75], start=1)))
def test_frost_mixes_image_and_ice_by_the_published_shares(severity, level):
    """100 under ice of 20: .4, .6, .7, .7, .75 of 20 on 100, 80, 70, 65, 60."""
    same = [np.full((300, 300, 3), 20, np.uint8)] * 5
    out = as_bytes(corruption("frost", severity, frost=same).apply(grey_image(100), seeds(1)))
    assert set(np.unique(out)) == {level}


def test_frost_draws_from_the_first_five_pictures():
    """All five of them and never the sixth: image black, share .4 of ice of 20, 30, ..., 70."""
    ice = [np.full((300, 300, 3), 20 + 10 * k, np.uint8) for k in range(6)]
    black = grey_image(0, 16).expand(200, -1, -1, -1)
    out = as_bytes(corruption("frost", 1, frost=ice).apply(black, seeds(200)))
    assert set(np.unique(out)) == {8, 12, 16, 20, 24}


def test_the_trail_of_motion_blur_is_one_sided_and_as_long_as_published():
    """A white column at angle 0: radius 10 has 21 taps; the first weighs 1 / sum exp(-i^2 / 18), of sigma 3."""
    from benchmark.transforms.blur import smeared

    column = torch.zeros(1, 1, 8, 64, dtype=torch.float64)
    column[..., 40] = 255
    out = smeared(column, *PUBLISHED["motion_blur"][0], [0.0])[0, 0, 4].numpy()
    first = 255 / sum(np.exp(-(i**2) / 18) for i in range(21))
    assert out[40] == pytest.approx(first, abs=1)
    assert out[41:].max() == 0
    assert np.flatnonzero(out).min() == 40 - 8  # the ninth tap is .67 of a level: cut


@pytest.mark.parametrize(
    ("experiment", "condition", "reach", "coherence"),
    [("eidolonI", "4-10-10", 4, 1.0), ("eidolonII", "16-3-10", 16, 0.3), ("eidolonIII", "8-0-10", 8, 0.0)],
)
def test_eidolons_have_the_grain_and_coherence_of_their_names(experiment, condition, reach, coherence):
    """Reach, ten times the coherence, grain 10 px: as the published trials spell them."""
    pixels = synthetic(1, 64, seed=4)
    out = degradation(experiment, condition).apply(as_images(pixels), seeds(1))
    draws = Streams(seeds(1), f"{experiment}/{condition}", torch.device("cpu"))
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).double()
    expected = disarray(levels, reach, coherence, 10.0, draws)
    assert torch.equal(out[:, :1] * 255, expected.float())


def test_a_finer_grain_is_another_eidolon():
    """So that the test above sees it."""
    pixels = synthetic(1, 64, seed=4)
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).double()
    normals = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 8, 2, 128, 128)))
    one, other = (disarray(levels, 8, 0.0, grain, Given([normals])) for grain in (10.0, 9.0))
    assert float((one != other).float().mean()) > 0.05


#: Cone sensitivities of the monitor, white, and opponent axes, as in the authors' code.
CONES = np.array(
    [
        [0.1619982647, 0.208049264, 0.0389347448],
        [0.0330275785, 0.2496504557, 0.0618343518],
        [0.0015524055, 0.0198861001, 0.1890224274],
    ]
)
AXES = np.array(
    [[9.27590805, 9.27590805, 0.0], [7.86421647, -9.33587662, 0.0], [-3.39709047, -3.39709047, 12.16230246]]
)
WHITE = np.array([0.20449114, 0.17225619, 0.10523047])


def test_opponent_colours_are_those_of_the_published_matrices():
    """Every step of the published chain on a linear curve, one pixel at a time."""
    curve = np.arange(256) / 255
    pixels = np.random.default_rng(1).integers(60, 200, (1, 12, 12, 3)).astype(np.uint8)
    out = false_colour(working(as_images(pixels)), curve).permute(0, 2, 3, 1).numpy()[0] * 255
    for row, column in np.ndindex(12, 12):
        axes = AXES @ (CONES @ (pixels[0, row, column] / 255) - WHITE)
        axes[1], axes[2] = -axes[1], -axes[2]
        light = np.linalg.inv(CONES) @ (np.linalg.inv(AXES) @ axes + WHITE)
        expected = np.clip(light, 0, 1) * 255
        assert np.abs(out[row, column] - expected).max() <= 0.5 + 1e-6


def test_opponent_colours_by_hand():
    """Red light turns green-blue at its luminance: the matrix of the whole chain, worked out apart, on (.8, .4, .4)."""
    curve = np.arange(256) / 255
    image = torch.tensor([204, 102, 102], dtype=torch.uint8).reshape(1, 3, 1, 1)
    out = (false_colour(working(image), curve) * 255).round().flatten().tolist()
    assert out == [53, 155, 155]


def test_the_mean_grey_beyond_the_border_and_the_contrast_under_noise():
    """.4423 outside a low-passed image; noise of width 0 is 30 % of the contrast around .5."""
    black = grey_image(0, 64)
    edge = float(degradation("low-pass", "40").apply(black, seeds(1))[0, 0, 0, 0])
    from scipy.ndimage import gaussian_filter

    expected = gaussian_filter(np.zeros((64, 64)), 40, mode="constant", cval=0.4423)[0, 0]
    assert edge == pytest.approx(expected, abs=0.5 / 255 + 1e-6)
    white = grey_image(255, 8)
    assert set(np.unique(as_bytes(degradation("uniform-noise", "0.00").apply(white, seeds(1))))) == {166}
    assert set(np.unique(as_bytes(degradation("salt-and-pepper", "0.0").apply(white, seeds(1))))) == {166}


def test_grey_has_the_published_weights():
    """.2125 R + .7154 G + .0721 B of 200, 100, 50: 42.5 + 71.54 + 3.605 = 117.645."""
    image = torch.tensor([200, 100, 50], dtype=torch.uint8).reshape(1, 3, 1, 1)
    out = degradation("colour", "bw").apply(image, seeds(1))
    assert out.flatten().tolist() == [118, 118, 118]


def test_the_stand_in_for_the_measured_curve_is_a_power_of_2_2():
    from benchmark.transforms.human import power_law

    curve = power_law()
    assert curve.shape == (256,)
    assert curve[[0, 64, 128, 255]] == pytest.approx([0, 0.0477758, 0.2195197, 1], abs=1e-6)
