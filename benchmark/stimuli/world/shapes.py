"""The sixteen silhouettes and how one of them is placed in the frame.

A silhouette has the proportions of its class with jitter, then a gentle warp, shear, change of aspect, mirror, rotation
within a limit of its class, scale and position. The result is a (256, 256) boolean raster: four cells to a pixel each
way."""

import numpy as np
from numpy.typing import NDArray

from benchmark.stimuli.world import objects
from benchmark.stimuli.world.polygons import Drawing, Polygon, rasterise
from benchmark.stimuli.world.streams import Field, Stream, cosine, sine, sine_field

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
    # Warp, shear, stretch, mirror and turn.
    x, y = _warped(points[:, 0], points[:, 1], r), _warped(points[:, 1], points[:, 0], r)
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


def _warped(along: Polygon, across: Polygon, r: Stream) -> Polygon:
    """Shift a coordinate by two slow waves of the other one."""
    for cycles in (0.35, 0.60):
        wave = sine_field((cycles * across + r.unit()).astype(np.float32))
        along = along + (WARP * r.between(-1, 1)) * wave
    return along


def coverage(raster: NDArray[np.bool_]) -> Field:
    """Return the share of each pixel that is covered, (64, 64) float32 in sixteenths."""
    cells = raster.reshape(SIZE, CELLS, SIZE, CELLS)
    counts = cells.sum(axis=(1, 3), dtype=np.uint8).astype(np.float32)
    return np.asarray(counts / np.float32(CELLS * CELLS))


def outline(raster: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the lines along every border of the object, inner ones included: two cells to either side."""
    from scipy.ndimage import binary_dilation  # a ranked table lists the world's sets and draws none

    around = np.ones((5, 5), np.bool_)
    return np.asarray(binary_dilation(raster, around) & binary_dilation(~raster, around))
