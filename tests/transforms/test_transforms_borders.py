"""Where a filter reads beyond the border: the rules by their letters."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmark.transforms.basics import folded
from benchmark.transforms.blur import defocus_blur, disc, enlarged, gaussian_blur, zoom_blur

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
