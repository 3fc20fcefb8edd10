"""The six household things: bottle, chair, clock, keyboard, knife, oven.

Each function takes a stream of random numbers and returns a `Drawing` in the frame
[-1, 1] x [-1, 1], y down. Labels, dials, keys and windows are cut.
"""

from __future__ import annotations

import numpy as np

from benchmark.stimuli.world.polygons import (
    Drawing,
    box,
    disc,
    mirror,
    plate,
    polygon,
    smooth,
    stroke,
)
from benchmark.stimuli.world.streams import Stream, cosine, sine

# Corner lists read better in rows than one corner a line.
# fmt: off


def bottle(r: Stream) -> Drawing:
    """Stand upright: a cap, a long neck, sloping shoulders, a label between two lines."""
    d = Drawing()
    body, neck = r.between(0.27, 0.35), r.between(0.10, 0.135)
    lip, slope = r.between(-0.62, -0.46), r.between(0.20, 0.36)
    step = neck + (body - neck) * 0.45
    right = [(neck, -0.84), (neck, lip - 0.08), (step, lip + slope * 0.4), (body, lip + slope),
             (body, 0.5), (body, 0.88), (body * 0.85, 0.97)]
    left = [(-x, y) for x, y in reversed(right)]
    d.add(smooth(*right, (0, 0.98), *left), plate(-neck - 0.035, -0.98, neck + 0.035, -0.82, 0.03))
    d.cut(box(-neck - 0.1, -0.81, neck + 0.1, -0.76))
    if r.chance(0.7):
        top = r.between(0.04, 0.14)
        low = top + r.between(0.36, 0.48)
        d.cut(box(-body - 0.1, top, body + 0.1, top + 0.05),
              box(-body - 0.1, low, body + 0.1, low + 0.05))
    return d


def chair(r: Stream) -> Drawing:
    """Stand at an angle to the observer: a back with slats, a seat, four legs."""
    d = Drawing()
    half, y, dx, dy = (r.between(0.38, 0.45), r.between(0.06, 0.14), r.between(0.24, 0.34),
                       r.between(0.12, 0.18))
    high, rail, leg = r.between(0.88, 1.02), r.between(0.06, 0.08), r.between(0.64, 0.74)
    lean = r.between(-0.10, 0.05)
    back = (-half - dx / 2 + 0.1, half - dx / 2)
    left, right = (-half + dx / 2, y + dy), (half + dx / 2 + 0.05, y + dy)
    rear = y - dy
    tops = [(x + lean, rear - high) for x in back]
    for x, top in zip(back, tops, strict=True):
        d.add(stroke([(x, rear), top], rail))
    d.add(stroke(tops, rail * 1.4))
    slats, upright = 1 + r.pick(3), r.chance(0.5)
    for i in range(1, slats + 1):
        f = i / (slats + 1)
        x, h = back[0] + f * (back[1] - back[0]), f * 0.85 + 0.08
        ends = [(x, rear), (x + lean, rear - high)]
        across = [(b + h * lean, rear - h * high) for b in back]
        d.add(stroke(ends if upright else across, 0.055))
    d.add(polygon((back[0], rear), (back[1], rear), right, (right[0], right[1] + 0.1),
                  (left[0], left[1] + 0.1), left))
    for x, floor in ((back[0], rear), (back[1], rear), left, right):
        d.add(stroke([(x, floor + 0.02), (x, floor + leg)], rail))
    return d


def clock(r: Stream) -> Drawing:
    """Alarm clock: two bells, two feet, a rim, hour marks and two hands cut from the dial."""
    d = Drawing()
    rim, y = r.between(0.68, 0.75), 0.12
    for side in (-1, 1):
        d.add(disc(side * 0.47, y - rim * 0.98, 0.27, 0.17, tilt=side * 0.11))
        d.add(stroke([(side * 0.40, y + rim * 0.70), (side * 0.58, y + rim * 1.14)], 0.08))
    d.add(stroke([(0, y - rim), (0, y - rim - 0.18)], 0.05),
          stroke([(-0.1, y - rim - 0.2), (0.1, y - rim - 0.2)], 0.05))
    d.cut(disc(0, y, rim + 0.06))
    d.add(disc(0, y, rim))
    d.cut(disc(0, y, rim - 0.13))
    dial = rim - 0.19
    d.add(disc(0, y, dial))
    for hour in range(4):
        c, s = cosine(hour / 4), sine(hour / 4)
        d.cut(stroke([(0.80 * dial * c, y + 0.80 * dial * s), (dial * c, y + dial * s)], 0.04))
    for length, width in ((0.50, 0.06), (0.76, 0.045)):
        turn = r.unit()
        d.cut(stroke([(0, y), (length * dial * sine(turn), y - length * dial * cosine(turn))],
                     width))
    d.cut(disc(0, y, 0.075))
    return d


def keyboard(r: Stream) -> Drawing:
    """Lie flat: a slab with three rows of keys and a row with the space bar; sides may taper."""
    d = Drawing()
    half, taper, keys = r.between(0.38, 0.46), r.between(0.0, 0.12), 8 + r.pick(3)
    row, pitch = (2 * half - 0.16) / 4, 1.80 / keys
    d.add(plate(-0.98, -half, 0.98, half, 0.09))
    for line in range(3):
        y = -half + 0.08 + line * row
        for i in range(keys):
            x = -0.90 + i * pitch
            d.cut(box(x + 0.025, y + 0.022, x + pitch - 0.025, y + row - 0.026))
    y = -half + 0.08 + 3 * row
    space = (r.between(-0.46, -0.38), r.between(0.36, 0.46))
    for x0, x1 in ((-0.88, -0.70), (-0.65, space[0] - 0.05), space, (space[1] + 0.05, 0.64),
                   (0.69, 0.88)):
        d.cut(box(x0, y + 0.022, x1, y + row - 0.026))
    d.polygons = [np.stack([x * (1 + taper * y), y], axis=1) for x, y in (p.T for p in d.polygons)]
    return d


def knife(r: Stream) -> Drawing:
    """Point right: a blade with a curved belly, a bolster line, a handle with three rivets."""
    d = Drawing()
    spine, belly, grip = r.between(0.11, 0.14), r.between(0.18, 0.25), r.between(0.58, 0.70)
    x = -1 + grip
    d.add(polygon((x + 0.05, -spine), (0.55, -spine), (0.99, -spine * 0.9 + r.between(0, 0.06)),
                  (0.90, belly * 0.25), (0.72, belly * 0.72), (0.46, belly * 0.95), (0.1, belly),
                  (x + 0.05, belly)))
    d.add(smooth((-0.98, -spine * 0.7), (-0.8, -spine * 1.1), (x - 0.25, -spine * 0.85),
                 (x, -spine), (x, spine), (x - 0.25, spine * 0.85), (-0.8, spine * 1.2),
                 (-0.98, spine * 1.4)))
    d.add(box(x - 0.05, -spine, x + 0.09, spine * 1.2))
    d.cut(box(x, -0.6, x + 0.045, 0.6))
    for i in range(3):
        d.cut(disc(-0.84 + (grip - 0.22) * i / 2, 0, 0.05))
    return d


def oven(r: Stream) -> Drawing:
    """Kitchen cooker from the front: a pot on top, knobs, a handle, a window with a rack."""
    d = Drawing()
    half, top, panel = r.between(0.64, 0.74), r.between(-0.50, -0.44), r.between(0.24, 0.28)
    d.add(plate(-half, top, half, 0.90, 0.05), box(-half - 0.06, top, half + 0.06, top + 0.07))
    _pot(d, r.sign() * half * 0.42, top, r.between(0.20, 0.25), r.between(0.24, 0.32))
    door = top + 0.07 + panel
    d.cut(box(-half - 0.1, door, half + 0.1, door + 0.05))
    knobs = 4 + r.pick(2)
    for i in range(knobs):
        d.cut(disc(-half + 0.17 + (2 * half - 0.34) * i / (knobs - 1), top + 0.075 + panel / 2,
                   0.075))
    d.cut(plate(-half + 0.12, door + 0.12, half - 0.12, door + 0.20, 0.03))
    high, low = door + r.between(0.30, 0.36), 0.90 - r.between(0.14, 0.20)
    d.cut(plate(-half + 0.20, high, half - 0.20, low, 0.06))
    for f in (0.36, 0.70):
        y = high + f * (low - high)
        d.add(stroke([(-half + 0.2, y), (half - 0.2, y)], 0.03))
    foot = box(half - 0.24, 0.88, half - 0.06, 0.98)
    d.add(foot, mirror(foot))
    return d


def _pot(d: Drawing, x: float, floor: float, half: float, high: float) -> None:
    d.add(plate(x - half, floor - high, x + half, floor - 0.04, 0.04))
    d.add(stroke([(x - half - 0.08, floor - high * 0.62), (x + half + 0.08, floor - high * 0.62)],
                 0.04))
    d.cut(box(x - half - 0.05, floor - high + 0.02, x + half + 0.05, floor - high + 0.055))
    d.add(disc(x, floor - high - 0.05, 0.06))
