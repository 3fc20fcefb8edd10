"""The human degradations for the world's 64 px images, without grey and low contrast, on which its networks were never
trained. Noise is grey. All: images NCHW float32 in [0,1], level, seeds uint64 [n] -> images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.transforms.basics import Streams, blur, rounded, scramble

Seeds = NDArray[np.uint64]


def uniform_noise(images: Tensor, width: float, seeds: Seeds) -> Tensor:
    """Add noise uniform in +-`width`, one draw per pixel."""
    return rounded(images + width * (2 * _draws(images, f"uniform-noise/{width}", seeds) - 1))


def salt_and_pepper(images: Tensor, share: float, seeds: Seeds) -> Tensor:
    """Return a `share` of the pixels black or white, half each."""
    place = _draws(images, f"salt-and-pepper/{share}", seeds)
    return rounded(torch.where(place < share, (place < share / 2).to(images), images))


def low_pass(images: Tensor, sigma: float, seeds: Seeds) -> Tensor:  # noqa: ARG001 - every corruption takes seeds
    """Blur by a Gaussian of `sigma` px, each channel separately, mirrored at the border."""
    return rounded(blur(images, sigma, "reflect"))


def high_pass(images: Tensor, sigma: float, seeds: Seeds) -> Tensor:  # noqa: ARG001
    """Return the image minus its blur of `sigma` px, around the image's mean colour."""
    mean = images.mean(dim=(-2, -1), keepdim=True)
    return rounded(images - blur(images, sigma, "reflect") + mean)


def contrast(images: Tensor, share: float, seeds: Seeds) -> Tensor:  # noqa: ARG001
    """Draw the image towards mid grey; `share` 1 is full contrast."""
    return rounded(0.5 + share * (images - 0.5))


def phase_scrambling(images: Tensor, width: float, seeds: Seeds) -> Tensor:
    """Shift phases by up to +-`width` degrees, alike in the three channels."""
    draws = Streams(seeds, f"phase-scrambling/{width}", images.device)
    return rounded(scramble(images, width, draws))


def rotation(images: Tensor, degrees: int, seeds: Seeds) -> Tensor:  # noqa: ARG001
    """Turn counter-clockwise by a multiple of 90 degrees."""
    return torch.rot90(images, degrees // 90, dims=(-2, -1))


def _draws(images: Tensor, label: str, seeds: Seeds) -> Tensor:
    """Return numbers uniform in [0, 1), one per pixel: [n, 1, H, W]."""
    return Streams(seeds, label, images.device).uniform(1, *images.shape[-2:])
