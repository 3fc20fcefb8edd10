"""Weather of ImageNet-C: snow, frost, fog."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.transforms.blur import enlarged
from benchmark.transforms.motion import angles, smeared
from benchmark.transforms.streams import Draws

Texture = NDArray[np.uint8]
FROST_USED = 5  # the published code draws from five of its six pictures


def snow(
    images: torch.Tensor,
    flakes: tuple[float, float],
    zoom: float,
    threshold: float,
    motion: tuple[int, float],
    kept: float,
    draws: Draws,
) -> torch.Tensor:
    """Whiten, then add wind-blown flakes and the same flakes turned by 180 degrees.

    flakes: mean and sd of the normal field they are cut from; zoom: their size; threshold: below it
    nothing; motion: radius and sigma, px; kept: share of the image that is not whitened.
    """
    height, width = images.shape[-2:]
    field = draws.normal(1, height, width).to(images) * flakes[1] + flakes[0]
    layer = enlarged(field, zoom)
    layer = torch.where(layer < threshold, torch.zeros_like(layer), layer).clamp_(0, 1)
    blown = smeared(layer.mul_(255).floor_(), *motion, angles(draws, -135, -45))
    red, green, blue = images.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
    white = torch.maximum(images, grey * 1.5 + 127.5)
    return torch.lerp(white, images, kept).add_(blown + torch.rot90(blown, 2, dims=(-2, -1)))


def frost(
    images: torch.Tensor,
    share: float,
    ice: float,
    textures: Sequence[Texture],
    draws: Draws,
) -> torch.Tensor:
    """Mix `share` of the image with `ice` of a random crop of one of the first five textures.

    textures: HWC uint8 RGB, not resized, each larger than the images on both sides.
    """
    height, width = images.shape[-2:]
    check_textures(textures, height, width)
    crops = []
    for pick, down, across in draws.uniform(3).tolist():
        texture = textures[int(pick * FROST_USED)]
        top = int(down * (texture.shape[0] - height))
        left = int(across * (texture.shape[1] - width))
        crops.append(texture[top : top + height, left : left + width].transpose(2, 0, 1))
    cover = torch.from_numpy(np.stack(crops)).to(images.device).to(images.dtype)
    return images * share + cover * ice


def check_textures(textures: Sequence[Texture], height: int, width: int) -> None:
    """Raise StimuliError unless there are five textures that a crop of H x W px fits into."""
    if len(textures) < FROST_USED:
        raise StimuliError(
            f"frost needs the {FROST_USED} published textures (frost1.png to frost5.jpg); "
            f"{len(textures)} were given"
        )
    for number, texture in enumerate(textures[:FROST_USED], start=1):
        if texture.shape[0] <= height or texture.shape[1] <= width:
            raise StimuliError(
                f"frost texture {number} is {texture.shape[1]} x {texture.shape[0]} px; "
                f"it must be larger than the images ({width} x {height} px)"
            )


def fog(images: torch.Tensor, strength: float, decay: float, draws: Draws) -> torch.Tensor:
    """Add `strength` times a cloud and scale back to the image's own maximum."""
    height, width = images.shape[-2:]
    side = 1 << (max(height, width) - 1).bit_length()
    cloud = plasma(draws.uniform(side * side - 1).to(images), side, decay)
    most = images.amax(dim=(1, 2, 3), keepdim=True)
    lifted = images + (255 * strength) * cloud[:, None, :height, :width]
    return lifted.mul_(most / (most + 255 * strength))


def plasma(uniforms: torch.Tensor, side: int, decay: float) -> torch.Tensor:
    """Clouds [n, side, side] in [0, 1] by the diamond-square rule on a periodic grid.

    uniforms [n, side**2 - 1] in the order of the published loop: per level squares, then the two sets
    of diamonds. Noise has the amplitude w**2, not w, so each level decays by decay**2, as published.
    """
    grid = uniforms.new_zeros((len(uniforms), side, side))
    step, wobble, used = side, 100.0, 0
    while step >= 2:
        cells = side // step
        noise = uniforms[:, used : used + 3 * cells**2].reshape(-1, 3, cells, cells)
        _refine(grid, step, wobble * ((2 * noise - 1) * wobble))
        used += 3 * cells**2
        step, wobble = step // 2, wobble / decay
    grid -= grid.amin(dim=(1, 2), keepdim=True)
    return grid.div_(grid.amax(dim=(1, 2), keepdim=True))


def _refine(grid: torch.Tensor, step: int, noise: torch.Tensor) -> None:
    """One level: the squares' centres, then the diamonds' in rows, then in columns. In place."""
    half = step // 2
    corner = grid[:, ::step, ::step]
    pairs = corner + corner.roll(-1, 1)
    grid[:, half::step, half::step] = (pairs + pairs.roll(-1, 2)) / 4 + noise[:, 0]
    centre = grid[:, half::step, half::step]
    rows = (centre + centre.roll(1, 1)) + (corner + corner.roll(-1, 2))
    grid[:, ::step, half::step] = rows / 4 + noise[:, 1]
    columns = (centre + centre.roll(1, 2)) + (corner + corner.roll(-1, 1))
    grid[:, half::step, ::step] = columns / 4 + noise[:, 2]
