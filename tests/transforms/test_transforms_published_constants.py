"""Published numbers as literals: what the code calls its constants is held against what the papers and the published
code say, never against itself."""

import numpy as np
import pytest
import torch
from transform_samples import as_bytes, seeds

from benchmark.transforms.basics import natural_amplitude
from benchmark.transforms.corruptions import corruption
from benchmark.transforms.human import POWER_LAW, degradation

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


def test_the_stand_ins_for_the_authors_tables():
    """A power of 2.2 for the monitor's curve; the mean amplitude of photographs at some frequencies (rows down, columns
    across), as fitted: 116 grey levels at the middle."""
    assert POWER_LAW[[0, 64, 128, 255]] == pytest.approx([0, 0.0477758, 0.2195197, 1], abs=1e-6)
    places = [(112, 112), (112, 113), (113, 112), (112, 122), (122, 122), (100, 150), (0, 0)]
    expected = [22804.992, 2479.69811, 2627.24777, 186.670717, 84.8047869, 23.0123980, 2.96025600]
    assert natural_amplitude(224, 224)[tuple(zip(*places, strict=True))].tolist() == pytest.approx(expected, rel=1e-6)
