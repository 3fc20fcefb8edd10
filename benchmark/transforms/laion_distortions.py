"""The distortions of LAION-C (Li et al. 2025, arXiv:2506.16950), on images of 224 px. Random choices follow from each
image's seed, unlike the authors'; glitches use the authors' seed 1 for all."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.contracts import Stimuli, Transform
from benchmark.failures import PluginError
from benchmark.transforms.basics import Seeds, Streams, stored_levels
from registry.model import centre_crop, shorter_side

Pixels = NDArray[np.uint8]
GLITCH = (2, 4, 5, 8, 10)
TILES = (4, 6, 8, 16, 28)
STICKERS, STICKER = (100, 200, 400, 600, 1200), 16
LINES = ((224, 1), (178, 2), (112, 4), (84, 6), (60, 8))
REACH = 40  # px to the left at a black cell
SHAPES = (150, 300, 600, 800, 1000)
BRIGHTER = ((0, 50), (50, 100), (100, 125), (125, 150), (150, 255))
CHECKER = 14
MOST_PICTURES = 2000  # decoded for mosaics and stickers
VERSION = 1


@dataclass(frozen=True, eq=False)
class TilePictures:
    """The natural set of the small pictures: its first MOST_PICTURES images."""

    stimuli: Stimuli

    @lru_cache(maxsize=len(TILES))  # noqa: B019 - the sets of a run are few
    def shrunk(self, side: int) -> Pixels:
        """Return [k, side, side, 3]: shorter side 256, centre crop 224, then shrunk (bilinear, antialiased)."""
        decoded = (self.stimuli.decode(i) for i in range(len(self.stimuli))[:MOST_PICTURES])
        crops = (Image.fromarray(centre_crop(shorter_side(image, 256, "bilinear"), 224)) for image in decoded)
        return np.stack([np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR)) for crop in crops])


def mosaic(image: Pixels, _rng: np.random.Generator, *, level: int, pictures: TilePictures) -> Pixels:
    """Replace each tile by the small picture with the nearest mean colour, on the next multiple of the tile."""
    from scipy.spatial import KDTree

    side, height, width = TILES[level - 1], *image.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    tiles = pictures.shrunk(side)
    means = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC), dtype=float)
    nearest = KDTree(tiles.mean(axis=(1, 2))).query(means)[1]
    whole = tiles[nearest].swapaxes(1, 2).reshape(rows * side, columns * side, 3)
    top, left = (rows * side - height) // 2, (columns * side - width) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def distortion(name: str, level: int, *, pictures: Stimuli | None = None) -> Transform:
    """Build one of the six at intensity 1 to 5. Raises PluginError without its library or natural set."""
    if name == "glitched" and find_spec("glitch_this") is None:
        raise PluginError("glitches need the package 'glitch_this': pip install 'gestaltbench[laion-c]'")
    params = {"level": level, "version": VERSION, "pictures": pictures.digest if pictures else ""}
    if name == "luminance_checkerboard":
        return Transform(name=f"{name}/{level}", params=params, apply=partial(checkerboard, level=level))
    change = partial(_EACH[name], level=level)
    if name in ("mosaic", "stickers"):
        if pictures is None:
            raise PluginError(f"{name} needs a natural set for its small pictures")
        change = partial(change, pictures=TilePictures(pictures))
    return Transform(name=f"{name}/{level}", params=params, apply=partial(_each, change=change))


def _each(images: torch.Tensor, seeds: Seeds, *, change: Callable[..., Pixels]) -> torch.Tensor:
    pixels = stored_levels(images).permute(0, 2, 3, 1).cpu().numpy()
    shown = [change(image, np.random.default_rng(int(seed))) for image, seed in zip(pixels, seeds, strict=True)]
    if not shown:
        return images.clone()
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float().div(255).to(images.device)


def glitched(image: Pixels, _rng: np.random.Generator, *, level: int) -> Pixels:
    """Shift rows and separate colours, with scan lines (glitch_this, seed 1)."""
    from glitch_this import ImageGlitcher

    state = random.getstate()  # the library seeds the interpreter's own
    try:
        options = {"seed": 1, "color_offset": True, "scan_lines": True}
        shown = ImageGlitcher().glitch_image(Image.fromarray(image), GLITCH[level - 1], **options)
    finally:
        random.setstate(state)
    return np.asarray(shown.convert("RGB"))


def stickers(image: Pixels, rng: np.random.Generator, *, level: int, pictures: TilePictures) -> Pixels:
    """Paste small pictures of 16 px at random places, overlapping."""
    shown, tiles = image.copy(), pictures.shrunk(STICKER)
    chosen = rng.integers(0, len(tiles), STICKERS[level - 1])
    rows, columns = (rng.integers(0, side - STICKER, len(chosen)) for side in image.shape[:2])
    for at, row, column in zip(chosen, rows, columns, strict=True):
        shown[row : row + STICKER, column : column + STICKER] = tiles[at]
    return shown


def vertical_lines(image: Pixels, _rng: np.random.Generator, *, level: int) -> Pixels:
    """Draw lines downward on black, bent to the left in dark parts, in the mean colour of each cell."""
    lines, step = LINES[level - 1]
    height, width = image.shape[:2]
    grey = np.asarray(Image.fromarray(image).convert("L"))
    both = np.dstack([image, grey]).astype(int)
    canvas = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(canvas)
    for line in range(lines):
        x = line / lines * width
        column, last = both[:, int(x) : min(int(x + width / lines), width)], (x, 0)
        for y in range(0, height, step):
            cell = column[y : y + step].reshape(-1, 4)
            *colour, level_of_grey = (cell.sum(axis=0) // max(1, len(cell))).tolist()
            place = (x - REACH * (1 - level_of_grey / 255), y)
            draw.line((*last, *place), fill=tuple(colour))
            last = place
    return np.asarray(canvas)


def geometric_shapes(image: Pixels, rng: np.random.Generator, *, level: int) -> Pixels:
    """Draw triangles, squares, rotated five-pointed stars and circles of 6 to 15 px in any colour."""
    canvas, count = Image.fromarray(image.copy()), SHAPES[level - 1]
    draw, (height, width) = ImageDraw.Draw(canvas), image.shape[:2]
    kinds, sizes, turns = rng.integers(0, 4, count), rng.integers(6, 16, count), rng.integers(0, 360, count)
    places = np.column_stack([rng.integers(0, width, count), rng.integers(0, height, count)])
    colours = rng.integers(0, 256, (count, 3))
    for kind, (x, y), size, turn, colour in zip(kinds, places.tolist(), sizes.tolist(), turns, colours, strict=True):
        fill = tuple(colour.tolist())
        if kind == 0:
            draw.polygon([(x, y), (x + size, y), (x + size / 2, y + size)], fill=fill)
        elif kind == 1:
            draw.rectangle((x, y, x + size, y + size), fill=fill)
        elif kind == 2:
            angles = [math.radians(36 * point + turn) for point in range(10)]
            radii = [size / 1.2 / (1 + point % 2) for point in range(10)]
            star = [(x + r * math.sin(a), y + r * math.cos(a)) for r, a in zip(radii, angles, strict=True)]
            draw.polygon(star, fill=fill)
        else:
            draw.ellipse((x, y, x + size, y + size), fill=fill)
    return np.asarray(canvas)


def checkerboard(images: torch.Tensor, seeds: Seeds, *, level: int) -> torch.Tensor:
    """Tiles of 14 px brighter and darker in turn, each by a draw of its own; levels are cut, not rounded."""
    height, width = images.shape[-2:]
    rows, columns = -(-height // CHECKER), -(-width // CHECKER)
    low, high = BRIGHTER[level - 1]
    draws = Streams(seeds, f"luminance_checkerboard/{level}", images.device).uniform(1, rows, columns)
    turn = (-1.0) ** (torch.arange(rows)[:, None] + torch.arange(columns))
    shift = (low + (high - low) * draws) / 255 * turn.to(images.device)
    shift = shift.repeat_interleave(CHECKER, 2).repeat_interleave(CHECKER, 3)[..., :height, :width]
    changed = stored_levels(images).float() / 255 + shift
    return ((changed.clamp(0, 1) * 255).floor() / 255).float()


_EACH = {change.__name__: change for change in (glitched, mosaic, stickers, vertical_lines, geometric_shapes)}
