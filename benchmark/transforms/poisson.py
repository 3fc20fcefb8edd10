"""Poisson counts by exact inversion: the smallest k whose cumulative probability exceeds a uniform.

A guide table gives the answer for all but the few uniforms that share their bin with a threshold;
those are stepped to it. Exact for 24-bit uniforms: no normal approximation, no truncated tail.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.special import pdtr

_BITS, _GUIDE_BITS = 24, 10


def invert(levels: torch.Tensor, uniform: torch.Tensor, peak: float) -> torch.Tensor:
    """Counts, float32, with means levels / 255 * peak.

    levels: whole numbers 0..255; uniform: int32 in [0, 2**24), of the same shape.
    """
    guide, thresholds = _tables(peak, levels.device)
    flat, draws = levels.reshape(-1).int(), uniform.reshape(-1)
    bins = (flat << _GUIDE_BITS).add_(draws >> (_BITS - _GUIDE_BITS))
    packed = guide.index_select(0, bins)  # count * 2 + whether a threshold lies inside the bin
    counts = (packed >> 1).float()
    unsure = (packed & 1).nonzero()[:, 0]
    counts[unsure] = _step(thresholds, flat[unsure], draws[unsure], counts[unsure].int())
    return counts.reshape(levels.shape)


def _step(
    thresholds: torch.Tensor, levels: torch.Tensor, draws: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Raise each count while its threshold is not above the draw."""
    width = thresholds.shape[1]
    start, line = levels.long() * width, thresholds.reshape(-1)
    while True:
        more = line[start + counts] <= draws
        if not bool(more.any()):
            return counts.float()
        counts = counts + more.int()


@lru_cache(maxsize=16)
def _tables(peak: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(guide int16 [256 * 1024], thresholds int32 [256, K]) for means 0..peak."""
    means = np.arange(256)[:, None] / 255 * peak
    counts = np.arange(int(peak + 8 * np.sqrt(peak) + 16))[None, :]
    thresholds = np.rint(pdtr(counts, means) * 2**_BITS).astype(np.int32)
    edges = np.arange(2**_GUIDE_BITS + 1) << (_BITS - _GUIDE_BITS)
    below = np.stack([np.searchsorted(row, edges, side="right") for row in thresholds])
    inside = below[:, :-1] != np.stack(
        [np.searchsorted(row, edges[1:] - 1, side="right") for row in thresholds]
    )
    guide = (below[:, :-1] * 2 + inside).astype(np.int16).reshape(-1)
    return torch.from_numpy(guide).to(device), torch.from_numpy(thresholds).to(device)
