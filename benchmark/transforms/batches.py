"""Working through a batch in parts, so that what a step touches stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Seeds = NDArray[np.uint64]


def in_parts(
    images: torch.Tensor,
    seeds: Seeds,
    together: int,
    change: Callable[[torch.Tensor, Seeds], torch.Tensor],
) -> torch.Tensor:
    """`change` of `together` images at a time; other devices take the whole batch, or 1 where it is 1."""
    if not len(images):
        return images.clone()
    whole = images.device.type != "cpu" and together > 1
    step = len(images) if whole else together
    starts = range(0, len(images), step)
    parts = [change(images[i : i + step], seeds[i : i + step]) for i in starts]
    return torch.cat(parts) if len(parts) > 1 else parts[0]
