"""Motion blur as ImageMagick computes it, by shifted additions: no ImageMagick.

Taps run to one side along the angle, weighted by half a Gaussian; results are rounded on the 16-bit
scale and cut to 8 bits, which reproduces ImageMagick 7 (16-bit build) byte for byte.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.transforms.streams import Draws


class Tap(NamedTuple):
    """Rows and columns to read away from the pixel, and the weight."""

    down: int
    across: int
    weight: float


def motion_blur(images: torch.Tensor, radius: int, sigma: float, draws: Draws) -> torch.Tensor:
    """Blur along an angle drawn from -45 to 45 degrees; radius, sigma: px."""
    return smeared(images, radius, sigma, angles(draws, -45, 45))


def angles(draws: Draws, low: float, high: float) -> list[float]:
    """One angle per image, degrees, uniform between two bounds."""
    return [low + (high - low) * u for u in draws.uniform(1)[:, 0].tolist()]


def smeared(images: torch.Tensor, radius: int, sigma: float, degrees: list[float]) -> torch.Tensor:
    """Whole levels [n, C, H, W] -> whole levels, blurred along one angle per image."""
    reach = 2 * radius + 1
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    plans = [taps(radius, sigma, angle) for angle in degrees]
    add = _add_slices if images.device.type == "cpu" else _add_gathers
    total = add(padded, plans, reach, images.shape[-2:])
    return total.mul_(257).add_(0.5).floor_().div_(257).floor_()


def taps(radius: int, sigma: float, angle: float) -> list[Tap]:
    """The taps of one angle; those that fall on the same pixel are one."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2.0 * sigma**2))
    weights /= weights.sum()
    turn = np.deg2rad(angle)
    down = np.ceil(steps * np.sin(turn) - 0.5).astype(int)
    across = np.ceil(steps * np.cos(turn) - 0.5).astype(int)
    merged: dict[tuple[int, int], float] = {}
    for y, x, weight in zip(down.tolist(), across.tolist(), weights.tolist(), strict=True):
        merged[y, x] = merged.get((y, x), 0.0) + weight
    return [Tap(y, x, weight) for (y, x), weight in merged.items()]


def _add_slices(
    padded: torch.Tensor, plans: list[list[Tap]], reach: int, size: torch.Size
) -> torch.Tensor:
    """One image at a time, each tap a view: nothing is gathered, an image stays in cache."""
    height, width = size
    total = padded.new_zeros((*padded.shape[:-2], height, width))
    for out, image, plan in zip(total, padded, plans, strict=True):
        for tap in plan:
            top, left = reach + tap.down, reach + tap.across
            out.add_(image[:, top : top + height, left : left + width], alpha=tap.weight)
    return total


def _add_gathers(
    padded: torch.Tensor, plans: list[list[Tap]], reach: int, size: torch.Size
) -> torch.Tensor:
    """All images in one launch per tap."""
    height, width = size
    stride = padded.shape[-1]
    most = max(len(plan) for plan in plans)
    full = [plan + [Tap(0, 0, 0.0)] * (most - len(plan)) for plan in plans]
    table = torch.tensor(full, dtype=torch.float64)
    offsets = ((table[..., 0] + reach) * stride + table[..., 1] + reach).long().to(padded.device)
    weights = table[..., 2].to(padded)
    rows = torch.arange(height, device=padded.device)[:, None] * stride
    base = (rows + torch.arange(width, device=padded.device)).reshape(1, 1, -1)
    flat = padded.flatten(-2)
    total = padded.new_zeros((*padded.shape[:2], height * width))
    for k in range(most):
        index = (base + offsets[:, k, None, None]).expand(-1, padded.shape[1], -1)
        total += flat.gather(-1, index) * weights[:, k, None, None]
    return total.reshape(*padded.shape[:2], height, width)
