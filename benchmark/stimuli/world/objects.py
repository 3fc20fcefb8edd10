"""The sixteen objects: each function paints a `Drawing` in the frame [-1, 1] x [-1, 1], y down, from random numbers.
Cuts show the ground: windows and wheel gaps, labels, dials and keys; the thinnest are inner lines (eyes, ears)."""

import numpy as np

from benchmark.stimuli.world.polygons import Drawing, Point, box, curve, disc, mirror, plate, polygon, smooth, stroke
from benchmark.stimuli.world.streams import Stream, cosine, sine

# Corner lists read better in rows than one corner a line.
# fmt: off


def bear(d: Drawing, r: Stream) -> None:
    """Sit facing the observer: round ears, a muzzle, arms at the sides, soles in front."""
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


def bird(d: Drawing, r: Stream) -> None:
    """Perch in profile: beak, fanned tail, two thin legs; the wing raised or folded."""
    hx, hy, head = r.between(0.46, 0.54), r.between(-0.48, -0.40), r.between(0.23, 0.28)
    tail = r.between(-0.16, 0.16)
    d.add(smooth((0.70, -0.28), (0.58, 0.12), (0.22, 0.38), (-0.22, 0.34), (-0.60, 0.10), (-0.40, -0.14), (0.0, -0.26),
                 (0.34, -0.56)),
          polygon((-0.36, -0.06), (-0.97, tail - 0.04), (-0.90, tail + 0.10), (-0.99, tail + 0.16),
                  (-0.88, tail + 0.26), (-0.34, 0.26)), disc(hx, hy, head),
          polygon((hx + head * 0.70, hy - 0.13), (hx + head + r.between(0.24, 0.34), hy + 0.05),
                  (hx + head * 0.70, hy + 0.14)))
    x, y = r.between(-0.62, -0.42), r.between(-0.98, -0.88)
    if r.chance(0.5):
        d.add(smooth((0.30, -0.18), (0.06, -0.62), (x, y), (x - 0.02, y + 0.26), (x + 0.10, y + 0.44), (-0.30, -0.02)))
    else:
        d.cut(stroke(curve((0.34, -0.16), (0.20, 0.12), (-0.16, 0.18), (-0.52, 0.06)), 0.035))
        d.cut(stroke(curve((0.30, -0.22), (0.0, -0.12), (-0.52, 0.06)), 0.03))
    foot = r.between(0.74, 0.84)
    for x in (0.04, 0.26):
        d.add(stroke([(x, 0.28), (x - 0.02, foot)], 0.045))
        d.add(stroke([(x - 0.12, foot + 0.05), (x + 0.14, foot + 0.05)], 0.045))
    d.cut(disc(hx + head * 0.25, hy - head * 0.15, 0.06))


def cat(d: Drawing, r: Stream) -> None:
    """Sit facing the observer: pointed ears, whiskers, the tail curling up at one side."""
    head, y, body = r.between(0.36, 0.42), r.between(-0.46, -0.38), r.between(0.40, 0.48)
    ear, tip = r.between(0.36, 0.46), r.between(0.76, 0.90)
    d.add(smooth((0, -0.28), (0.26, -0.12), (body * 0.88, 0.34), (body, 0.74), (body * 0.78, 0.96), (0, 0.98),
                 (-body * 0.78, 0.96), (-body, 0.74), (-body * 0.88, 0.34), (-0.26, -0.12)),
        disc(0, y, head * 1.1, head * 0.9))
    left = polygon((-head * 1.06, y), (-head * 1.0, y - head * 0.42 - ear), (-head * 0.14, y - head * 0.74))
    d.add(left, mirror(left))
    tail = curve((body * 0.6, 0.88), (tip * 0.88, 0.82), (tip + 0.04, 0.40), (tip - 0.10, 0.08),
                 (tip + r.between(0.0, 0.10), -0.20))
    d.add(stroke(tail, 0.09, 0.065))
    for side in (-1, 1):
        d.cut(disc(side * head * 0.44, y - 0.03, 0.06, 0.085))
        d.cut(stroke([(side * 0.14, y + 0.17), (side * head * 0.98, y + 0.12)], 0.022))
        d.cut(stroke([(side * 0.16, 0.56), (side * 0.16, 1.0)], 0.028))
    d.cut(polygon((-0.07, y + 0.10), (0.07, y + 0.10), (0, y + 0.19)))


def dog(d: Drawing, r: Stream) -> None:
    """Stand in profile: a long muzzle with a nose, hanging ear, collar, tail in the air."""
    hx, hy, leg = r.between(0.44, 0.50), r.between(-0.56, -0.50), r.between(0.10, 0.125)
    y, stride = r.between(0.0, 0.06), r.between(-0.10, 0.10)
    d.add(smooth((-0.66, y - 0.20), (-0.10, y - 0.20), (0.34, y - 0.28), (0.50, y), (0.40, y + 0.28), (0.08, y + 0.20),
                 (-0.28, y + 0.12), (-0.60, y + 0.20), (-0.74, y)))
    d.add(polygon((0.06, y - 0.14), (hx - 0.22, hy), (hx + 0.18, hy + 0.16), (0.50, y + 0.04)))
    for x, step in ((-0.62, stride), (-0.44, -stride), (0.20, stride), (0.38, -stride)):
        d.add(stroke([(x, y + 0.06), (x - 0.02, y + 0.44), (x + step, 0.88)], leg, leg * 0.66))
        d.add(stroke([(x + step, 0.90), (x + step + 0.10, 0.91)], 0.07))
    tail = curve((-0.62, y - 0.10), (-0.80, y - 0.26), (r.between(-0.98, -0.88), r.between(-0.72, -0.5)))
    d.add(stroke(tail, 0.08, 0.05))
    d.cut(stroke([(hx - 0.30, hy + 0.22), (hx + 0.14, hy + 0.36)], 0.035))
    d.add(disc(hx, hy, 0.25, 0.21))
    d.add(smooth((hx + 0.06, hy - 0.14), (hx + 0.28, hy - 0.05), (hx + 0.46, hy - 0.04), (hx + 0.52, hy + 0.08),
                 (hx + 0.40, hy + 0.18), (hx + 0.04, hy + 0.20)))
    d.add(disc(hx + 0.48, hy - 0.03, 0.075))
    length = r.between(0.30, 0.40)
    d.cut(smooth((hx + 0.0, hy - 0.24), (hx - 0.26, hy - 0.22), (hx - 0.38, hy + length),
                 (hx - 0.20, hy + length + 0.06), (hx + 0.02, hy + 0.08)))
    d.add(smooth((hx - 0.06, hy - 0.24), (hx - 0.26, hy - 0.20), (hx - 0.34, hy + length - 0.04),
                 (hx - 0.21, hy + length), (hx - 0.05, hy + 0.04)))
    d.cut(disc(hx + 0.11, hy - 0.05, 0.045), stroke([(hx + 0.26, hy + 0.11), (hx + 0.46, hy + 0.09)], 0.02))


def elephant(d: Drawing, r: Stream) -> None:
    """Stand in profile: trunk, tusk, a big ear drawn as a line, legs like columns."""
    hx, hy, head = r.between(0.42, 0.50), r.between(-0.34, -0.26), r.between(0.30, 0.34)
    leg, stride, curl = r.between(0.15, 0.18), r.between(-0.06, 0.06), r.between(0.0, 0.30)
    d.add(smooth((-0.82, 0.0), (-0.74, -0.38), (-0.36, -0.56), (0.06, -0.54), (0.40, -0.44), (0.46, 0.0), (0.34, 0.30),
                 (-0.10, 0.34), (-0.56, 0.34), (-0.80, 0.28)), disc(hx, hy, head, head * 1.08))
    trunk = curve((hx + 0.16, hy + 0.02), (hx + 0.33, hy + 0.32), (hx + 0.33, hy + 0.70),
                  (hx + 0.38 + curl * 0.3, hy + 0.96), (hx + 0.46 + curl * 0.5, hy + 0.94 - curl))
    d.add(stroke(trunk, 0.16, 0.07))
    for x, step in ((-0.62, stride), (-0.30, -stride), (0.02, stride), (0.30, -stride)):
        d.add(stroke([(x, 0.10), (x + step, 0.78)], leg, leg * 0.92))
        d.add(stroke([(x + step - leg * 0.5, 0.88), (x + step + leg * 0.5, 0.88)], leg * 0.55))
    d.add(stroke(curve((-0.78, -0.16), (-0.93, 0.06), (-0.94, 0.34)), 0.05, 0.035), disc(-0.94, 0.40, 0.07, 0.09))
    ex, ey, ear = hx - r.between(0.20, 0.26), hy + 0.02, r.between(0.95, 1.10)
    for adds, size in ((False, ear), (True, ear * 0.78)):
        flap = smooth((0.14, -0.30), (-0.16, -0.32), (-0.30, -0.04), (-0.20, 0.28), (0.02, 0.36), (0.14, 0.06))
        (d.add if adds else d.cut)(flap * size + (ex, ey))
    d.cut(disc(hx + 0.16, hy - 0.10, 0.05), stroke([(hx + 0.05, hy + 0.26), (hx + 0.20, hy + 0.34)], 0.03))
    if r.chance(0.6):
        d.add(stroke(curve((hx + 0.18, hy + 0.32), (hx + 0.40, hy + 0.46), (hx + 0.56, hy + 0.40)), 0.055, 0.03))


def bottle(d: Drawing, r: Stream) -> None:
    """Stand upright: a cap, a long neck, sloping shoulders, a label between two lines."""
    body, neck = r.between(0.27, 0.35), r.between(0.10, 0.135)
    lip, slope = r.between(-0.62, -0.46), r.between(0.20, 0.36)
    step = neck + (body - neck) * 0.45
    right = [(neck, -0.84), (neck, lip - 0.08), (step, lip + slope * 0.4), (body, lip + slope), (body, 0.5),
             (body, 0.88), (body * 0.85, 0.97)]
    left = [(-x, y) for x, y in reversed(right)]
    d.add(smooth(*right, (0, 0.98), *left), plate(-neck - 0.035, -0.98, neck + 0.035, -0.82, 0.03))
    d.cut(box(-neck - 0.1, -0.81, neck + 0.1, -0.76))
    if r.chance(0.7):
        top = r.between(0.04, 0.14)
        low = top + r.between(0.36, 0.48)
        d.cut(box(-body - 0.1, top, body + 0.1, top + 0.05), box(-body - 0.1, low, body + 0.1, low + 0.05))


def chair(d: Drawing, r: Stream) -> None:
    """Stand at an angle to the observer: a back with slats, a seat, four legs."""
    half, y, dx, dy = (r.between(0.38, 0.45), r.between(0.06, 0.14), r.between(0.24, 0.34), r.between(0.12, 0.18))
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
    d.add(polygon((back[0], rear), (back[1], rear), right, (right[0], right[1] + 0.1), (left[0], left[1] + 0.1), left))
    for x, floor in ((back[0], rear), (back[1], rear), left, right):
        d.add(stroke([(x, floor + 0.02), (x, floor + leg)], rail))


def clock(d: Drawing, r: Stream) -> None:
    """Alarm clock: two bells, two feet, a rim, hour marks and two hands cut from the dial."""
    rim, y = r.between(0.68, 0.75), 0.12
    for side in (-1, 1):
        d.add(disc(side * 0.47, y - rim * 0.98, 0.27, 0.17, tilt=side * 0.11))
        d.add(stroke([(side * 0.40, y + rim * 0.70), (side * 0.58, y + rim * 1.14)], 0.08))
    d.add(stroke([(0, y - rim), (0, y - rim - 0.18)], 0.05), stroke([(-0.1, y - rim - 0.2), (0.1, y - rim - 0.2)],
                                                                    0.05))
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
        d.cut(stroke([(0, y), (length * dial * sine(turn), y - length * dial * cosine(turn))], width))
    d.cut(disc(0, y, 0.075))


def keyboard(d: Drawing, r: Stream) -> None:
    """Lie flat: a slab with three rows of keys and a row with the space bar; sides may taper."""
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
    for x0, x1 in ((-0.88, -0.70), (-0.65, space[0] - 0.05), space, (space[1] + 0.05, 0.64), (0.69, 0.88)):
        d.cut(box(x0, y + 0.022, x1, y + row - 0.026))
    d.polygons = [np.stack([x * (1 + taper * y), y], axis=1) for x, y in (p.T for p in d.polygons)]


def knife(d: Drawing, r: Stream) -> None:
    """Point right: a blade with a curved belly, a bolster line, a handle with three rivets."""
    spine, belly, grip = r.between(0.11, 0.14), r.between(0.18, 0.25), r.between(0.58, 0.70)
    x = -1 + grip
    d.add(polygon((x + 0.05, -spine), (0.55, -spine), (0.99, -spine * 0.9 + r.between(0, 0.06)), (0.90, belly * 0.25),
                  (0.72, belly * 0.72), (0.46, belly * 0.95), (0.1, belly), (x + 0.05, belly)))
    d.add(smooth((-0.98, -spine * 0.7), (-0.8, -spine * 1.1), (x - 0.25, -spine * 0.85), (x, -spine), (x, spine),
                 (x - 0.25, spine * 0.85), (-0.8, spine * 1.2), (-0.98, spine * 1.4)))
    d.add(box(x - 0.05, -spine, x + 0.09, spine * 1.2))
    d.cut(box(x, -0.6, x + 0.045, 0.6))
    for i in range(3):
        d.cut(disc(-0.84 + (grip - 0.22) * i / 2, 0, 0.05))


def oven(d: Drawing, r: Stream) -> None:
    """Kitchen cooker from the front: a pot on top, knobs, a handle, a window with a rack."""
    half, top, panel = r.between(0.64, 0.74), r.between(-0.50, -0.44), r.between(0.24, 0.28)
    d.add(plate(-half, top, half, 0.90, 0.05), box(-half - 0.06, top, half + 0.06, top + 0.07))
    x, wide, high = r.sign() * half * 0.42, r.between(0.20, 0.25), r.between(0.24, 0.32)
    d.add(plate(x - wide, top - high, x + wide, top - 0.04, 0.04))
    d.add(stroke([(x - wide - 0.08, top - high * 0.62), (x + wide + 0.08, top - high * 0.62)], 0.04))
    d.cut(box(x - wide - 0.05, top - high + 0.02, x + wide + 0.05, top - high + 0.055))
    d.add(disc(x, top - high - 0.05, 0.06))
    door = top + 0.07 + panel
    d.cut(box(-half - 0.1, door, half + 0.1, door + 0.05))
    knobs = 4 + r.pick(2)
    for i in range(knobs):
        d.cut(disc(-half + 0.17 + (2 * half - 0.34) * i / (knobs - 1), top + 0.075 + panel / 2, 0.075))
    d.cut(plate(-half + 0.12, door + 0.12, half - 0.12, door + 0.20, 0.03))
    high, low = door + r.between(0.30, 0.36), 0.90 - r.between(0.14, 0.20)
    d.cut(plate(-half + 0.20, high, half - 0.20, low, 0.06))
    for f in (0.36, 0.70):
        y = high + f * (low - high)
        d.add(stroke([(-half + 0.2, y), (half - 0.2, y)], 0.03))
    foot = box(half - 0.24, 0.88, half - 0.06, 0.98)
    d.add(foot, mirror(foot))


def airplane(d: Drawing, r: Stream) -> None:
    """Fly up the frame, seen from above: swept wings, tail plane, engines under the wings."""
    span, sweep, body = r.between(0.84, 0.98), r.between(0.28, 0.50), r.between(0.11, 0.145)
    root, chord = r.between(-0.24, -0.06), r.between(0.30, 0.42)
    tail, fin = r.between(0.64, 0.76), r.between(0.32, 0.42)
    d.add(smooth((0, -1.0), (body * 0.8, -0.84), (body, -0.5), (body, 0.30), (body * 0.5, 0.86), (0, 0.98),
                 (-body * 0.5, 0.86), (-body, 0.30), (-body, -0.5), (-body * 0.8, -0.84)))
    wing = polygon((0, root - 0.12), (span, root + sweep), (span, root + sweep + 0.13), (0, root + chord))
    stabiliser = polygon((0, tail - 0.08), (fin, tail + 0.14), (fin, tail + 0.26), (0, tail + 0.16))
    d.add(wing, mirror(wing), stabiliser, mirror(stabiliser))
    if r.chance(0.7):
        x = r.between(0.36, 0.48)
        y = root + (sweep + 0.12) * x / span - 0.10
        engine = plate(x - 0.065, y - 0.13, x + 0.065, y + 0.14, 0.05)
        d.add(engine, mirror(engine))
    d.cut(polygon((-body * 0.6, -0.74), (0, -0.82), (body * 0.6, -0.74), (0, -0.70)))


def bicycle(d: Drawing, r: Stream) -> None:
    """Stand in profile: two open wheels, a diamond frame, saddle and one of two handlebars."""
    wheel, reach = r.between(0.38, 0.44), r.between(0.53, 0.58)
    tyre, tube, y = r.between(0.075, 0.10), r.between(0.045, 0.06), 0.36
    rear, front = (-reach, y), (reach, y)
    seat = (r.between(-0.28, -0.20), r.between(-0.36, -0.28))
    pedal, head = ((r.between(-0.06, 0.02), y + 0.02), (r.between(0.28, 0.34), r.between(-0.38, -0.30)))
    stem = (head[0] - 0.06, head[1] - 0.22)
    d.add(disc(*rear, wheel), disc(*front, wheel))
    d.cut(disc(*rear, wheel - tyre), disc(*front, wheel - tyre))
    bars: list[list[Point]] = [[rear, seat], [rear, pedal], [seat, pedal], [pedal, head], [seat, head]]
    for bar in [*bars, [front, head, stem]]:
        d.add(stroke(bar, tube))
    d.add(disc(*pedal, 0.11), disc(*rear, 0.075), disc(*front, 0.075))
    d.add(stroke([seat, (seat[0] - 0.05, seat[1] - 0.16)], tube))
    d.add(stroke([(seat[0] - 0.22, seat[1] - 0.19), (seat[0] + 0.10, seat[1] - 0.17)], 0.065))
    x, y = stem
    if r.chance(0.5):
        d.add(stroke([(x, y), (x + 0.22, y - 0.02), (x + 0.27, y + 0.12), (x + 0.15, y + 0.2)], 0.055))
    else:
        d.add(stroke([(x + 0.10, y + 0.02), (x, y - 0.05), (x - 0.16, y - 0.05)], 0.06))


def boat(d: Drawing, r: Stream) -> None:
    """Sail in profile: a hull with a waterline, one mast, main sail and jib."""
    mast, deck = r.between(-0.12, 0.08), r.between(0.36, 0.44)
    stern, bow = r.between(-0.94, -0.84), r.between(0.88, 1.0)
    d.add(smooth((stern, deck), (stern + 0.10, deck + 0.28), (stern + 0.32, deck + 0.48), (0.46, deck + 0.48),
                 (bow - 0.22, deck + 0.28), (bow, deck - 0.04), (0.3, deck + 0.02), (-0.4, deck + 0.02)))
    d.add(stroke([(mast, deck + 0.1), (mast, -0.97)], 0.04))
    top, foot, clew = (mast + 0.08, -0.95), (mast + 0.08, deck - 0.12), r.between(0.60, 0.78)
    belly = (mast + 0.18 + clew * 0.5, -0.40)
    d.add(polygon(top, belly, (mast + clew, deck - 0.12), foot))
    d.add(polygon((mast - 0.08, r.between(-0.82, -0.66)), (mast - 0.08, deck - 0.12),
                  (mast - r.between(0.50, 0.64), deck - 0.12)))
    if r.chance(0.5):
        d.add(polygon((mast, -1.0), (mast + 0.26, -0.92), (mast, -0.84)))
    d.cut(box(stern - 0.1, deck + 0.20, bow + 0.1, deck + 0.25))


def _mount(d: Drawing, y: float, radius: float, *axles: float) -> None:
    """Draw wheels with an arch, a tyre and a hub."""
    for x in axles:
        d.cut(disc(x, y, radius + 0.06))
        d.add(disc(x, y, radius))
        d.cut(disc(x, y, radius * 0.42))


def car(d: Drawing, r: Stream) -> None:
    """Drive in profile: a saloon with a domed roof, two windows, a door line, two wheels."""
    wheel, axle = r.between(0.20, 0.24), r.between(0.53, 0.59)
    roof, rear, front = r.between(-0.46, -0.34), r.between(-0.52, -0.34), r.between(0.18, 0.34)
    tail, nose = r.between(-0.98, -0.92), r.between(0.94, 0.99)
    middle = (rear + front) / 2
    d.add(smooth((tail, 0.12), (tail + 0.05, -0.02), (rear - 0.20, -0.07), (rear, roof), (middle, roof - 0.05),
                 (front, roof), (front + 0.30, -0.05), (nose - 0.12, 0.05), (nose, 0.20), (nose, 0.34), (0.5, 0.38),
        (-0.5, 0.38), (tail, 0.34)))
    d.cut(polygon((rear + 0.05, roof + 0.08), (middle - 0.05, roof + 0.06), (middle - 0.05, -0.07),
                  (rear - 0.09, -0.07)))
    d.cut(polygon((middle + 0.05, roof + 0.06), (front - 0.02, roof + 0.08), (front + 0.16, -0.07),
                  (middle + 0.05, -0.07)))
    d.cut(stroke([(middle, 0.0), (middle, 0.30)], 0.022), disc(nose - 0.10, 0.15, 0.055))
    _mount(d, 0.36, wheel, -axle, axle)


def truck(d: Drawing, r: Stream) -> None:
    """Drive in profile: a box body, a lower cab with one window, two or three wheels."""
    wheel, cab = r.between(0.17, 0.20), r.between(0.36, 0.44)
    top, roof = r.between(-0.66, -0.54), r.between(-0.32, -0.22)
    d.add(plate(-0.98, top, cab - 0.07, 0.28, 0.04), box(-0.94, 0.26, 0.97, 0.40))
    d.add(polygon((cab, 0.34), (cab, roof), (cab + 0.28, roof), (0.84, 0.0), (0.97, 0.06), (0.97, 0.34)))
    d.cut(polygon((cab + 0.09, roof + 0.08), (cab + 0.25, roof + 0.08), (cab + 0.40, -0.01), (cab + 0.09, -0.01)))
    axles = (-0.74, -0.30, 0.66) if r.chance(0.6) else (-0.58, 0.66)
    _mount(d, 0.44, wheel, *axles)
