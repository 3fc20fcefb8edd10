"""ImageNet-C's corruptions: their functions. Planning them (`imagenet_c`) needs none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmark.transforms import basics, blur, weather
from benchmark.transforms.basics import Seeds, Streams, grey_levels, in_parts, in_threads, stored_levels, widest
from benchmark.transforms.listing import constants_of

Pixels = NDArray[np.uint8]


def contrast(images: torch.Tensor, share: float) -> torch.Tensor:
    """Move each channel towards its own mean over the image."""
    mean = images.mean(dim=(-2, -1), keepdim=True)
    return (images - mean).mul_(share).add_(mean)


#: Levels before storing [k], and where in them each pixel's level is: a table is stored in less time than images are.
Tabled = tuple[torch.Tensor, torch.Tensor]


def brightness(images: torch.Tensor, rise: float) -> Tabled:
    """Raise the HSV value by a share of the range at constant hue and saturation: RGB * V' / V."""
    return _brightened(rise, images.device), images.amax(dim=1, keepdim=True) * 256 + images


@lru_cache(maxsize=32)
def _brightened(rise: float, device: torch.device) -> torch.Tensor:
    """Return [256 * 256]: largest channel * 256 + level -> grey level before storing."""
    # Published in float64: a table of float32 stores one value in twenty a level off.
    most, level = np.meshgrid(np.arange(256) / 255, np.arange(256) / 255, indexing="ij")
    raised = np.clip(most + rise, 0, 1)
    ratio = np.divide(level, most, out=np.ones_like(level), where=level < most)
    values = np.where(level < most, raised * ratio, raised) * 255
    return torch.from_numpy(values.ravel()).to(device, torch.float32)


def saturate(images: torch.Tensor, factor: float, rise: float) -> torch.Tensor:
    """Set HSV saturation S to S * factor + rise within [0, 1] at constant hue and value. Grey pixels have hue 0, so a
    rise makes them reddish, as published. Many results are integers in exact arithmetic, and rounding errors store them
    one lower, so the published steps through hue and its six sectors are repeated exactly."""
    images = images / 255
    red, green, blue = images.unbind(1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    span = value - least
    grey, zero, unit = span == 0, torch.zeros_like(span), torch.ones_like(span)
    divisor = torch.where(grey, unit, span)
    hue = torch.where(red == value, (green - blue) / divisor, zero)
    hue = torch.where(green == value, 2 + (blue - red) / divisor, hue)
    hue = torch.where(blue == value, 4 + (red - green) / divisor, hue)
    turn = torch.where(grey, zero, (hue / 6).remainder_(1.0)) * 6
    after = (span / torch.where(grey, unit, value) * factor + rise).clamp_(0, 1)
    sector = turn.floor()
    part = turn - sector
    low = value * (1 - after)
    falling = value * (1 - part * after)
    rising = value * (1 - (1 - part) * after)
    sector = sector.remainder_(6).long()
    choices = torch.stack([value, falling, low, rising], dim=1)
    order = torch.tensor(_SECTORS).to(images.device, non_blocking=True)[sector]  # [n, H, W, 3]
    return choices.gather(1, order.permute(0, 3, 1, 2)).mul_(255)


#: Per sector of the hue circle, which of (value, falling, low, rising) is red, green, blue.
_SECTORS = ((0, 3, 2), (1, 0, 2), (2, 0, 3), (2, 1, 0), (3, 2, 0), (0, 2, 1))


def pixelate(images: torch.Tensor, share: float) -> torch.Tensor:
    """Shrink uint8 images to `share` of the size and enlarge them, both by PIL's box average."""
    height, width = images.shape[-2:]
    small = (int(width * share), int(height * share))
    alike = is_nearest(small[0], width) and is_nearest(small[1], height)
    enlarging = Image.Resampling.NEAREST if alike else Image.Resampling.BOX

    def again(pixels: Pixels) -> Image.Image:
        return Image.fromarray(pixels).resize(small, Image.Resampling.BOX).resize((width, height), enlarging)

    return by_pil(images, again)


@lru_cache(maxsize=64)
def is_nearest(small: int, length: int) -> bool:
    """Return whether PIL's nearest neighbour, which takes a tenth of the time, enlarges a line as its box average does.
    It does at 224 px; at some other sizes it rounds a place otherwise."""
    line = Image.fromarray(np.arange(small, dtype=np.int32)[None])
    box, nearest = (line.resize((length, 1), how) for how in (Image.Resampling.BOX, Image.Resampling.NEAREST))
    return np.array_equal(np.asarray(box), np.asarray(nearest))


def by_pil(images: torch.Tensor, change: Callable[[Pixels], Image.Image]) -> torch.Tensor:
    """Apply PIL to uint8 images [n, 3, H, W] on the CPU, with as many threads as torch has; a GPU waits for it."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    out = np.empty_like(pixels)

    def put(at: int) -> None:
        out[at] = np.asarray(change(pixels[at]))

    in_threads(put, len(pixels))
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(images.device)


def jpeg_compression(images: torch.Tensor, quality: int) -> torch.Tensor:
    """Encode and decode uint8 images with PIL's codec (chroma at half resolution)."""

    def again(pixels: Pixels) -> Image.Image:
        file = BytesIO()
        image = Image.fromarray(pixels)
        image.save(file, "JPEG", quality=quality)
        # the format and the size are known
        return Image.frombytes("RGB", image.size, file.getbuffer(), "jpeg", "RGB", "")

    return by_pil(images, again)


# Noise of ImageNet-C: independent for every pixel and channel.
# Every function of a corruption takes integer grey levels 0..255 [n, 3, H, W] of any float type, the constants of the
# severity and the draws, and returns grey levels before clipping and storing.
def gaussian_noise(images: torch.Tensor, sd: float, draws: Streams) -> torch.Tensor:
    """Add normal noise; sd: share of the grey range."""
    return draws.normal(*images.shape[1:]).to(images).mul_(255 * sd).add_(images)


def speckle_noise(images: torch.Tensor, sd: float, draws: Streams) -> torch.Tensor:
    """Multiply by 1 + normal noise; sd: share of the pixel's value."""
    return draws.normal(*images.shape[1:]).to(images).mul_(sd).mul_(images).add_(images)


def shot_noise(images: torch.Tensor, peak: float, draws: Streams) -> Tabled:
    """Replace each value by a Poisson count; peak: expected photons of a white pixel."""
    # Counts above the peak are white.
    counts = draws.poisson(images, peak).clamp_(max=peak)
    return torch.arange(peak + 1, dtype=widest(images.device), device=images.device).div_(peak).mul_(255), counts


def impulse_noise(images: torch.Tensor, share: float, draws: Streams) -> torch.Tensor:
    """Replace a share of the values, half of them by white and half by black."""
    uniform, white = draws.uniform_and_coin(*images.shape[1:])
    return torch.where(uniform <= share, white.to(images).mul_(255), images.contiguous())


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One corruption; its constants are in `imagenet_c_constants.yaml`."""

    #: (integer levels [n, 3, H, W], *constants, draws if random) -> levels before storing.
    function: Callable[..., torch.Tensor | Tabled] = field(repr=False)
    units: Sequence[str]
    constants: Sequence[Sequence[Any]]  # per severity, in the order of `units`
    random: bool = False  # whether it takes draws
    #: The function's input: float32; float64 if float32 would change stored levels; integers for tables and choices.
    dtype: torch.dtype = torch.float32
    on_processor: bool = False  # whether a library of the processor does the work
    whole: bool = False  # whether it returns integers 0..255 without clipping
    together: int = 4  # number of images at a time on the CPU; few fit its cache


_FUNCTIONS = {**vars(blur), **vars(weather), **globals(), "gaussian_blur": partial(basics.blur, border="nearest")}
#: A corruption has the name of its function.
CORRUPTIONS: Mapping[str, Corruption] = {
    name: Corruption(**{"function": _FUNCTIONS[name], **row, "dtype": getattr(torch, row.get("dtype", "float32"))})
    for name, row in constants_of().items()
}


def corrupted(
    what: Corruption, levels: torch.Tensor, constants: Sequence[Any], draws: Streams | None, half: float = 0.0
) -> torch.Tensor:
    """Apply a corruption to integer levels and store the result as uint8: `half` is added (0.5 to round), values are
    clipped, and the fraction is dropped. A random corruption gets `draws`. Levels in float64 stay in float64."""
    kind = what.dtype
    if kind.is_floating_point and torch.float64 in (kind, levels.dtype):
        kind = widest(levels.device)
    # Of stored images PIL takes the layout of files.
    layout = torch.preserve_format if kind == torch.uint8 else torch.contiguous_format
    work = levels.to(kind, memory_format=layout)
    out = what.function(work, *constants, *((draws,) if what.random else ()))
    values, place = out if isinstance(out, tuple) else (out, None)
    if values.is_floating_point() and not what.whole:
        values = values.clamp(0, 255).add_(half) if half else values.clamp(0, 255)
    stored = values.to(torch.uint8)  # which drops the fraction
    return stored if place is None else stored.index_select(0, place.int().reshape(-1)).reshape(place.shape)


def changed(
    images: torch.Tensor, seeds: Seeds, condition: str, constants: Sequence[Any], *, jpeg85: bool, half: float
) -> torch.Tensor:
    """Apply a corruption, NAME/SEVERITY, as `imagenet_c.corruption`, to images of grey levels (uint8) or in [0,1]."""
    what = CORRUPTIONS[condition.partition("/")[0]]
    levels_of = stored_levels if what.on_processor else grey_levels

    def change(images: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        draws = Streams(seeds, condition, images.device) if what.random else None
        stored = images.dtype == torch.uint8
        out = corrupted(what, images if stored else levels_of(images), constants, draws, half)
        out = jpeg_compression(out, 85) if jpeg85 else out
        return out if stored else out.float().div_(255)

    return in_parts(images, seeds, what.together, change)
