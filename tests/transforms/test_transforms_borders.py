"""Where a filter reads beyond the border: the rules by their letters."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmark.transforms.basics import folded
from benchmark.transforms.blur import defocus_blur, disc, enlarged, followed, gaussian_blur, zoom_blur

LETTERS = np.array(list("abcd"))


@pytest.mark.parametrize(
    ("border", "size", "expected"),
    [
        ("nearest", 4, "aaaaabcddddd"),
        ("reflect", 4, "dcbaabcddcba"),
        ("mirror", 4, "cdcbabcdcbab"),
        ("constant", 4, "....abcd...."),
        ("reflect", 2, "abbaabbaabba"),
        ("mirror", 2, "abababababab"),
        ("mirror", 1, "aaaaaaaaaaaa"),
    ],
)
def test_indices_beyond_the_border(border, size, expected):
    index, inside = folded(np.arange(-4, 8), size, border)
    read = "".join(np.where(inside, LETTERS[index], "."))
    assert read == expected
    assert index.min() >= 0 and index.max() < size


def turned(images):
    return images.transpose(-1, -2).contiguous()


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (33, 50)])
def test_blurs_know_no_direction(shape):
    """Down and across alike, whatever the sides: a turned image is the turned result."""
    images = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(1)).double()
    for how in (lambda x: zoom_blur(x, 1.16, 0.01), lambda x: defocus_blur(x, 4, 0.5), lambda x: gaussian_blur(x, 1.5)):
        assert torch.allclose(how(turned(images)), turned(how(images)), atol=1e-6)
        assert how(images).shape == images.shape


def test_a_point_out_of_focus_is_a_disc():
    """29 pixels lie within 3 px of a pixel; a softness of .1 px leaves them as they are."""
    point = torch.zeros(1, 1, 21, 25, dtype=torch.float64)
    point[0, 0, 10, 12] = 1
    seen = defocus_blur(point, 3, 0.1)[0, 0]
    y, x = torch.meshgrid(torch.arange(21) - 10, torch.arange(25) - 12, indexing="ij")
    expected = (x**2 + y**2 <= 9).double() / 29
    assert int((x**2 + y**2 <= 9).sum()) == 29
    assert torch.allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 32), (25, 30), (31, 29)])
def test_out_of_focus_is_a_correlation_with_mirrored_borders(shape):
    """Whatever the sides: of lengths that are transformed as they are (40 and 48 with their borders) or are not."""
    images = torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(2)).double()
    seen = defocus_blur(images, 6, 0.5)[0].numpy()
    for channel, image in enumerate(images[0].numpy()):
        expected = ndimage.correlate(image, disc(6, 0.5).astype(float), mode="mirror")
        assert np.allclose(seen[channel], expected, atol=1e-12)


def test_enlarging_keeps_the_centre():
    """By two, of a ramp along one side: half its slope around the same middle."""
    ramp = torch.arange(12.0, dtype=torch.float64).expand(1, 1, 8, 12)
    wide = enlarged(ramp, 2.0)[0, 0]
    assert wide.shape == (8, 12)
    expected = 3 + 5 * torch.arange(12.0, dtype=torch.float64) / 11  # of columns 3 to 8
    assert torch.allclose(wide, expected.expand(8, 12))
    assert torch.allclose(enlarged(turned(ramp), 2.0)[0, 0], expected[:, None].expand(12, 8))


@pytest.mark.parametrize(("height", "width"), [(14, 9), (9, 14), (10, 10)])
def test_glass_copies_from_the_last_pixel_to_the_first(height, width):
    """Every visited pixel takes what stands where it points to, after later ones have done so."""
    delta = 2
    rng = np.random.default_rng(height)
    steps = rng.integers(-delta, delta, (1, height - 2 * delta, width - 2 * delta, 2))
    expected = np.arange(height * width).reshape(height, width)
    for row in range(height - delta, delta, -1):
        for column in range(width - delta, delta, -1):
            across, down = steps[0, row - delta - 1, column - delta - 1]
            expected[row, column] = expected[row + down, column + across]
    found = followed(torch.from_numpy(steps), height, width, delta)
    assert found.tolist() == [expected.ravel().tolist()]
