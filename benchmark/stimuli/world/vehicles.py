"""The five vehicles: airplane, bicycle, boat, car, truck.

Each function takes a stream of random numbers and returns a `Drawing` in the frame
[-1, 1] x [-1, 1], y down. Windows and wheel gaps are cut, so the ground shows there.
"""

from __future__ import annotations

from benchmark.stimuli.world.polygons import (
    Drawing,
    Point,
    Polygon,
    box,
    disc,
    mirror,
    plate,
    polygon,
    smooth,
    stroke,
)
from benchmark.stimuli.world.streams import Stream

# Corner lists read better in rows than one corner a line.
# fmt: off


def airplane(r: Stream) -> Drawing:
    """Fly up the frame, seen from above: swept wings, tail plane, engines under the wings."""
    d = Drawing()
    span, sweep, body = r.between(0.84, 0.98), r.between(0.28, 0.50), r.between(0.11, 0.145)
    root, chord = r.between(-0.24, -0.06), r.between(0.30, 0.42)
    tail, fin = r.between(0.64, 0.76), r.between(0.32, 0.42)
    d.add(smooth((0, -1.0), (body * 0.8, -0.84), (body, -0.5), (body, 0.30), (body * 0.5, 0.86),
                 (0, 0.98), (-body * 0.5, 0.86), (-body, 0.30), (-body, -0.5),
                 (-body * 0.8, -0.84)))
    wing = polygon((0, root - 0.12), (span, root + sweep), (span, root + sweep + 0.13),
                   (0, root + chord))
    stabiliser = polygon((0, tail - 0.08), (fin, tail + 0.14), (fin, tail + 0.26), (0, tail + 0.16))
    d.add(wing, mirror(wing), stabiliser, mirror(stabiliser))
    if r.chance(0.7):
        x = r.between(0.36, 0.48)
        y = root + (sweep + 0.12) * x / span - 0.10
        engine = plate(x - 0.065, y - 0.13, x + 0.065, y + 0.14, 0.05)
        d.add(engine, mirror(engine))
    d.cut(polygon((-body * 0.6, -0.74), (0, -0.82), (body * 0.6, -0.74), (0, -0.70)))
    return d


def bicycle(r: Stream) -> Drawing:
    """Stand in profile: two open wheels, a diamond frame, saddle and one of two handlebars."""
    d = Drawing()
    wheel, reach = r.between(0.38, 0.44), r.between(0.53, 0.58)
    tyre, tube, y = r.between(0.075, 0.10), r.between(0.045, 0.06), 0.36
    rear, front = (-reach, y), (reach, y)
    seat = (r.between(-0.28, -0.20), r.between(-0.36, -0.28))
    pedal, head = ((r.between(-0.06, 0.02), y + 0.02),
                   (r.between(0.28, 0.34), r.between(-0.38, -0.30)))
    stem = (head[0] - 0.06, head[1] - 0.22)
    d.add(disc(*rear, wheel), disc(*front, wheel))
    d.cut(disc(*rear, wheel - tyre), disc(*front, wheel - tyre))
    bars: list[list[Point]] = [ [rear, seat], [rear, pedal], [seat, pedal], [pedal, head],
                               [seat, head]]
    for bar in [*bars, [front, head, stem]]:
        d.add(stroke(bar, tube))
    d.add(disc(*pedal, 0.11), disc(*rear, 0.075), disc(*front, 0.075))
    d.add(stroke([seat, (seat[0] - 0.05, seat[1] - 0.16)], tube))
    d.add(stroke([(seat[0] - 0.22, seat[1] - 0.19), (seat[0] + 0.10, seat[1] - 0.17)], 0.065))
    _handlebar(d, *stem, drop=r.chance(0.5))
    return d


def _handlebar(d: Drawing, x: float, y: float, drop: bool) -> None:
    if drop:
        d.add(stroke([(x, y), (x + 0.22, y - 0.02), (x + 0.27, y + 0.12), (x + 0.15, y + 0.2)],
                     0.055))
    else:
        d.add(stroke([(x + 0.10, y + 0.02), (x, y - 0.05), (x - 0.16, y - 0.05)], 0.06))


def boat(r: Stream) -> Drawing:
    """Sail in profile: a hull with a waterline, one mast, main sail and jib."""
    d = Drawing()
    mast, deck = r.between(-0.12, 0.08), r.between(0.36, 0.44)
    stern, bow = r.between(-0.94, -0.84), r.between(0.88, 1.0)
    d.add(smooth((stern, deck), (stern + 0.10, deck + 0.28), (stern + 0.32, deck + 0.48),
                 (0.46, deck + 0.48), (bow - 0.22, deck + 0.28), (bow, deck - 0.04),
                 (0.3, deck + 0.02), (-0.4, deck + 0.02)))
    d.add(stroke([(mast, deck + 0.1), (mast, -0.97)], 0.04))
    top, foot, clew = (mast + 0.08, -0.95), (mast + 0.08, deck - 0.12), r.between(0.60, 0.78)
    belly = (mast + 0.18 + clew * 0.5, -0.40)
    d.add(polygon(top, belly, (mast + clew, deck - 0.12), foot))
    d.add(polygon((mast - 0.08, r.between(-0.82, -0.66)), (mast - 0.08, deck - 0.12),
                  (mast - r.between(0.50, 0.64), deck - 0.12)))
    if r.chance(0.5):
        d.add(polygon((mast, -1.0), (mast + 0.26, -0.92), (mast, -0.84)))
    d.cut(box(stern - 0.1, deck + 0.20, bow + 0.1, deck + 0.25))
    return d


def _wheel(x: float, y: float, radius: float) -> tuple[Polygon, Polygon, Polygon]:
    return disc(x, y, radius + 0.06), disc(x, y, radius), disc(x, y, radius * 0.42)


def _mount(d: Drawing, *wheels: tuple[Polygon, Polygon, Polygon]) -> None:
    for arch, tyre, hub in wheels:
        d.cut(arch)
        d.add(tyre)
        d.cut(hub)


def car(r: Stream) -> Drawing:
    """Drive in profile: a saloon with a domed roof, two windows, a door line, two wheels."""
    d = Drawing()
    wheel, axle = r.between(0.20, 0.24), r.between(0.53, 0.59)
    roof, rear, front = r.between(-0.46, -0.34), r.between(-0.52, -0.34), r.between(0.18, 0.34)
    tail, nose = r.between(-0.98, -0.92), r.between(0.94, 0.99)
    middle = (rear + front) / 2
    d.add(smooth((tail, 0.12), (tail + 0.05, -0.02), (rear - 0.20, -0.07), (rear, roof),
                 (middle, roof - 0.05), (front, roof), (front + 0.30, -0.05), (nose - 0.12, 0.05),
                 (nose, 0.20), (nose, 0.34), (0.5, 0.38), (-0.5, 0.38), (tail, 0.34)))
    d.cut(polygon((rear + 0.05, roof + 0.08), (middle - 0.05, roof + 0.06), (middle - 0.05, -0.07),
                  (rear - 0.09, -0.07)))
    d.cut(polygon((middle + 0.05, roof + 0.06), (front - 0.02, roof + 0.08), (front + 0.16, -0.07),
                  (middle + 0.05, -0.07)))
    d.cut(stroke([(middle, 0.0), (middle, 0.30)], 0.022), disc(nose - 0.10, 0.15, 0.055))
    _mount(d, _wheel(-axle, 0.36, wheel), _wheel(axle, 0.36, wheel))
    return d


def truck(r: Stream) -> Drawing:
    """Drive in profile: a box body, a lower cab with one window, two or three wheels."""
    d = Drawing()
    wheel, cab = r.between(0.17, 0.20), r.between(0.36, 0.44)
    top, roof = r.between(-0.66, -0.54), r.between(-0.32, -0.22)
    d.add(plate(-0.98, top, cab - 0.07, 0.28, 0.04), box(-0.94, 0.26, 0.97, 0.40))
    d.add(polygon((cab, 0.34), (cab, roof), (cab + 0.28, roof), (0.84, 0.0), (0.97, 0.06),
                  (0.97, 0.34)))
    d.cut(polygon((cab + 0.09, roof + 0.08), (cab + 0.25, roof + 0.08), (cab + 0.40, -0.01),
                  (cab + 0.09, -0.01)))
    axles = (-0.74, -0.30, 0.66) if r.chance(0.6) else (-0.58, 0.66)
    _mount(d, *(_wheel(x, 0.44, wheel) for x in axles))
    return d
