"""Template readers: simulated people who read the built-in world's silhouettes.

A reader sees a grey image at 4 x 4 pixels a cell, adds its own early noise, blurs, takes out mean and contrast, and
correlates what is left with silhouettes that it has learnt (matched filters), a cell to every side, in either
polarity. It answers the category of the best match, after noise of the decision. Early noise is why a reader fails on
low contrast (equivalent input noise: Pelli & Farell 1999, JOSA A 16, 647), noise of the decision why two readers
differ on images that both see well.

Noise is drawn from what the image holds, cell by cell, and the reader's seed: the same image has the same answer in any
batch, and two readers are independent. Nothing is differentiable: an answer is all that a reader has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

EXEMPLARS = 512
CELL = 4  # pixels of a cell, each way
SIDE = 16  # cells of an image and of a template, each way
REACH = 1  # cells by which an image may lie away from a template
LUMINANCE = (0.2125, 0.7154, 0.0721)  # of R, G, B, as in the human experiments
MEAN, DEVIATION = 0.5, 0.25  # the card's normalisation
_EARLY, _LATE = 1, 2  # streams of random numbers
_FLAT = 1e-6  # contrast of an image without any

_GOLDEN = -7046029254386353131  # the constants of splitmix64 as signed numbers
_FIRST = -4658895280553007687
_SECOND = -7723592293110705685


class TemplateReader(nn.Module):
    """One simulated person. templates: [EXEMPLARS, 16, 16] uint8, the share of each cell that a silhouette covers
    (255: all of it), in the order of their categories, equally many of each.

    seed: of its noise; blur: standard deviation in cells; early: of the noise on what it sees, in parts of the grey
    range; late: of the noise on its correlations.
    """

    templates: Tensor
    luminance: Tensor

    def __init__(self, classes: int, seed: int, blur: float, early: float, late: float) -> None:
        super().__init__()
        self.classes, self.seed, self.blur = classes, seed, blur
        self.early, self.late = early, late
        self.register_buffer("templates", torch.zeros(EXEMPLARS, SIDE, SIDE, dtype=torch.uint8))
        self.register_buffer("luminance", torch.tensor(LUMINANCE), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (n, 3, 64, 64) to matches (n, classes), absolute correlations with noise."""
        levels = ((x.float() * DEVIATION + MEAN) * 255).round().clamp(0, 255)
        sums = (functional.avg_pool2d(levels, CELL) * CELL**2).round()
        keys = image_keys(sums, self.seed)
        cells = (sums * self.luminance[:, None, None]).sum(1, keepdim=True) / (255 * CELL**2)
        cells = cells + self.early * normal(keys, SIDE * SIDE, _EARLY).view_as(cells)
        matches = self._matches(contrast(blurred(cells, self.blur)))
        return matches + self.late * normal(keys, self.classes, _LATE)

    def _matches(self, seen: Tensor) -> Tensor:
        """The best match of each category: [n, 1, 16, 16] -> [n, classes]."""
        known = contrast(blurred(self.templates[:, None].float() / 255, self.blur))
        around = functional.pad(seen, (REACH,) * 4, mode="replicate")
        found = functional.conv2d(around, known).abs().amax((2, 3))
        best: Tensor = found.reshape(len(found), self.classes, -1).amax(2)
        return best


def template_reader(
    num_classes: int = 16, *, seed: int, blur: float, early: float, late: float
) -> nn.Module:
    """Return a reader without templates: the card's weights bring them."""
    return TemplateReader(num_classes, seed, blur, early, late)


def blurred(cells: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [n, 1, h, w] by `sigma` cells, mirrored at the border."""
    radius = math.ceil(3 * sigma)
    at = torch.arange(-radius, radius + 1, device=cells.device, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(cells, (radius,) * 4, mode="reflect")
    across = functional.conv2d(padded, kernel[None, None, None, :])
    return functional.conv2d(across, kernel[None, None, :, None])


def contrast(cells: Tensor) -> Tensor:
    """[n, 1, h, w] with mean 0 and length 1 each."""
    centred = cells - cells.mean((-2, -1), keepdim=True)
    return centred / (centred.square().sum((-2, -1), keepdim=True).sqrt() + _FLAT)


def image_keys(sums: Tensor, seed: int) -> Tensor:
    """One 64-bit number per image [n], from the seed and the sums of 8-bit levels in each cell and channel."""
    flat = sums.to(torch.int64).flatten(1)
    places = mixed(torch.arange(1, flat.shape[1] + 1, device=flat.device))
    return mixed((mixed(flat + places)).sum(1) + seed * _GOLDEN % 2**63)


def normal(keys: Tensor, count: int, stream: int) -> Tensor:
    """[n, count] standard normal numbers of a stream of each key, float32 (Box & Muller 1958)."""
    at = torch.arange(count, device=keys.device)
    base = mixed(keys + stream)[:, None] + 2 * at
    first, second = _unit(base), _unit(base + 1)
    return (-2 * first.log()).sqrt() * torch.cos(2 * math.pi * second)


def mixed(z: Tensor) -> Tensor:
    """splitmix64 (Steele et al. 2014) on int64, which wraps as unsigned numbers do."""
    z = z * _GOLDEN
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shifted right with zeros coming in, which `>>` on signed numbers does not do."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _unit(z: Tensor) -> Tensor:
    """A number in (0, 1) of each, 23 random bits and never either end."""
    return (_shifted(mixed(z), 41).to(torch.float32) + 0.5) * 2.0**-23
