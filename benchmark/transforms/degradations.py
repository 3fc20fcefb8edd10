"""The degradations of Geirhos et al. 2018, each a pure function of working-precision images in
[0,1].

`images` [n, 3, H, W] on the 1/255 grid -> [n, 1 or 3, H, W], not yet stored as uint8. Pixel sizes
are pixels of the image that is shown (224 px in the experiments).
"""

from __future__ import annotations

import math

import torch

from benchmark.transforms.matrices import blur
from benchmark.transforms.pixels import luminance
from benchmark.transforms.streams import Draws

BACKGROUND = 0.4423  # mean grey of the experiments' photographs: what lies beyond the border
NOISE_CONTRAST = 0.3  # noise is added to images of this contrast


def contrast(images: torch.Tensor, level: float) -> torch.Tensor:
    """Grey images drawn towards 0.5; `level` 1 is full contrast."""
    return (1 - level) / 2 + luminance(images) * level


def uniform_noise(images: torch.Tensor, width: float, draws: Draws) -> torch.Tensor:
    """Low-contrast grey images plus noise uniform in +-`width` per pixel."""
    grey = contrast(images, NOISE_CONTRAST)
    noise = draws.uniform(1, *grey.shape[-2:]).to(grey)
    return (grey + (2 * noise - 1) * width).clamp(0, 1)


def salt_and_pepper(images: torch.Tensor, share: float, draws: Draws) -> torch.Tensor:
    """Low-contrast grey images with a `share` of the pixels replaced, half white and half black."""
    grey = contrast(images, NOISE_CONTRAST)
    place = draws.uniform(1, *grey.shape[-2:]).to(grey)
    white, black = place >= 1 - share / 2, place < share / 2
    return (grey + white.to(grey) - black.to(grey)).clamp(0, 1)


def low_pass(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Grey images blurred by a Gaussian of `sigma` px, grey beyond the border."""
    return blur(luminance(images) - BACKGROUND, sigma, "zero") + BACKGROUND


def high_pass(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Grey images minus their blur of `sigma` px, moved to the mean grey; infinite sigma: plain
    grey."""
    grey = luminance(images)
    if math.isinf(sigma):
        return grey
    fine = grey - low_pass(images, sigma)
    return fine + (BACKGROUND - fine.mean(dim=(-2, -1), keepdim=True))


def rotate(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """Grey square images turned counter-clockwise by a multiple of 90 degrees, pixel for pixel."""
    return torch.rot90(luminance(images), int(degrees) // 90, dims=(-2, -1))
