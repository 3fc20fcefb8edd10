"""From a silhouette, a texture and random colours to an image of 64 x 64 pixels.

Three streams of random numbers feed a stimulus: geometry, texture and colour. Conditions that share a seed share them,
so a silhouette or an edge drawing is that of the natural image with the same index, and a change of texture contrast
changes nothing else.

Images inside this module are float32 in [0, 1]; what leaves it is uint8."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.stimuli.world.shapes import SIZE, coverage, outline, silhouette
from benchmark.stimuli.world.streams import Field, Stream, cosine
from benchmark.stimuli.world.textures import texture

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

GAP = (0.12, 0.32)  # difference of luminance between figure and ground
CONTRAST = (0.30, 0.58)  # difference of luminance within the texture
SHADE = 0.25  # strength of the slow light and dark over the figure
CLUTTER = (0.10, 0.50)  # strength of the ground's own smooth noise
LUMA = (0.299, 0.587, 0.114)

_GEOMETRY, _TEXTURE, _COLOUR = 0, 1, 2


@dataclass(frozen=True)
class Scene:
    """What to draw: a shape class, a texture family, the ground's texture contrast."""

    key: tuple[int, int]
    shape: str
    family: str
    spill: float  # contrast of the texture on the ground, as a share of the figure's


def raster(scene: Scene) -> NDArray[np.bool_]:
    """Return the scene's object as a (256, 256) boolean raster."""
    return silhouette(scene.shape, Stream(*scene.key, _GEOMETRY))


def painting(scene: Scene) -> tuple[Image, NDArray[np.bool_]]:
    """Return the textured figure on its ground, and the figure's mask."""
    cover = coverage(raster(scene))
    field = texture(scene.family, Stream(*scene.key, _TEXTURE))
    figure, ground = _surfaces(field, scene.spill, Stream(*scene.key, _COLOUR))
    blend = cover[..., None]
    return _bytes(ground * (1 - blend) + figure * blend), cover >= 0.5


def swatch(scene: Scene) -> tuple[Image, NDArray[np.bool_]]:
    """Return the figure's texture over the whole frame, and an empty mask."""
    field = texture(scene.family, Stream(*scene.key, _TEXTURE))
    figure, _ = _surfaces(field, 0.0, Stream(*scene.key, _COLOUR))
    return _bytes(figure), np.zeros((SIZE, SIZE), np.bool_)


def filled(scene: Scene) -> tuple[Image, NDArray[np.bool_]]:
    """Return the object filled with black on white, and its mask."""
    cover = coverage(raster(scene))
    return _ink(cover), cover >= 0.5


def drawn(scene: Scene) -> tuple[Image, NDArray[np.bool_]]:
    """Return the object's outlines and inner lines, black on white, and its mask."""
    solid = raster(scene)
    return _ink(coverage(outline(solid))), coverage(solid) >= 0.5


def _ink(cover: Field) -> Image:
    return _bytes(np.repeat((1 - cover)[..., None], 3, axis=2))


def _bytes(image: Field) -> Image:
    return np.asarray(np.clip(np.floor(image * 255.0 + 0.5), 0, 255).astype(np.uint8))


def _room(luminance: float) -> float:
    """The greatest contrast around a luminance that keeps clear of black and white."""
    return 1.9 * min(luminance, 1 - luminance)


def _surfaces(field: Field, spill: float, r: Stream) -> tuple[Field, Field]:
    """Return figure and ground, each (64, 64, 3), for a texture with mean zero."""
    gap = r.between(*GAP)
    middle = 0.5 + (0.29 - 0.4 * gap) * r.between(-1, 1)
    step = r.sign() * gap / 2
    contrast = min(r.between(*CONTRAST), _room(middle + step))
    luminance, ground_luminance, polarity = middle + step, middle - step, r.sign()
    swing = polarity * contrast / 2
    dark, bright = _colour(r, luminance - swing), _colour(r, luminance + swing)
    shade = 1.0 + SHADE * _clouds(r, (2, 3))
    figure = _mix(dark, bright, field + 0.5) * shade[..., None]
    ends = _colour(r, ground_luminance), _colour(r, ground_luminance)
    strength = r.between(*CLUTTER) * (1 - spill)
    ground = _mix(*ends, _resize(r.grid(2))) + (strength * _clouds(r, (3, 5, 9, 17)))[..., None]
    swing = polarity * min(contrast, _room(ground_luminance)) * spill / 2
    low, high = _colour(r, 0.5 - swing, 0.3), _colour(r, 0.5 + swing, 0.3)
    # Turned a quarter, the ground's texture never runs on across the object's border.
    turned = np.rot90(field)
    if spill > 0:
        ground = ground + _mix(low, high, turned) - _mix(low, high, np.zeros_like(turned))
    return figure, ground


def _colour(r: Stream, luminance: float, saturation: float = 0.5) -> Colour:
    """A random colour of about the given luminance, inside [0, 1]."""
    hue, strength = r.unit(), saturation * r.unit() * 1.2 * min(luminance, 1 - luminance)
    wheel = [cosine(hue - third / 3) for third in range(3)]
    grey = sum(a * b for a, b in zip(wheel, LUMA, strict=True))
    red, green, blue = (min(max(luminance + strength * (w - grey), 0.0), 1.0) for w in wheel)
    return red, green, blue


def _mix(low: Colour, high: Colour, share: Field) -> Field:
    """Between two colours, (64, 64, 3)."""
    channels = [share * (b - a) + a for a, b in zip(low, high, strict=True)]
    return np.stack(channels, axis=2)


def _clouds(r: Stream, sides: tuple[int, ...]) -> Field:
    """Smooth noise of mean about zero within [-0.5, 0.5]: coarse grids count most."""
    total = np.zeros((SIZE, SIZE), np.float32)
    weight, weights = 1.0, 0.0
    for side in sides:
        total += weight * _resize(r.grid(side))
        weights += weight
        weight *= 0.6
    return total / np.float32(weights) - np.float32(0.5)


def _resize(grid: Field) -> Field:
    """Interpolate a (k, k) grid smoothly to (64, 64)."""
    at = np.arange(SIZE) * (len(grid) - 1) / (SIZE - 1)
    left = np.minimum(at.astype(np.int64), len(grid) - 2)  # the grid point before each pixel
    way = at - left
    eased = (way * way * (3 - 2 * way)).astype(np.float32)
    rows = grid[left] + (grid[left + 1] - grid[left]) * eased[:, None]
    return np.asarray(rows[:, left] + (rows[:, left + 1] - rows[:, left]) * eased)
