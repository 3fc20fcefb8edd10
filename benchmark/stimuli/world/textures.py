"""The sixteen texture families: each maps coordinates, in texture cells, to a field in [0, 1]. Period, phase, direction
and a gentle warp are random. Fields of (64, 64) have mean zero: brightness tells no family."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.stimuli.world.streams import Field, Stream, cosine, sine, sine_field

SIZE = 64
SAMPLES = 2  # samples to a pixel, each way
PERIOD = (5.0, 9.0)  # pixels to a texture cell
WARP = 0.12
LEVELS = 4096  # fields are rounded to 1/4096, which makes their mean a sum of integers
LATTICE = 32


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Coordinates of a texture: (128, 128) float32 in cells, and its random numbers."""

    u: Field
    v: Field
    soft: float  # half a pixel, in cells
    q: float  # a free number in [0, 1)
    noise: Field  # (32, 32) numbers in [0, 1)

    def ramp(self, distance: Field, width: float = 1.0) -> Field:
        """Turn a signed distance in cells into an edge about `width` pixels soft."""
        edge = distance * (0.5 / (width * self.soft)) + 0.5
        return np.asarray(np.clip(edge, 0.0, 1.0))

    def clouds(self, x: Field, y: Field) -> Field:
        """Return smooth noise in [0, 1] with one lattice point to a unit."""
        fx, fy = np.floor(x), np.floor(y)
        a, b = _ease(x - fx), _ease(y - fy)
        i, j = fx.astype(np.int32) % LATTICE, fy.astype(np.int32) % LATTICE
        flat, right = self.noise.ravel(), (i + 1) % LATTICE
        j, below = j * LATTICE, (j + 1) % LATTICE * LATTICE
        near = flat[i + j] + (flat[right + j] - flat[i + j]) * a
        far = flat[i + below] + (flat[right + below] - flat[i + below]) * a
        return np.asarray(near + (far - near) * b)

    def cells(self, i: Field, j: Field, shift: int = 0) -> Field:
        """Return a number in [0, 1) for each integer cell (i, j)."""
        ii = (i.astype(np.int32) + shift) % LATTICE
        return np.asarray(self.noise[j.astype(np.int32) % LATTICE, ii])


def _ease(t: Field) -> Field:
    return t * t * (3.0 - 2.0 * t)


def _fold(x: Field) -> Field:
    """Return a triangle wave: 1 at integers, 0 half-way between."""
    return np.asarray(np.abs(x - np.floor(x) - 0.5) * 2.0)


def _middle(x: Field) -> Field:
    """Return the distance from the middle of the unit interval that x lies in, in [-0.5, 0.5)."""
    return x - np.floor(x) - 0.5


def _staggered(u: Field, v: Field) -> tuple[Field, Field, Field]:
    """Return the offsets from the nearest point of rows shifted by half a cell, and the row."""
    row = np.floor(v)
    return _middle(u + row % 2.0 * 0.5), v - row - 0.5, row


def mesh(t: Chart) -> Field:
    """Thin lines that cross at right angles."""
    return t.ramp(np.maximum(_fold(t.u), _fold(t.v)) - (0.70 + 0.08 * t.q), 2.0)


def fur(t: Chart) -> Field:
    """Short strokes along a slowly turning direction."""
    bend = t.clouds(t.u * 0.18, t.v * 0.18) - 0.5
    return t.ramp(t.clouds((t.u + bend * 2.0) * 2.6, t.v * 0.55) - 0.5, 3.6)


def chevron(t: Chart) -> Field:
    """Zigzag stripes."""
    return t.ramp(_fold(t.v * 1.15 + 0.55 * _fold(t.u * 0.62)) - 0.5, 2.0)


def scales(t: Chart) -> Field:
    """Return the rows of round scales, each row over the next, with a bright rim."""
    v = t.v * 1.25
    top = np.floor(v)
    field: Field = np.zeros_like(v)
    free = np.ones(v.shape, np.bool_)
    for row in (top + 1.0, top, top - 1.0):
        du, dv = _middle(t.u + row % 2.0 * 0.5), v - row
        radius = np.sqrt(du * du + dv * dv * 0.5)
        inside = free & (radius < 0.62) & (dv > -0.05)
        field = np.where(inside, np.where(radius > 0.5, np.float32(1.0), radius), field)
        free &= ~inside
    return field


def wood(t: Chart) -> Field:
    """Growth lines: a slow rise, a sharp fall."""
    turns = t.u * 0.9 + t.clouds(t.u * 0.35, t.v * 0.12) * 2.6
    rise = turns - np.floor(turns)
    return np.asarray(np.minimum(rise, t.ramp(0.93 - rise, 2.0)))


def dots(t: Chart) -> Field:
    """Round dots in staggered rows."""
    du, dv, _ = _staggered(t.u, t.v * 1.1547)
    return t.ramp(0.26 + 0.05 * t.q - np.sqrt(du * du + dv * dv))


def checks(t: Chart) -> Field:
    """A chessboard."""
    a, b = t.ramp(_fold(t.u * 0.62) - 0.5, 1.3), t.ramp(_fold(t.v * 0.62) - 0.5, 1.3)
    return 0.5 + 2.0 * (a - 0.5) * (b - 0.5)


def tabby(t: Chart) -> Field:
    """Wavy stripes of uneven width that break up."""
    drift = t.clouds(t.u * 0.5, t.v * 0.3) - 0.5
    phase = t.u * 0.85 + 0.30 * sine_field(t.v * 0.36 + t.q) + drift * 0.55
    breaks = t.clouds(t.v * 0.8 + 7.0, t.u * 0.8 + 3.0) - 0.5
    return t.ramp(_fold(phase) - 0.5 + breaks * 0.55, 2.0)


def weave(t: Chart) -> Field:
    """Strands that go over and under one another."""
    u, v = t.u * 0.75, t.v * 0.75
    over = (np.floor(u) + np.floor(v)) % 2.0 > 0.5
    a, b = np.abs(_middle(u)) * 2.0, np.abs(_middle(v)) * 2.0
    across, along = np.where(over, a, b), np.where(over, b, a)
    strand = (1.0 - 0.45 * across) * (1.0 - 0.6 * along * along)
    return np.where(across > 0.74, np.float32(0.0), strand)


def rings(t: Chart) -> Field:
    """Concentric rings in staggered rows."""
    du, dv, _ = _staggered(t.u * 0.42, t.v * 0.42)
    radius = np.minimum(np.sqrt(du * du + dv * dv), np.float32(0.5))
    return t.ramp(_fold(radius * 2.9) - 0.5, 2.2)


def blotch(t: Chart) -> Field:
    """Round patches of uneven size."""
    large, small = t.clouds(t.u * 0.8, t.v * 0.8), t.clouds(t.u * 1.5 + 9.0, t.v * 1.5 + 4.0)
    return t.ramp(large * 0.75 + small * 0.25 - (0.50 + 0.04 * t.q), 1.2)


def cracks(t: Chart) -> Field:
    """Plates around scattered points, with gaps where two are equally near."""
    u, v = t.u * 0.7, t.v * 0.7
    fu, fv = np.floor(u), np.floor(v)
    nearest = np.full(u.shape, 9.0, np.float32)
    second = nearest
    for i in (-1.0, 0.0, 1.0):
        for j in (-1.0, 0.0, 1.0):
            x, y = fu + i, fv + j
            dx = x + 0.15 + 0.7 * t.cells(x, y) - u
            dy = y + 0.15 + 0.7 * t.cells(x, y, 7) - v
            d = dx * dx + dy * dy
            second = np.minimum(second, np.maximum(nearest, d))
            nearest = np.minimum(nearest, d)
    return t.ramp(np.sqrt(second) - np.sqrt(nearest) - 0.17, 1.1)


def tesserae(t: Chart) -> Field:
    """Square tiles, each dark or bright by chance."""
    tile = t.cells(np.floor(t.u * 1.25), np.floor(t.v * 1.25))
    return (tile > 0.5).astype(np.float32)


def brushed(t: Chart) -> Field:
    """Long straight scratches of many brightnesses."""
    row = np.zeros_like(t.u)
    coarse, fine = t.cells(np.floor(t.u * 2.2), row), t.cells(np.floor(t.u * 4.6), row, 5)
    return np.clip((coarse * 0.7 + fine * 0.3 - 0.5) * 1.5 + 0.5, 0.0, 1.0)


def bricks(t: Chart) -> Field:
    """Return the bricks of uneven brightness in staggered rows, with dark joints."""
    u, v = t.u * 0.52, t.v * 1.05
    du, dv, row = _staggered(u, v)
    column = np.floor(u + row % 2.0 * 0.5)
    joint = np.minimum((0.5 - np.abs(du)) / 0.52, (0.5 - np.abs(dv)) / 1.05)
    return t.ramp(joint - 0.10, 1.2) * (0.7 + 0.3 * t.cells(column, row))


def tread(t: Chart) -> Field:
    """Short bars that lie across one another in turn, as on a steel plate."""
    u, v = t.u * 0.95, t.v * 0.95
    over = (np.floor(u) + np.floor(v)) % 2.0 > 0.5
    a, b = _middle(u), _middle(v)
    along, across = np.where(over, a, b), np.where(over, b, a)
    overhang = np.maximum(np.abs(along) - 0.26, np.float32(0.0))
    return t.ramp(0.15 - np.sqrt(overhang * overhang + across * across), 1.1)


#: Texture i belongs to class i.
FAMILIES: dict[str, Callable[[Chart], Field]] = {
    family.__name__: family for family in (
        mesh, fur, chevron, scales, wood, dots, checks, tabby, weave, rings, blotch, cracks, tesserae, brushed, bricks,
        tread,
    )
}  # fmt: skip

_AXIS = (np.arange(SIZE * SAMPLES, dtype=np.float32) + 0.5) / SAMPLES
_X = np.tile(_AXIS, (SIZE * SAMPLES, 1))
_Y = np.ascontiguousarray(_X.T)


def texture(family: str, stream: Stream) -> Field:
    """Return one example of the family, (64, 64) float32 in [-1, 1] with mean zero."""
    period, turn = stream.between(*PERIOD), stream.unit()
    c, s = cosine(turn) / period, sine(turn) / period
    slow = 1.0 / (SIZE * stream.between(0.7, 1.3))
    u = _X * c - _Y * s + (32.0 + stream.between(0, 20))
    v = _X * s + _Y * c + (32.0 + stream.between(0, 20))
    u += WARP * sine_field(_Y * slow + stream.unit())
    v += WARP * sine_field(_X * slow + stream.unit())
    field = FAMILIES[family](Chart(u=u, v=v, soft=0.5 / period, q=stream.unit(), noise=stream.grid(LATTICE)))
    rows, scale = field[::SAMPLES] + field[1::SAMPLES], np.float32(LEVELS / SAMPLES**2)
    levels = np.rint((rows[:, ::SAMPLES] + rows[:, 1::SAMPLES]) * scale).astype(np.int64)
    mean = int(levels.sum()) // levels.size
    return ((levels - mean) / LEVELS).astype(np.float32)
