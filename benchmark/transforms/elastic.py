"""Elastic transform of ImageNet-C: a random affine map, then a smooth random displacement."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.transforms.matrices import blur
from benchmark.transforms.streams import Draws


def elastic_transform(
    images: torch.Tensor, strength: float, sigma: float, jitter: float, draws: Draws
) -> torch.Tensor:
    """Warp; strength: px per unit of the smoothed field; sigma: its smoothness, px; jitter: px."""
    height, width = images.shape[-2:]
    corners = (2 * draws.uniform(3, 2).cpu().double() - 1) * jitter
    tilted = _affine(images, corners.numpy())
    field = draws.uniform(height, width), draws.uniform(height, width)  # across, then down
    across, down = (_smooth(u.to(images), sigma, strength) for u in field)
    rows = torch.arange(height, dtype=images.dtype, device=images.device)[:, None]
    columns = torch.arange(width, dtype=images.dtype, device=images.device)
    grid = torch.stack(
        [
            ((columns + across) * 2 + 1) / width - 1,
            ((rows + down) * 2 + 1) / height - 1,
        ],
        dim=-1,
    )
    return F.grid_sample(tilted, grid, padding_mode="reflection", align_corners=False)


def _smooth(uniforms: torch.Tensor, sigma: float, strength: float) -> torch.Tensor:
    return blur(2 * uniforms - 1, sigma, "reflect", truncate=3.0).mul_(strength)


def _affine(images: torch.Tensor, shifts: NDArray[np.float64]) -> torch.Tensor:
    """Move three points of each image by `shifts` [n, 3, 2] (x, y) px; borders mirror, no edge twice."""
    height, width = images.shape[-2:]
    inverse = _backward(shifts, height, width)
    scale = np.array([2 / (width - 1), 2 / (height - 1)])
    forward = np.array(
        [[(width - 1) / 2, 0, (width - 1) / 2], [0, (height - 1) / 2, (height - 1) / 2]]
    )
    theta = inverse[:, :, :2] @ forward
    theta[:, :, 2] += inverse[:, :, 2]
    theta *= scale[:, None]
    theta[:, :, 2] -= 1
    grid = F.affine_grid(torch.from_numpy(theta).to(images), list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def _backward(shifts: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """[n, 2, 3]: where each pixel (x, y, 1) of the result lies in the image, px.

    The three points are given as (rows // 2, columns // 2) plus or minus a third of the shorter side,
    and read as (x, y), as published; the two differ only where images are not square.
    """
    centre = np.array([height // 2, width // 2], dtype=np.float32)
    third = min(height, width) // 3
    start = np.stack([centre + third, centre + third * np.array([1, -1]), centre - third])
    start = start.astype(np.float32)
    moved = start + shifts.astype(np.float32)
    homogeneous = np.concatenate([start, np.ones((3, 1))], axis=1).astype(np.float64)
    forward = np.stack([np.linalg.solve(homogeneous, to.astype(np.float64)).T for to in moved])
    linear = np.linalg.inv(forward[:, :, :2])
    offset = -(linear @ forward[:, :, 2:])
    return np.asarray(np.concatenate([linear, offset], axis=2), dtype=np.float64)
