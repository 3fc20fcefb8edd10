"""Digital corruptions of ImageNet-C: brightness, contrast, saturation, pixelation, JPEG."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def contrast(images: torch.Tensor, share: float) -> torch.Tensor:
    """Draw each channel towards its own mean over the image."""
    mean = images.mean(dim=(-2, -1), keepdim=True)
    return (images - mean).mul_(share).add_(mean)


def brightness(images: torch.Tensor, rise: float) -> torch.Tensor:
    """Raise the HSV value by a share of the range, hue and saturation kept: RGB * V' / V.

    The result follows from a pixel's level and its largest channel alone, so it is a table.
    """
    table = _brightened(rise, images.device, images.dtype)
    most = images.amax(dim=1, keepdim=True)
    return table[(most * 256 + images).int()]


@lru_cache(maxsize=32)
def _brightened(rise: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """[256 * 256]: largest channel * 256 + level -> grey level before storing."""
    most, level = np.meshgrid(np.arange(256) / 255, np.arange(256) / 255, indexing="ij")
    raised = np.clip(most + rise, 0, 1)
    ratio = np.divide(level, most, out=np.ones_like(level), where=level < most)
    values = np.where(level < most, raised * ratio, raised) * 255
    return torch.from_numpy(np.clip(values, 0, 255).reshape(-1)).to(device=device, dtype=dtype)


def saturate(images: torch.Tensor, factor: float, rise: float) -> torch.Tensor:
    """HSV saturation S -> S * factor + rise within [0, 1]; hue and value kept.

    Grey pixels have hue 0, so a rise turns them reddish, as published. Many results are whole levels
    in exact arithmetic and are stored one lower where a rounding falls short, so the way through hue
    and its six sectors is followed step by step.
    """
    hue, before, value = _hsv(images / 255)
    after = (before * factor + rise).clamp_(0, 1)
    turn = hue * 6
    sector = turn.floor()
    part = turn - sector
    low = value * (1 - after)
    falling = value * (1 - part * after)
    rising = value * (1 - (1 - part) * after)
    sector = sector.remainder_(6).long()
    choices = torch.stack([value, falling, low, rising], dim=1)
    order = torch.tensor(_SECTORS, device=images.device)[sector]  # [n, H, W, 3]
    return choices.gather(1, order.permute(0, 3, 1, 2)).mul_(255)


#: Per sector of the hue circle, which of (value, falling, low, rising) is red, green, blue.
_SECTORS = ((0, 3, 2), (1, 0, 2), (2, 0, 3), (2, 1, 0), (3, 2, 0), (0, 2, 1))


def _hsv(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hue in [0, 1), saturation and value [n, H, W] of images in [0, 1]; hue 0 where grey."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    span = value - least
    grey = span == 0
    divisor = torch.where(grey, torch.ones_like(span), span)
    hue = torch.where(red == value, (green - blue) / divisor, torch.zeros_like(span))
    hue = torch.where(green == value, 2 + (blue - red) / divisor, hue)
    hue = torch.where(blue == value, 4 + (red - green) / divisor, hue)
    hue = torch.where(grey, torch.zeros_like(hue), (hue / 6).remainder_(1.0))
    return hue, span / torch.where(grey, torch.ones_like(value), value), value


def pixelate(images: torch.Tensor, share: float) -> torch.Tensor:
    """Shrink uint8 images to `share` of the size and enlarge again, both by PIL's box average."""
    height, width = images.shape[-2:]
    small = (int(width * share), int(height * share))
    if images.device.type == "cuda":
        return _boxes(_boxes(images, small), (width, height))

    enlarge = _enlarging(small, (width, height))

    def again(pixels: Pixels) -> Image.Image:
        image = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
        return image.resize((width, height), enlarge)

    return by_pil(images, again)


@lru_cache(maxsize=32)
def _enlarging(small: tuple[int, int], size: tuple[int, int]) -> Image.Resampling:
    """The quicker "nearest" where it reads the same pixels as "box" (as at 224 px), else "box"."""
    y, x = np.mgrid[: small[1], : small[0]]
    for place in (x % 256, x // 256, y % 256, y // 256):
        image = Image.fromarray(place.astype(np.uint8))
        ways = (Image.Resampling.NEAREST, Image.Resampling.BOX)
        near, box = (np.asarray(image.resize(size, way)) for way in ways)
        if not np.array_equal(near, box):
            return Image.Resampling.BOX
    return Image.Resampling.NEAREST


def by_pil(images: torch.Tensor, change: Callable[[Pixels], Image.Image]) -> torch.Tensor:
    """Apply PIL to uint8 images [n, 3, H, W] on the processor, on as many threads as torch has: a GPU waits for it."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    out = np.empty_like(pixels)

    def put(at: int) -> None:
        out[at] = np.asarray(change(pixels[at]))

    threads = min(torch.get_num_threads(), len(pixels))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(put, range(len(pixels))))
    else:
        for at in range(len(pixels)):
            put(at)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(images.device)


def _boxes(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """PIL's box resize to (width, height) as two passes of whole-number matrices: the same bytes."""
    wide = images.double()
    across = box_matrix(wide.shape[-1], size[0])
    down = box_matrix(wide.shape[-2], size[1])
    for matrix, turn in ((across, True), (down, False)):
        weights = torch.from_numpy(matrix).to(wide)
        total = wide @ weights.T if turn else weights @ wide
        wide = ((total + 2**21) / 2**22).floor().clamp(0, 255)
    return wide.to(images.dtype)


@lru_cache(maxsize=64)
def box_matrix(size: int, target: int) -> NDArray[np.float64]:
    """[target, size]: box weights in units of 2**-22, whole numbers, as PIL rounds them."""
    scale = size / target
    support = 0.5 * max(scale, 1.0)
    matrix = np.zeros((target, size))
    for row in range(target):
        centre = (row + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        place = (np.arange(first, last) - centre + 0.5) / max(scale, 1.0)
        weights = ((place > -0.5) & (place <= 0.5)).astype(np.float64)
        matrix[row, first:last] = np.floor(0.5 + weights / weights.sum() * 2**22)
    return matrix


def jpeg_compression(images: torch.Tensor, quality: int) -> torch.Tensor:
    """Encode and decode uint8 images with PIL's codec (chroma at half resolution)."""

    def again(pixels: Pixels) -> Image.Image:
        file = BytesIO()
        image = Image.fromarray(pixels)
        image.save(file, "JPEG", quality=quality)
        # what it is, and its size, need not be read from it
        return Image.frombytes("RGB", image.size, file.getbuffer(), "jpeg", "RGB", "")

    return by_pil(images, again)
