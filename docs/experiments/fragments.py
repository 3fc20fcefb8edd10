"""Draw fragments of the built-in world's contours at five levels, into the folder fragments."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.stimuli.world.sets import generated_set

shapes = generated_set("world-silhouettes")
for at, name in enumerate(shapes.ids[:160]):
    inside = shapes.decode(at).mean(axis=2) < 128
    near = [np.roll(inside, step, axis) for axis in (0, 1) for step in (-1, 1)]
    rows, columns = np.nonzero(inside & ~np.logical_and.reduce(near))
    angle = np.arctan2(rows - rows.mean(), columns - columns.mean()) / (2 * np.pi)
    for level in (100, 80, 60, 40, 20):
        shown = (12 * angle + at / 7) % 1 < level / 100  # of twelve pieces the first part of each
        picture = np.full((*inside.shape, 3), 255, np.uint8)
        picture[rows[shown], columns[shown]] = 0
        place = Path("fragments", str(level), shapes.labels["category"][at], f"{Path(name).stem}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place)
