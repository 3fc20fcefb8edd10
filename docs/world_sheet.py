"""Draw a contact sheet of the built-in world: one column a class, a few rows a condition.

python docs/world_sheet.py docs/figures/world.png"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.stimuli.world.sets import SIZE, generated_set

ONCE = ("stylised", "cue-conflict-alpha0", "cue-conflict-alpha1", "silhouettes", "edges", "textures")  # fmt: skip
ROWS = {"world-natural": 2, **{f"world-{name}": 1 for name in ONCE}}
COLUMNS = 16
GUTTER = 2


def row(name: str, number: int) -> NDArray[np.uint8]:
    """Return one row of the sheet: the classes in order, on a white strip."""
    world_set = generated_set(name)
    strip = np.full((SIZE + GUTTER, COLUMNS * (SIZE + GUTTER), 3), 255, np.uint8)
    for column in range(COLUMNS):
        index = number * COLUMNS + column
        if "conflict" in name:  # fifteen pairs to a shape: walk through the textures as well
            index = column * (COLUMNS - 1) + (4 * column + number) % (COLUMNS - 1)
        x = column * (SIZE + GUTTER)
        strip[:SIZE, x : x + SIZE] = world_set.decode(index)
    return strip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=Path("world.png"))
    options = parser.parse_args()
    strips = [row(name, i) for name, count in ROWS.items() for i in range(count)]
    options.path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(np.concatenate(strips))
    sheet.quantize(256, dither=Image.Dither.NONE).save(options.path, optimize=True)


if __name__ == "__main__":
    main()
