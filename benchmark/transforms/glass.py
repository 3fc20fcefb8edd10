"""Glass blur: the published loop as index arithmetic, exactly.

The loop visits pixels from the last to the first and copies to each one the *current* value of a
neighbour (the published swap writes only one side). A neighbour that was visited before holds a copy
already, so each pass is a map pixel -> pixel with chains; chains are followed by pointer jumping.
"""

from __future__ import annotations

import torch

from benchmark.transforms.matrices import blur
from benchmark.transforms.streams import Draws


def glass_blur(
    images: torch.Tensor, sigma: float, delta: int, passes: int, draws: Draws
) -> torch.Tensor:
    """Blur by `sigma` px and store, move pixels by up to `delta` px `passes` times, blur again."""
    height, width = images.shape[-2:]
    rough = blur(images, sigma, "nearest").floor_()
    origin: torch.Tensor | None = None
    for _ in range(passes):
        inner = (height - 2 * delta, width - 2 * delta)
        moves = draws.uniform(
            *inner, 2
        )  # per pixel across then down, from the last pixel to the first
        steps = (moves * (2 * delta)).long().sub_(delta).flip(1, 2)
        source = followed(steps, height, width, delta)
        origin = source if origin is None else origin.gather(1, source)
    if origin is not None:
        flat = rough.flatten(-2)
        rough = flat.gather(-1, origin[:, None].expand_as(flat)).reshape(images.shape)
    return blur(rough, sigma, "nearest")


def followed(steps: torch.Tensor, height: int, width: int, delta: int) -> torch.Tensor:
    """Where each pixel's value comes from after one pass: [n, H * W].

    steps [n, H - 2 delta, W - 2 delta, 2]: columns and rows to move by, of the visited pixels in
    raster order (rows and columns delta + 1 to size - delta).
    """
    count, total = len(steps), height * width
    own = torch.arange(total, device=steps.device).reshape(height, width)
    source = own.repeat(count, 1, 1)
    inside = (
        slice(None),
        slice(delta + 1, height - delta + 1),
        slice(delta + 1, width - delta + 1),
    )
    moved = source[inside].add_(steps[..., 1] * width).add_(steps[..., 0])
    visited = torch.zeros((height, width), dtype=torch.bool, device=steps.device)
    visited[inside[1:]] = True
    later = visited.reshape(-1)[moved] & (moved > own[inside[1:]])
    waiting = torch.zeros_like(source, dtype=torch.bool)
    waiting[inside] = later
    base = torch.arange(count, device=steps.device)[:, None] * total
    pointers = (source.reshape(count, total) + base).reshape(-1)
    _jump(pointers, waiting.reshape(-1))
    return pointers.reshape(count, total) - base


def _jump(pointers: torch.Tensor, waiting: torch.Tensor) -> None:
    """Let every waiting element point where its chain ends; chains halve in each round. In place."""
    live = waiting.nonzero()[:, 0]
    while len(live):
        target = pointers[live]
        further, still = pointers[target], waiting[target]
        pointers[live] = further
        waiting[live] = still
        live = live[still]
