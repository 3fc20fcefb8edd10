"""The five animals: bear, bird, cat, dog, elephant.

Each function takes a stream of random numbers and returns a `Drawing` in the frame
[-1, 1] x [-1, 1], y down. Cuts of a few hundredths are inner lines: eyes, mouths, ears.
"""

from __future__ import annotations

from benchmark.stimuli.world.polygons import Drawing, curve, disc, mirror, polygon, smooth, stroke
from benchmark.stimuli.world.streams import Stream

# Corner lists read better in rows than one corner a line.
# fmt: off


def bear(r: Stream) -> Drawing:
    """Sit facing the observer: round ears, a muzzle, arms at the sides, soles in front."""
    d = Drawing()
    head, top = r.between(0.40, 0.46), r.between(-0.56, -0.50)
    belly, ear = r.between(0.42, 0.50), r.between(0.17, 0.21)
    reach, drop = r.between(0.66, 0.80), r.between(0.18, 0.34)
    d.add(disc(0, 0.32, belly, 0.52), disc(0, top, head * 1.1, head))
    for side in (-1, 1):
        d.add(disc(side * head * 0.92, top - head * 0.74, ear))
        d.add(stroke([(side * 0.30, 0.04), (side * reach, drop)], 0.19, 0.16))
        d.add(stroke([(side * 0.28, 0.66), (side * 0.56, 0.78)], 0.20, 0.20))
    for side in (-1, 1):
        d.cut(disc(side * 0.60, 0.78, 0.11, 0.13))
        d.cut(disc(side * head * 0.95, top - head * 0.76, ear * 0.48))
        d.cut(disc(side * 0.17, top - 0.08, 0.055))
    muzzle = top + 0.15
    d.cut(disc(0, muzzle, 0.22, 0.18))
    d.add(disc(0, muzzle, 0.17, 0.13))
    d.cut(disc(0, muzzle - 0.05, 0.085, 0.06))
    return d


def bird(r: Stream) -> Drawing:
    """Perch in profile: beak, fanned tail, two thin legs; the wing raised or folded."""
    d = Drawing()
    hx, hy, head = r.between(0.46, 0.54), r.between(-0.48, -0.40), r.between(0.23, 0.28)
    tail = r.between(-0.16, 0.16)
    d.add(smooth((0.70, -0.28), (0.58, 0.12), (0.22, 0.38), (-0.22, 0.34), (-0.60, 0.10),
                 (-0.40, -0.14), (0.0, -0.26), (0.34, -0.56)),
          polygon((-0.36, -0.06), (-0.97, tail - 0.04), (-0.90, tail + 0.10), (-0.99, tail + 0.16),
                  (-0.88, tail + 0.26), (-0.34, 0.26)), disc(hx, hy, head),
          polygon((hx + head * 0.70, hy - 0.13), (hx + head + r.between(0.24, 0.34), hy + 0.05),
                  (hx + head * 0.70, hy + 0.14)))
    _wing(d, r)
    foot = r.between(0.74, 0.84)
    for x in (0.04, 0.26):
        d.add(stroke([(x, 0.28), (x - 0.02, foot)], 0.045))
        d.add(stroke([(x - 0.12, foot + 0.05), (x + 0.14, foot + 0.05)], 0.045))
    d.cut(disc(hx + head * 0.25, hy - head * 0.15, 0.06))
    return d


def _wing(d: Drawing, r: Stream) -> None:
    x, y = r.between(-0.62, -0.42), r.between(-0.98, -0.88)
    if r.chance(0.5):
        d.add(smooth((0.30, -0.18), (0.06, -0.62), (x, y), (x - 0.02, y + 0.26),
                     (x + 0.10, y + 0.44), (-0.30, -0.02)))
        return
    d.cut(stroke(curve((0.34, -0.16), (0.20, 0.12), (-0.16, 0.18), (-0.52, 0.06)), 0.035))
    d.cut(stroke(curve((0.30, -0.22), (0.0, -0.12), (-0.52, 0.06)), 0.03))


def cat(r: Stream) -> Drawing:
    """Sit facing the observer: pointed ears, whiskers, the tail curling up at one side."""
    d = Drawing()
    head, y, body = r.between(0.36, 0.42), r.between(-0.46, -0.38), r.between(0.40, 0.48)
    ear, tip = r.between(0.36, 0.46), r.between(0.76, 0.90)
    d.add(smooth((0, -0.28), (0.26, -0.12), (body * 0.88, 0.34), (body, 0.74), (body * 0.78, 0.96),
                 (0, 0.98), (-body * 0.78, 0.96), (-body, 0.74), (-body * 0.88, 0.34),
                 (-0.26, -0.12)), disc(0, y, head * 1.1, head * 0.9))
    left = polygon((-head * 1.06, y), (-head * 1.0, y - head * 0.42 - ear),
                   (-head * 0.14, y - head * 0.74))
    d.add(left, mirror(left))
    tail = curve((body * 0.6, 0.88), (tip * 0.88, 0.82), (tip + 0.04, 0.40), (tip - 0.10, 0.08),
                 (tip + r.between(0.0, 0.10), -0.20))
    d.add(stroke(tail, 0.09, 0.065))
    for side in (-1, 1):
        d.cut(disc(side * head * 0.44, y - 0.03, 0.06, 0.085))
        d.cut(stroke([(side * 0.14, y + 0.17), (side * head * 0.98, y + 0.12)], 0.022))
        d.cut(stroke([(side * 0.16, 0.56), (side * 0.16, 1.0)], 0.028))
    d.cut(polygon((-0.07, y + 0.10), (0.07, y + 0.10), (0, y + 0.19)))
    return d


def dog(r: Stream) -> Drawing:
    """Stand in profile: a long muzzle with a nose, hanging ear, collar, tail in the air."""
    d = Drawing()
    hx, hy, leg = r.between(0.44, 0.50), r.between(-0.56, -0.50), r.between(0.10, 0.125)
    y, stride = r.between(0.0, 0.06), r.between(-0.10, 0.10)
    d.add(smooth((-0.66, y - 0.20), (-0.10, y - 0.20), (0.34, y - 0.28), (0.50, y),
                 (0.40, y + 0.28), (0.08, y + 0.20), (-0.28, y + 0.12), (-0.60, y + 0.20),
                 (-0.74, y)))
    d.add(polygon((0.06, y - 0.14), (hx - 0.22, hy), (hx + 0.18, hy + 0.16), (0.50, y + 0.04)))
    for x, step in ((-0.62, stride), (-0.44, -stride), (0.20, stride), (0.38, -stride)):
        d.add(stroke([(x, y + 0.06), (x - 0.02, y + 0.44), (x + step, 0.88)], leg, leg * 0.66))
        d.add(stroke([(x + step, 0.90), (x + step + 0.10, 0.91)], 0.07))
    tail = curve((-0.62, y - 0.10), (-0.80, y - 0.26),
                 (r.between(-0.98, -0.88), r.between(-0.72, -0.5)))
    d.add(stroke(tail, 0.08, 0.05))
    d.cut(stroke([(hx - 0.30, hy + 0.22), (hx + 0.14, hy + 0.36)], 0.035))
    d.add(disc(hx, hy, 0.25, 0.21))
    d.add(smooth((hx + 0.06, hy - 0.14), (hx + 0.28, hy - 0.05), (hx + 0.46, hy - 0.04),
                 (hx + 0.52, hy + 0.08), (hx + 0.40, hy + 0.18), (hx + 0.04, hy + 0.20)))
    d.add(disc(hx + 0.48, hy - 0.03, 0.075))
    _hanging_ear(d, hx, hy, r.between(0.30, 0.40))
    d.cut(disc(hx + 0.11, hy - 0.05, 0.045),
          stroke([(hx + 0.26, hy + 0.11), (hx + 0.46, hy + 0.09)], 0.02))
    return d


def _hanging_ear(d: Drawing, x: float, y: float, length: float) -> None:
    d.cut(smooth((x + 0.0, y - 0.24), (x - 0.26, y - 0.22), (x - 0.38, y + length),
                 (x - 0.20, y + length + 0.06), (x + 0.02, y + 0.08)))
    d.add(smooth((x - 0.06, y - 0.24), (x - 0.26, y - 0.20), (x - 0.34, y + length - 0.04),
                 (x - 0.21, y + length), (x - 0.05, y + 0.04)))


def elephant(r: Stream) -> Drawing:
    """Stand in profile: trunk, tusk, a big ear drawn as a line, legs like columns."""
    d = Drawing()
    hx, hy, head = r.between(0.42, 0.50), r.between(-0.34, -0.26), r.between(0.30, 0.34)
    leg, stride, curl = r.between(0.15, 0.18), r.between(-0.06, 0.06), r.between(0.0, 0.30)
    d.add(smooth((-0.82, 0.0), (-0.74, -0.38), (-0.36, -0.56), (0.06, -0.54), (0.40, -0.44),
                 (0.46, 0.0), (0.34, 0.30), (-0.10, 0.34), (-0.56, 0.34), (-0.80, 0.28)),
          disc(hx, hy, head, head * 1.08))
    trunk = curve((hx + 0.16, hy + 0.02), (hx + 0.33, hy + 0.32), (hx + 0.33, hy + 0.70),
                  (hx + 0.38 + curl * 0.3, hy + 0.96), (hx + 0.46 + curl * 0.5, hy + 0.94 - curl))
    d.add(stroke(trunk, 0.16, 0.07))
    for x, step in ((-0.62, stride), (-0.30, -stride), (0.02, stride), (0.30, -stride)):
        d.add(stroke([(x, 0.10), (x + step, 0.78)], leg, leg * 0.92))
        d.add(stroke([(x + step - leg * 0.5, 0.88), (x + step + leg * 0.5, 0.88)], leg * 0.55))
    d.add(stroke(curve((-0.78, -0.16), (-0.93, 0.06), (-0.94, 0.34)), 0.05, 0.035),
          disc(-0.94, 0.40, 0.07, 0.09))
    ex, ey, ear = hx - r.between(0.20, 0.26), hy + 0.02, r.between(0.95, 1.10)
    for adds, size in ((False, ear), (True, ear * 0.78)):
        flap = smooth((0.14, -0.30), (-0.16, -0.32), (-0.30, -0.04), (-0.20, 0.28), (0.02, 0.36),
                      (0.14, 0.06))
        (d.add if adds else d.cut)(flap * size + (ex, ey))
    d.cut(disc(hx + 0.16, hy - 0.10, 0.05),
          stroke([(hx + 0.05, hy + 0.26), (hx + 0.20, hy + 0.34)], 0.03))
    if r.chance(0.6):
        d.add(stroke(curve((hx + 0.18, hy + 0.32), (hx + 0.40, hy + 0.46), (hx + 0.56, hy + 0.40)),
                     0.055, 0.03))
    return d
