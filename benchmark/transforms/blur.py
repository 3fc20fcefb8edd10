"""Blurs of ImageNet-C that need no random numbers: Gaussian, defocus, zoom."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.transforms.matrices import blur


def gaussian_blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian of `sigma` px, edges repeated."""
    return blur(images, sigma, "nearest")


def defocus_blur(images: torch.Tensor, radius: int, softness: float) -> torch.Tensor:
    """Correlate with a soft disc of `radius` px, borders mirrored without the edge."""
    kernel = disc(radius, softness)
    reach = kernel.shape[0] // 2
    height, width = images.shape[-2:]
    size = tuple(_smooth_length(length + 2 * reach) for length in (height, width))
    padded = _mirrored(images, reach, size)
    turned = _spectrum(radius, softness, size, images.device, images.dtype)
    product = torch.fft.rfft2(padded).mul_(turned)
    whole: torch.Tensor = torch.fft.irfft2(product, s=size)
    return whole[..., :height, :width]


def _mirrored(images: torch.Tensor, reach: int, size: tuple[int, ...]) -> torch.Tensor:
    """[..., *size]: the images in a border of `reach` px, mirrored without the edge; zeros below and to the right."""
    height, width = images.shape[-2:]
    if size == (height + 2 * reach, width + 2 * reach):
        return F.pad(images, (reach,) * 4, mode="reflect")
    wide = images.new_zeros(*images.shape[:-2], *size)
    down = wide[..., reach : reach + width]
    down[..., :reach, :] = images[..., 1 : reach + 1, :].flip(-2)
    down[..., reach : reach + height, :] = images
    down[..., reach + height : 2 * reach + height, :] = images[..., -reach - 1 : -1, :].flip(-2)
    wide[..., :reach] = wide[..., reach + 1 : 2 * reach + 1].flip(-1)
    across = wide[..., width - 1 : width + reach - 1].flip(-1)
    wide[..., reach + width : 2 * reach + width] = across
    return wide


@lru_cache(maxsize=8)
def disc(radius: int, softness: float) -> NDArray[np.float32]:
    """The published kernel: a disc of sum 1 on a grid, blurred by 3 or 5 taps of `softness` px.

    Where the disc touches the grid's edge the blur mirrors weight back in, so the kernels of radius 8
    and 10 sum to 1.013 and 1.011: images get that much brighter, as in the published set.
    """
    reach, taps = (8, 3) if radius <= 8 else (radius, 5)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    mask: NDArray[np.float32] = (x**2 + y**2 <= radius**2).astype(np.float32)
    mask = np.asarray(mask / mask.sum(dtype=np.float32), dtype=np.float32)
    offsets = np.arange(taps // 2 + 1)
    line = np.exp(-(offsets**2) / (2 * softness**2))
    line = (line / (2 * line.sum() - line[0])).astype(np.float32)
    for axis in (1, 0):
        mask = _softened(mask, line, axis)
    return mask


def _softened(
    mask: NDArray[np.float32], line: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """One symmetric pass; each product and sum rounds once, as OpenCV's fused arithmetic does."""
    reach, size = len(line) - 1, mask.shape[axis]
    sides = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
    padded = np.pad(mask, sides, mode="reflect")
    total = np.take(padded, np.arange(size) + reach, axis) * line[0]
    for k in range(1, reach + 1):
        pair = [np.take(padded, np.arange(size) + reach + side * k, axis) for side in (-1, 1)]
        both = (pair[0] + pair[1]).astype(np.float64) * float(line[k])
        total = (total + both).astype(np.float32)
    return np.asarray(total, dtype=np.float32)


@lru_cache(maxsize=32)
def _spectrum(
    radius: int, softness: float, size: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Spectrum of the kernel turned round, so that the product correlates."""
    flat = torch.from_numpy(disc(radius, softness)).to(torch.float64)
    spectrum: torch.Tensor = torch.fft.rfft2(flat, s=size).conj().resolve_conj()
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    return spectrum.to(wide).to(device)


def _smooth_length(length: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def zoom_blur(images: torch.Tensor, stop: float, step: float) -> torch.Tensor:
    """Mean of the image and its enlargements by 1, 1 + step, ... below `stop`.

    The list is numpy's `arange`, whose rounding lets 1.11 into the first severity. The image itself
    counts twice: once as it is, once as the enlargement by 1.
    """
    factors = np.arange(1, stop, step)
    height, width = images.shape[-2:]
    side_by_side = images.reshape(1, -1, height, width).contiguous(
        memory_format=torch.channels_last
    )
    total = side_by_side * 2
    for factor in factors[1:]:
        total += enlarged(side_by_side, float(factor))
    return total.div_(len(factors) + 1).contiguous().reshape(images.shape)


def enlarged(images: torch.Tensor, factor: float) -> torch.Tensor:
    """The centre of the images enlarged to their own size, bilinear between corners."""
    height, width = images.shape[-2:]
    crops = [math.ceil(length / factor) for length in (height, width)]
    tops = [(length - crop) // 2 for length, crop in zip((height, width), crops, strict=True)]
    size = [round(crop * factor) for crop in crops]
    centre = images[..., tops[0] : tops[0] + crops[0], tops[1] : tops[1] + crops[1]]
    wide = F.interpolate(centre, size=size, mode="bilinear", align_corners=True)
    trims = [(length - whole) // 2 for length, whole in zip(size, (height, width), strict=True)]
    return wide[..., trims[0] : trims[0] + height, trims[1] : trims[1] + width]
