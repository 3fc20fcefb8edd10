"""Blurs and warps of ImageNet-C."""

import math
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from benchmark.transforms.basics import Streams, blur, in_threads


def defocus_blur(images: torch.Tensor, radius: int, softness: float) -> torch.Tensor:
    """Correlate with a soft disc of `radius` px, borders mirrored without the edge."""
    kernel = disc_kernel(radius, softness)
    reach = kernel.shape[0] // 2
    height, width = images.shape[-2:]
    opencv = opencv_module()
    # In float64 the levels stored from both are equal; OpenCV takes a third of the time of torch's spectra.
    if opencv is not None and images.device.type == "cpu" and images.dtype == torch.float64:
        planes = images.reshape(-1, height, width).numpy()
        done = np.empty_like(planes)
        in_threads(lambda i: opencv.filter2D(planes[i], -1, kernel, dst=done[i]), len(planes))
        return torch.from_numpy(done).reshape(images.shape)
    size = tuple(next_fast_len(length + 2 * reach, real=True) for length in (height, width))
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    # the spectrum of the rotated kernel: the product correlates
    turned = torch.fft.rfft2(torch.from_numpy(kernel).to(images, non_blocking=True), s=size).conj()
    whole: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(padded, s=size) * turned, s=size)
    return whole[..., :height, :width]


@cache
def opencv_module() -> Any:
    """Return OpenCV; None if it is not installed."""
    try:
        return import_module("cv2")
    except ImportError:
        return None


@lru_cache(maxsize=8)
def disc_kernel(radius: int, softness: float) -> NDArray[np.float32]:
    """Build the published kernel: a disc of sum 1 on a grid, blurred by 3 or 5 taps of `softness` px. If the disc
    touches the grid's edge, the blur mirrors weight back. The kernels of radius 8 and 10 sum to 1.013 and 1.011: images
    become that much brighter, as in the published set."""
    reach, taps = (8, 3) if radius <= 8 else (radius, 5)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    mask: NDArray[np.float32] = (x**2 + y**2 <= radius**2).astype(np.float32)
    mask = np.asarray(mask / mask.sum(dtype=np.float32), dtype=np.float32)
    offsets = np.arange(taps // 2 + 1)
    line = np.exp(-(offsets**2) / (2 * softness**2))
    line = (line / (2 * line.sum() - line[0])).astype(np.float32)
    edge = len(line) - 1
    for axis in (1, 0):  # a symmetric pass: each product and sum rounds once, as OpenCV's fused arithmetic does
        padded = np.pad(mask, [(edge, edge) if a == axis else (0, 0) for a in (0, 1)], mode="reflect")
        middle = np.arange(mask.shape[axis]) + edge
        mask = np.take(padded, middle, axis) * line[0]
        for k in range(1, edge + 1):
            pair = [np.take(padded, middle + side * k, axis) for side in (-1, 1)]
            both = (pair[0] + pair[1]).astype(np.float64) * float(line[k])
            mask = np.asarray(mask + both, dtype=np.float32)
    return mask


def zoom_blur(images: torch.Tensor, stop: float, step: float) -> torch.Tensor:
    """Average the image and its enlargements by 1, 1 + step, ... below `stop`. The factors are numpy's `arange`, whose
    rounding includes 1.11 in the first severity. The image counts twice: unchanged, and as the enlargement by 1."""
    factors = np.arange(1, stop, step)
    height, width = images.shape[-2:]
    side_by_side = images.reshape(1, -1, height, width).contiguous(memory_format=torch.channels_last)
    total = side_by_side * 2
    for factor in factors[1:]:
        total += enlarged(side_by_side, float(factor))
    return total.div_(len(factors) + 1).contiguous().reshape(images.shape)


def enlarged(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Enlarge the centre of the images to their own size, bilinear between corners."""
    height, width = images.shape[-2:]
    crops = [math.ceil(length / factor) for length in (height, width)]
    tops = [(length - crop) // 2 for length, crop in zip((height, width), crops, strict=True)]
    size = [round(crop * factor) for crop in crops]
    centre = images[..., tops[0] : tops[0] + crops[0], tops[1] : tops[1] + crops[1]]
    wide = F.interpolate(centre, size=size, mode="bilinear", align_corners=True)
    trims = [(length - whole) // 2 for length, whole in zip(size, (height, width), strict=True)]
    return wide[..., trims[0] : trims[0] + height, trims[1] : trims[1] + width]


def elastic_transform(
    images: torch.Tensor, strength: float, sigma: float, jitter: float, draws: Streams
) -> torch.Tensor:
    """Warp the images. strength: px per unit of the smoothed field; sigma: its smoothness, px; jitter: px."""
    height, width = images.shape[-2:]
    shifts = (2 * draws.uniform_here(3, 2).double() - 1) * jitter
    # First, three points are moved by `shifts` [n, 3, 2] (x, y), with borders mirrored without the edge.
    # Source of each pixel (x, y, 1) of the result, px [n, 2, 3]. The three points are (rows // 2, columns // 2) plus or
    # minus a third of the shorter side, used as (x, y), as published; this matters only for images that are not square.
    centre, third = np.array([height // 2, width // 2], dtype=np.float32), min(height, width) // 3
    start = np.stack([centre + third, centre + third * np.array([1, -1]), centre - third]).astype(np.float32)
    moved = start + shifts.numpy().astype(np.float32)
    homogeneous = np.concatenate([start, np.ones((3, 1))], axis=1).astype(np.float64)
    there = np.stack([np.linalg.solve(homogeneous, to.astype(np.float64)).T for to in moved])
    linear = np.linalg.inv(there[:, :, :2])
    inverse = np.asarray(np.concatenate([linear, -(linear @ there[:, :, 2:])], axis=2), dtype=np.float64)
    scale = np.array([2 / (width - 1), 2 / (height - 1)])
    forward = np.array([[(width - 1) / 2, 0, (width - 1) / 2], [0, (height - 1) / 2, (height - 1) / 2]])
    theta = inverse[:, :, :2] @ forward
    theta[:, :, 2] += inverse[:, :, 2]
    theta *= scale[:, None]
    theta[:, :, 2] -= 1
    # The sums of F.affine_grid, row by column: its product of matrices takes twenty times as long.
    across, down, shift = torch.from_numpy(theta).to(images, non_blocking=True)[..., None, None].unbind(2)
    x, y = (torch.linspace(-1, 1, length, dtype=images.dtype, device=images.device) for length in (width, height))
    grid = across * x + down * y[:, None] + shift
    tilted = F.grid_sample(images, grid.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=True)
    # Then each pixel, by a smooth field.
    field = draws.uniform(height, width), draws.uniform(height, width)  # across, then down
    across, down = (blur(2 * u.to(images) - 1, sigma, "reflect", truncate=3.0).mul_(strength) for u in field)
    rows = torch.arange(height, dtype=images.dtype, device=images.device)[:, None]
    columns = torch.arange(width, dtype=images.dtype, device=images.device)
    grid = torch.stack([((columns + across) * 2 + 1) / width - 1, ((rows + down) * 2 + 1) / height - 1], dim=1)
    return F.grid_sample(tilted, grid.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False)


# Glass blur: the published loop as index arithmetic, exactly.
# The loop visits pixels from the last to the first and copies to each one the *current* value of a neighbour (the
# published swap writes only one side). A neighbour that was visited before holds a copy already, so each pass is a map
# pixel -> pixel with chains; chains are followed by pointer jumping.
def glass_blur(images: torch.Tensor, sigma: float, delta: int, passes: int, draws: Streams) -> torch.Tensor:
    """Blur by `sigma` px and store, move pixels by up to `delta` px `passes` times, then blur again."""
    height, width = images.shape[-2:]
    rough = blur(images, sigma, "nearest").floor_()
    origin: torch.Tensor | None = None
    for _ in range(passes):
        inner = (height - 2 * delta, width - 2 * delta)
        moves = draws.uniform(*inner, 2)  # per pixel across then down, from the last pixel to the first
        steps = (moves * (2 * delta)).long().sub_(delta).flip(1, 2)
        source = followed(steps, height, width, delta)
        origin = source if origin is None else origin.gather(1, source)
    if origin is not None:
        flat = rough.flatten(-2)
        rough = flat.gather(-1, origin[:, None].expand_as(flat)).reshape(images.shape)
    return blur(rough, sigma, "nearest")


def followed(steps: torch.Tensor, height: int, width: int, delta: int) -> torch.Tensor:
    """Return the source of each pixel's value after one pass, [n, H * W]. The `steps` [n, H - 2 delta, W - 2 delta, 2]
    are columns and rows to move by, for the visited pixels in raster order (rows and columns delta + 1 to size -
    delta)."""
    count, total = len(steps), height * width
    inside = (slice(None), slice(delta + 1, height - delta + 1), slice(delta + 1, width - delta + 1))
    further = (steps[..., 1] * width).add_(steps[..., 0])
    pointers = torch.arange(count * total, device=steps.device).reshape(count, height, width)
    waiting = torch.zeros_like(pointers, dtype=torch.bool)
    waiting[inside] = True
    moved = pointers[inside].add_(further)
    # Of a pixel that was visited before, its copy is read.
    waiting[inside] = waiting.reshape(-1).index_select(0, moved.reshape(-1)).reshape(moved.shape) & (further > 0)
    # Let every waiting element point where its chain ends; chains halve in each round.
    pointers, waiting = pointers.reshape(-1), waiting.reshape(-1)
    if steps.device.type != "cpu":  # as many rounds as the longest chain could need, so that none is waited for
        for _ in range(total.bit_length()):
            waiting, pointers = waiting & waiting[pointers], torch.where(waiting, pointers[pointers], pointers)
    else:  # numpy's search for places takes a tenth of the time of torch's
        places, live = pointers.numpy(), np.flatnonzero(waiting.numpy())
        target = places.take(live)
        places[live] = ~target  # negative: it waits
        while len(live):
            places[live] = after = places.take(target)
            still = np.flatnonzero(after < 0)
            live, target = live.take(still), ~after.take(still)
    return pointers.reshape(count, total).sub_(torch.arange(count, device=steps.device)[:, None] * total)


def motion_blur(images: torch.Tensor, radius: int, sigma: float, draws: Streams) -> torch.Tensor:
    """Blur along an angle drawn from -45 to 45 degrees; radius, sigma: px."""
    return smeared(images, radius, sigma, angles(draws, -45, 45))


def angles(draws: Streams, low: float, high: float) -> list[float]:
    """Draw one angle per image, degrees, uniform between two bounds."""
    return [low + (high - low) * u for u in draws.uniform_here(1)[:, 0].tolist()]


def smeared(images: torch.Tensor, radius: int, sigma: float, degrees: list[float]) -> torch.Tensor:
    """Blur integer levels [n, C, H, W] along one angle per image, to integer levels."""
    reach = 2 * radius + 1
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    height, width = images.shape[-2:]
    total = torch.zeros_like(images, memory_format=torch.contiguous_format)
    for out, image, angle in zip(total, padded, degrees, strict=True):  # each tap is a view: nothing is gathered
        for (down, across), weight in taps(radius, sigma, angle).items():
            top, left = reach + down, reach + across
            out.add_(image[:, top : top + height, left : left + width], alpha=weight)
    return total.mul_(257).add_(0.5).floor_().div_(257).floor_()


def taps(radius: int, sigma: float, angle: float) -> dict[tuple[int, int], float]:
    """Map (rows, columns) from a pixel to weights, at one angle; taps on the same pixel are added."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2.0 * sigma**2))
    weights /= weights.sum()
    turn = np.deg2rad(angle)
    down = np.ceil(steps * np.sin(turn) - 0.5).astype(int)
    across = np.ceil(steps * np.cos(turn) - 0.5).astype(int)
    merged: dict[tuple[int, int], float] = {}
    for y, x, weight in zip(down.tolist(), across.tolist(), weights.tolist(), strict=True):
        merged[y, x] = merged.get((y, x), 0.0) + weight
    return merged
