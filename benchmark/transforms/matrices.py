"""Separable filters as dense matrices: filtering an image is `A @ image @ A.T`, whatever the border
rule.

The rule is folded into the matrix, so wide kernels cost no more than narrow ones. Border rules by
scipy's names: "nearest" repeats the edge, "reflect" mirrors with the edge (d c b a | a b c d),
"mirror" without it, "zero" adds nothing (a constant border c is `c + filter(image - c)`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@lru_cache(maxsize=256)
def gaussian(size: int, sigma: float, border: str, truncate: float = 4.0) -> Floats:
    """[size, size] float64: a normalised Gaussian of `sigma` px cut at int(truncate * sigma + 0.5)
    px."""
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    out = np.zeros((size, size))
    rows = np.arange(size)
    for offset, weight in zip(range(-radius, radius + 1), weights, strict=True):
        columns, inside = folded(rows + offset, size, border)
        np.add.at(out, (rows[inside], columns[inside]), weight)
    return out


def folded(
    index: NDArray[np.int64], size: int, border: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where an index beyond the border reads from, and which indices read anything."""
    inside = np.ones(index.shape, dtype=bool)
    if border == "nearest":
        return np.clip(index, 0, size - 1), inside
    if border == "reflect":
        turn = np.mod(index, 2 * size)
        return np.where(turn < size, turn, 2 * size - 1 - turn), inside
    if border == "mirror":
        turn = np.mod(index, max(2 * size - 2, 1))
        return np.where(turn < size, turn, 2 * size - 2 - turn), inside
    inside = (index >= 0) & (index < size)
    return np.where(inside, index, 0), inside


@lru_cache(maxsize=256)
def _placed(
    size: int, sigma: float, border: str, truncate: float, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    return torch.from_numpy(gaussian(size, sigma, border, truncate)).to(device=device, dtype=dtype)


def blur(images: torch.Tensor, sigma: float, border: str, truncate: float = 4.0) -> torch.Tensor:
    """Gaussian blur of `sigma` px of [..., H, W], channels apart; sigma 0 leaves the images as they
    are."""
    if sigma == 0:
        return images
    height, width = images.shape[-2:]
    rows = _placed(height, sigma, border, truncate, images.device, images.dtype)
    columns = _placed(width, sigma, border, truncate, images.device, images.dtype)
    return rows @ (images @ columns.T)
