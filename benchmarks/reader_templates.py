"""Draw the silhouettes that the template readers know, from the world's training stimuli.

    python benchmarks/reader_templates.py --out registry/world_checkpoints/world-readers.safetensors

32 exemplars a category of `training_set("silhouettes", ..., SEED)`: no stimulus of an evaluation set is among them.
Each is its object's mask, averaged over the cells of a reader. Given the same generator, the same bytes come out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from benchmark.stimuli.world.sets import CATEGORIES, training_set
from registry.simulated import CELL, EXEMPLARS

SEED = 7


def templates(seed: int = SEED) -> Tensor:
    """[EXEMPLARS, 16, 16] uint8 by category: the share of each cell that the silhouette covers, 255 all of it."""
    drawn = training_set("silhouettes", EXEMPLARS, seed)
    order = sorted(range(len(drawn)), key=lambda i: (CATEGORIES.index(drawn.labels["shape"][i]), i))
    masks = torch.from_numpy(np.stack([drawn.mask(i) for i in order])).float()
    covered: Tensor = functional.avg_pool2d(masks[:, None], CELL)[:, 0]
    return (covered * 255).round().to(torch.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    save_file({"templates": templates()}, parser.parse_args().out)


if __name__ == "__main__":
    main()
