"""Polygons, the pieces of silhouettes, and their exact rasterisation: float64 (corners, 2), x to the right, y down,
an object fills about [-1, 1]. A `Drawing` paints them in order: each adds to the object or cuts a piece out of it."""

from collections.abc import Sequence
from functools import partialmethod
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from benchmark.stimuli.world.streams import cosine, sine

Polygon = NDArray[np.float64]
Point = tuple[float, float]

SNAP = 16  # corners lie on a grid of 1/16 raster cell, so that rasterising is integer arithmetic
_CIRCLES = {n: np.array([(cosine(i / n), sine(i / n)) for i in range(n)]) for n in (12, 16, 28)}
_CAP = np.array([(cosine(0.25 + i / 10), sine(0.25 + i / 10)) for i in range(6)])
_CORNER = np.array([(cosine(i / 12), sine(i / 12)) for i in range(4)])


class Drawing:
    """An ordered list of polygons that add to or cut from an object."""

    def __init__(self) -> None:
        self.polygons: list[Polygon] = []
        self.adds: list[bool] = []

    def _put(self, adds: bool, *pieces: Polygon | list[Polygon]) -> None:
        for piece in pieces:
            polygons = piece if isinstance(piece, list) else [piece]
            self.polygons += polygons
            self.adds += [adds] * len(polygons)

    add = partialmethod(_put, True)  # paints the pieces onto the object
    cut = partialmethod(_put, False)  # removes the pieces: the ground shows through


def polygon(*corners: Point) -> Polygon:
    """Return a polygon with straight sides."""
    return np.array(corners, np.float64)


def mirror(piece: Polygon) -> Polygon:
    """Return the piece reflected left to right."""
    return np.asarray(piece * [-1.0, 1.0])


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """Return an upright rectangle."""
    return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def disc(x: float, y: float, rx: float, ry: float | None = None, tilt: float = 0.0) -> Polygon:
    """Return an ellipse, turned by `tilt` turns; small ones get fewer corners."""
    ry = rx if ry is None else ry
    unit = _CIRCLES[12 if rx < 0.07 else 16 if rx < 0.2 else 28] * (rx, ry)
    return np.asarray(_turned(unit, cosine(tilt), sine(tilt)) + np.array([x, y]))


def _turned(points: Polygon, c: float, s: float) -> Polygon:
    x, y = points[:, 0], points[:, 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=1)


def plate(x0: float, y0: float, x1: float, y1: float, r: float) -> Polygon:
    """Return a rectangle with round corners of radius r."""
    centres = ((x1 - r, y1 - r), (x0 + r, y1 - r), (x0 + r, y0 + r), (x1 - r, y0 + r))
    turns = ((1, 0), (0, 1), (-1, 0), (0, -1))
    return np.concatenate([_turned(_CORNER * r, *turn) + at for turn, at in zip(turns, centres, strict=True)])


def stroke(points: Sequence[Point] | Polygon, width: float, end: float | None = None) -> list[Polygon]:
    """Return a polyline with round caps; its half-width runs from `width` to `end`."""
    line = np.asarray(points, np.float64)
    taper = 0.0 if end is None else (end - width) / (len(line) - 1)
    widths = [width + i * taper for i in range(len(line))]
    pieces = []
    for (p, a), (q, b) in pairwise(zip(line, widths, strict=True)):
        dx, dy = (q - p).tolist()
        length = float(np.sqrt(dx * dx + dy * dy)) or 1.0
        c, s = dx / length, dy / length
        back, front = _turned(_CAP * a, c, s), _turned(_CAP * b, -c, -s)
        pieces.append(np.concatenate([p + back, q + front]))
    return pieces


def _spline(knots: Polygon, steps: int) -> Polygon:
    """Catmull-Rom through knots[1:-2]; each span starts at its knot."""
    a, b, c, d = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    cubic = (3 * (b - c) + d - a) * (t * t * t) + (2 * a - 5 * b + 4 * c - d) * (t * t)
    return np.asarray(0.5 * (cubic + (c - a) * t) + b).reshape(-1, 2)


def smooth(*corners: Point, steps: int = 4) -> Polygon:
    """Return a closed smooth outline through the corners."""
    p = polygon(*corners)
    return _spline(np.concatenate([p[-1:], p, p[:2]]), steps)


def curve(*points: Point, steps: int = 4) -> Polygon:
    """Return an open smooth line through the points, to be given to `stroke`."""
    p = polygon(*points)
    knots = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    return np.concatenate([_spline(knots, steps), p[-1:]])


def rasterise(drawing: Drawing, side: int) -> NDArray[np.bool_]:
    """Return the object as (side, side) booleans: a cell is in if its centre is. A centre right on a border belongs to
    what lies right of or below the border."""
    canvas = np.zeros((side, side), np.bool_)
    for adds, pieces in groupby(zip(drawing.adds, drawing.polygons, strict=True), key=itemgetter(0)):
        # Cells inside any of the polygons, by winding number along each row. All outlines are made to run the same way
        # round, so that overlaps add up and never cancel. Every quantity is an integer.
        polygons = [polygon for _, polygon in pieces]
        points = np.rint((np.concatenate(polygons) + 1.0) * (side * SNAP / 2)).astype(np.int64)
        sizes = np.array([len(p) for p in polygons])
        starts = np.cumsum(sizes) - sizes
        following = np.arange(1, len(points) + 1)
        following[starts + sizes - 1] = starts
        x0, y0 = points[:, 0], points[:, 1]
        x1, y1 = x0[following], y0[following]
        way = np.repeat(np.sign(np.add.reduceat(x0 * y1 - x1 * y0, starts)), sizes)
        # Where edges cross the middle lines of rows: row, first column past it, and +-1.
        half = SNAP // 2
        first = np.clip((np.minimum(y0, y1) + half - 1) // SNAP, 0, side)
        rows = np.clip((np.maximum(y0, y1) + half - 1) // SNAP, 0, side) - first
        edge = np.repeat(np.arange(len(x0)), rows)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
        rise, run = (y1 - y0)[edge], (x1 - x0)[edge]
        x = x0[edge] + (row * SNAP + half - y0[edge]) * run // rise
        column = np.clip((x + half - 1) // SNAP, 0, side)
        if not len(row):
            continue
        top, bottom = int(row.min()), int(row.max()) + 1
        places = (row - top) * (side + 1) + column
        counts = np.bincount(places, np.sign(rise) * way[edge], (bottom - top) * (side + 1))
        winding = np.cumsum(counts.astype(np.int16).reshape(-1, side + 1), axis=1, dtype=np.int16)
        covered = winding[:, :side] != 0
        if adds:
            canvas[top:bottom] |= covered
        else:
            canvas[top:bottom] &= ~covered
    return canvas
