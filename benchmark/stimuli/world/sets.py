"""The world's stimulus sets: which stimuli each one holds, and how to draw one of them. Everything about stimulus
`index` follows from the set's condition, seed and that index, so stimuli can be drawn in any order."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.contracts.declarations import package_data
from benchmark.failures import unknown_name
from benchmark.stimuli.image_files import stimuli_of, text_digest
from benchmark.stimuli.world import objects
from benchmark.stimuli.world.polygons import Drawing, rasterise
from benchmark.stimuli.world.streams import Field, Stream, cosine, sine, sine_field
from benchmark.stimuli.world.textures import FAMILIES, texture

# The sixteen silhouettes and how one of them is placed in the frame. A silhouette has the proportions of its class with
# jitter, then a gentle warp, shear, change of aspect, mirror, rotation within a limit of its class, scale and position.
# The result is a (256, 256) boolean raster: four cells to a pixel each way.

SIZE = 64
CELLS = 4  # raster cells to a pixel, each way

#: Class -> how far it may turn either way, degrees; each is drawn by the function of its name in `objects`.
TURNS = {
    "airplane": 60, "bear": 15, "bicycle": 15, "bird": 20, "boat": 15, "bottle": 40, "car": 15, "cat": 15, "chair": 15,
    "clock": 20, "dog": 15, "elephant": 15, "keyboard": 35, "knife": 70, "oven": 12, "truck": 15,
}  # fmt: skip

WARP = 0.04
SHEAR = 0.10
ASPECT = 0.10
SCALE = (0.70, 0.95)  # half the longer side, in half frames


def silhouette(category: str, stream: Stream) -> NDArray[np.bool_]:
    """Return one example of the category as a (256, 256) boolean raster."""
    drawing = Drawing()
    getattr(objects, category)(drawing, stream)
    sizes = [len(p) for p in drawing.polygons]
    points, r = np.concatenate(drawing.polygons), stream
    # Warp each coordinate by two slow waves of the other one; shear, stretch, mirror and turn.
    x, y = points[:, 0], points[:, 1]
    for cycles in (0.35, 0.60):
        wave = sine_field((cycles * points[:, 1] + r.unit()).astype(np.float32))
        x = x + (WARP * r.between(-1, 1)) * wave
    for cycles in (0.35, 0.60):
        wave = sine_field((cycles * points[:, 0] + r.unit()).astype(np.float32))
        y = y + (WARP * r.between(-1, 1)) * wave
    stretch = 1 + ASPECT * r.between(-1, 1)
    x = (x + SHEAR * r.between(-1, 1) * y) * (stretch * r.sign())
    y = y / stretch
    angle = TURNS[category] / 360 * r.between(-1, 1)
    c, s = cosine(angle), sine(angle)
    points = np.stack([c * x - s * y, s * x + c * y], axis=1)
    # Scale the box around the solid part and move it, so that it stays in the frame.
    solid = points[np.repeat(drawing.adds, sizes)]
    low, high = solid.min(axis=0), solid.max(axis=0)
    scale = r.between(*SCALE) * 2 / float((high - low).max())
    room = np.maximum(0.97 - (high - low) * (scale / 2), 0.0)
    shift = np.array([r.between(-1, 1), r.between(-1, 1)]) * room
    points = np.asarray((points - (low + high) / 2) * scale + shift)
    drawing.polygons = np.split(points, np.cumsum(sizes)[:-1])
    return rasterise(drawing, SIZE * CELLS)


def coverage(raster: NDArray[np.bool_]) -> Field:
    """Return the share of each pixel that is covered, (64, 64) float32 in sixteenths."""
    cells = raster.reshape(SIZE, CELLS, SIZE, CELLS)
    counts = cells.sum(axis=(1, 3), dtype=np.uint8).astype(np.float32)
    return np.asarray(counts / np.float32(CELLS * CELLS))


def outline(raster: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the lines along every border of the object, inner ones included: two cells to either side."""
    from scipy.ndimage import maximum_filter  # a ranked table lists the world's sets and draws none

    inside, outside = (maximum_filter(cells, 5, mode="constant") for cells in (raster, ~raster))
    return np.asarray(inside & outside)


# From a silhouette, a texture and random colours to an image of 64 x 64 pixels. Three streams of random numbers feed a
# stimulus: geometry, texture and colour. Conditions that share a seed share them: a silhouette or an edge drawing is
# that of the natural image with the same index. Images inside this module are float32 in [0, 1]; uint8 leaves it.

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

GAP = (0.12, 0.32)  # difference of luminance between figure and ground
CONTRAST = (0.30, 0.58)  # difference of luminance within the texture
SHADE = 0.25  # strength of the slow light and dark over the figure
CLUTTER = (0.10, 0.50)  # strength of the ground's own smooth noise
LUMA = (0.299, 0.587, 0.114)

_GEOMETRY, _TEXTURE, _COLOUR = 0, 1, 2


def _bytes(image: Field) -> Image:
    return np.asarray(np.clip(np.floor(image * 255.0 + 0.5), 0, 255).astype(np.uint8))


def _room(luminance: float) -> float:
    """Return the greatest contrast around a luminance that keeps clear of black and white."""
    return 1.9 * min(luminance, 1 - luminance)


def _colour(r: Stream, luminance: float, saturation: float = 0.5) -> Colour:
    """Return a random colour of about the given luminance, inside [0, 1]."""
    hue, strength = r.unit(), saturation * r.unit() * 1.2 * min(luminance, 1 - luminance)
    wheel = [cosine(hue - third / 3) for third in range(3)]
    grey = sum(a * b for a, b in zip(wheel, LUMA, strict=True))
    red, green, blue = (min(max(luminance + strength * (w - grey), 0.0), 1.0) for w in wheel)
    return red, green, blue


def _mix(low: Colour, high: Colour, share: Field) -> Field:
    """Mix two colours by a share, (64, 64, 3)."""
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


PREFIX, SPACE = "world-", "world16"
CATEGORIES: tuple[str, ...] = tuple(TURNS)
TEXTURES: tuple[str, ...] = tuple(FAMILIES)  # texture i belongs to category i
GENERATOR_VERSION = 1  # raised whenever any pixel of any set changes

_COUNT = len(CATEGORIES)
_PAIRS = tuple((s, t) for s in range(_COUNT) for t in range(_COUNT) if s != t)
_LABELS = 3  # the random stream of a stimulus that chooses its texture and spill
_TRAINING_SEED = 1_000_000  # training seeds start here, evaluation seeds stay below
CONDITIONS: Mapping[str, Mapping[str, Any]] = package_data("benchmark.stimuli", "world/sets")
#: Names of the sets, each a condition after the prefix.
WORLD_SETS: tuple[str, ...] = tuple(PREFIX + condition for condition in CONDITIONS)


def is_generated(name: str) -> bool:
    """Return whether a name belongs to the built-in world."""
    return name.startswith(PREFIX)


@cache
def generated_set(name: str) -> Stimuli:
    """Return a set of the built-in world. Raises UnknownName."""
    if name not in WORLD_SETS:
        raise unknown_name("stimulus set", name, WORLD_SETS)
    condition = name.removeprefix(PREFIX)
    how = CONDITIONS[condition]
    return replace(_generated(name, condition, how["size"], how["seed"]), whole=how["size"], origin="generated")


def training_set(condition: str, n: int, seed: int) -> Stimuli:
    """Return a set of n stimuli for training; no evaluation set shares its stimuli."""
    return _generated(f"world-training-{condition}-{seed}", condition, n, _TRAINING_SEED + seed)


def _generated(name: str, condition: str, n: int, seed: int) -> Stimuli:
    """Return a set with the labels "shape"; "texture", the category whose texture is shown; "category", the right
    answer. An item's digest covers its recipe, which decides its pixels."""
    how = CONDITIONS[condition]
    pairs = [_pair(how["texture"], seed, i) for i in range(n)]
    shape, texture = ([CATEGORIES[pair[at]] if how["shown"][at] else "" for pair in pairs] for at in (0, 1))
    category = [s or t for s, t in zip(shape, texture, strict=True)]
    named = category if how["texture"] == "own" else map("-".join, zip(shape, texture, strict=True))
    columns = {"category": category, "shape": shape, "texture": texture}
    return stimuli_of(
        name=name,
        space=SPACE,
        ids=tuple(f"{own}-{i:04d}" for i, own in enumerate(named)),
        items=tuple(text_digest(f"world:{GENERATOR_VERSION}:{condition}:{seed}:{i}") for i in range(n)),
        labels={column: np.array(values) for column, values in columns.items() if any(values)},
        decode=partial(_image, condition, seed),
        mask=partial(_mask, condition, seed),
    )


def _pair(texture: str, seed: int, index: int) -> tuple[int, int]:
    """Return the shape and the texture of a stimulus: the shape's "own", an "other" one, or a "random" one."""
    if texture == "other":
        return _PAIRS[index % len(_PAIRS)]
    shape = index % _COUNT
    return shape, Stream(seed, index, _LABELS, 1).pick(_COUNT) if texture == "random" else shape


def _image(condition: str, seed: int, index: int) -> Image:
    """Return the image of one stimulus, (64, 64, 3) uint8. A "painting" shows the textured object on its ground, a
    "swatch" its texture over the whole frame. "solid" and "drawn" objects and outlines are black on white."""
    how = CONDITIONS[condition]
    if how["draw"] in ("solid", "drawn"):
        cells = _object(condition, seed, index)
        ink = coverage(outline(cells) if how["draw"] == "drawn" else cells)
        return _bytes(np.repeat((1 - ink)[..., None], 3, axis=2))
    # Ground texture contrast as a share of the figure's: uniform, a third of them full.
    spill = how["spill"] if "spill" in how else min(1.0, 1.5 * Stream(seed, index, _LABELS).unit())
    family = TEXTURES[_pair(how["texture"], seed, index)[1]]
    field, r = texture(family, Stream(seed, index, _TEXTURE)), Stream(seed, index, _COLOUR)
    gap = r.between(*GAP)
    middle = 0.5 + (0.29 - 0.4 * gap) * r.between(-1, 1)
    step = r.sign() * gap / 2
    contrast = min(r.between(*CONTRAST), _room(middle + step))
    luminance, ground_luminance, polarity = middle + step, middle - step, r.sign()
    swing = polarity * contrast / 2
    dark, bright = _colour(r, luminance - swing), _colour(r, luminance + swing)
    shade = 1.0 + SHADE * _clouds(r, (2, 3))
    figure = _mix(dark, bright, field + 0.5) * shade[..., None]
    if how["draw"] == "swatch":
        return _bytes(figure)
    ends = _colour(r, ground_luminance), _colour(r, ground_luminance)
    strength = r.between(*CLUTTER) * (1 - spill)
    ground = _mix(*ends, _resize(r.grid(2))) + (strength * _clouds(r, (3, 5, 9, 17)))[..., None]
    if spill > 0:
        swing = polarity * min(contrast, _room(ground_luminance)) * spill / 2
        low, high = _colour(r, 0.5 - swing, 0.3), _colour(r, 0.5 + swing, 0.3)
        # Turned a quarter, the ground's texture never runs on across the object's border.
        ground = ground + _mix(low, high, np.rot90(field)) - _mix(low, high, np.zeros_like(field))
    blend = coverage(_object(condition, seed, index))[..., None]
    return _bytes(ground * (1 - blend) + figure * blend)


def _object(condition: str, seed: int, index: int) -> NDArray[np.bool_]:
    """Return the object of one stimulus as a (256, 256) boolean raster."""
    shape, _ = _pair(CONDITIONS[condition]["texture"], seed, index)
    return silhouette(CATEGORIES[shape], Stream(seed, index, _GEOMETRY))


def _mask(condition: str, seed: int, index: int) -> NDArray[np.bool_]:
    """Return the mask of its object, (64, 64) bool: empty if none is shown."""
    if not CONDITIONS[condition]["shown"][0]:
        return np.zeros((SIZE, SIZE), np.bool_)
    return np.asarray(coverage(_object(condition, seed, index)) >= 0.5)
