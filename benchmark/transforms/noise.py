"""Noise of ImageNet-C: independent for every pixel and channel.

Every function here and in the modules beside it takes whole grey levels 0..255 [n, 3, H, W] of any
float type, the level's constants and the draws, and gives grey levels before clipping and storing.
"""

from __future__ import annotations

import torch

from benchmark.transforms.streams import Draws


def gaussian_noise(images: torch.Tensor, sd: float, draws: Draws) -> torch.Tensor:
    """Add normal noise; sd: share of the grey range."""
    return draws.normal(*images.shape[1:]).to(images).mul_(255 * sd).add_(images)


def speckle_noise(images: torch.Tensor, sd: float, draws: Draws) -> torch.Tensor:
    """Multiply by 1 + normal noise; sd: share of the pixel's value."""
    return draws.normal(*images.shape[1:]).to(images).mul_(sd).mul_(images).add_(images)


def shot_noise(images: torch.Tensor, peak: float, draws: Draws) -> torch.Tensor:
    """Replace each value by a Poisson count; peak: expected photons of a white pixel."""
    return draws.poisson(images, peak).to(images).div_(peak).clamp_(max=1).mul_(255)


def impulse_noise(images: torch.Tensor, share: float, draws: Draws) -> torch.Tensor:
    """Replace a share of the values, half of them by white and half by black."""
    uniform, white = draws.uniform_and_coin(*images.shape[1:])
    return torch.where(uniform <= share, white.to(images).mul_(255), images)
