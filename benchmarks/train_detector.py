"""Train the built-in world's detector from scratch: minutes on one core.

    python benchmarks/train_detector.py --out registry/world_checkpoints

It has the backbone of the world's classifiers, their optimiser, and a quarter of the images of their standard recipe
(`train_world.py`); what differs is the task: where the object is, and which. Boxes are those of the exact masks.
Class scores are trained by focal loss (Lin et al. 2017) at the places within a cell of a box's middle, boxes by
generalised IoU (Rezatofighi et al. 2019) there. Given the same torch, processor and one thread, the weights come out
the same.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss
from train_world import BATCH, RATE, SHIFT, evaluation_pixels, fit, labels, normalised, save

from benchmark.stimuli.world.sets import (
    CATEGORIES,
    GENERATOR_VERSION,
    WORLD_SETS,
    WorldSet,
    render,
    training_set,
)
from registry.world_networks import GRID, STRIDE, boxes_of, tiny_detector

IMAGES = 4_000
EPOCHS = 12
NEAR = 1.0  # grid cells from a box's middle within which a place answers for it


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box of a mask (h, w): left, top, right, bottom in pixels, the latter two exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def drawn(world_set: WorldSet) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 64, 64) uint8 and boxes (n, 4) float32 of a set."""
    stimuli = [render(world_set, i) for i in range(world_set.size)]
    images = torch.from_numpy(np.stack([one.image for one in stimuli])).permute(0, 3, 1, 2)
    return images.contiguous(), torch.tensor([box_of(one.mask) for one in stimuli]).float()


def training_data(count: int, folder: Path | None) -> tuple[Tensor, Tensor, Tensor]:
    """Images, boxes and class numbers of the standard recipe, drawn or from the cache."""
    world_set = training_set("natural", count, seed=0)
    path = folder and folder / f"boxes-{count}-v{GENERATOR_VERSION}.safetensors"
    if path and path.exists():
        content = load_file(path)
        images, boxes = content["images"], content["boxes"]
    else:
        images, boxes = drawn(world_set)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"images": images, "boxes": boxes}, path)
    return images, boxes, labels(world_set.shape)


def shifted(images: Tensor, boxes: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move a batch and its boxes by a few pixels, reflecting at the border."""
    dx, dy = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=draw).tolist()
    height, width = images.shape[2:]
    padded = functional.pad(images, (SHIFT,) * 4, mode="reflect")
    moved = padded[:, :, SHIFT - dy : SHIFT - dy + height, SHIFT - dx : SHIFT - dx + width]
    return moved, (boxes + torch.tensor([dx, dy, dx, dy])).clamp(0, width)


def loss_of(model: nn.Module, images: Tensor, boxes: Tensor, target: Tensor) -> Tensor:
    """Focal loss of the classes at all places, and of the boxes at the places that answer for an object."""
    with torch.autocast("cpu", torch.bfloat16):  # for speed, as the classifiers
        logits, sides = (value.float() for value in model.raw(normalised(images)))
    centres = (torch.arange(GRID) + 0.5) * STRIDE
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    near_x = (centres[None] - middle[:, :1]).abs() <= NEAR * STRIDE
    near_y = (centres[None] - middle[:, 1:]).abs() <= NEAR * STRIDE
    here = near_y[:, :, None] & near_x[:, None, :]  # (n, 8, 8)
    wanted = functional.one_hot(target, len(CATEGORIES)).float()[:, :, None, None] * here[:, None]
    count = here.sum()
    classes = sigmoid_focal_loss(logits, wanted, reduction="sum") / count
    found = boxes_of(sides).permute(0, 2, 3, 1)[here]
    truth = boxes[:, None, None].expand(-1, GRID, GRID, -1)[here]
    return classes + generalized_box_iou_loss(found, truth, reduction="sum") / count


def train(images: Tensor, boxes: Tensor, target: Tensor, model: nn.Module, epochs: int) -> None:
    """Train the model in place."""

    def loss(chosen: Tensor, _: int, draw: torch.Generator) -> Tensor:
        x, where = shifted(images[chosen].float() / 255, boxes[chosen], draw)
        return loss_of(model, x, where, target[chosen])

    fit(model, loss, len(images), epochs * (len(images) // BATCH), RATE, seed=0)


@torch.inference_mode()
def report(model: nn.Module) -> str:
    """Category of the best box on each set, and on natural stimuli the overlap of that box with the true one."""
    scores = []
    for name, world_set in WORLD_SETS.items():
        found = [model(normalised(x.float() / 255)) for x in evaluation_pixels(name).split(120)]
        best = [int(one["labels"][0]) - 1 if len(one["labels"]) else -1 for b in found for one in b]
        answer = torch.tensor(best)
        right = (answer == labels(world_set.category)).float().mean().item()
        silent = (answer < 0).float().mean().item()
        scores.append(f"{name.removeprefix('world-')} {right:.3f} (none {silent:.3f})")
    return "  ".join(scores)


def main() -> None:
    """Train and write the detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("registry/world_checkpoints"))
    parser.add_argument("--cache", type=Path, help="keep the training images in this folder")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    images, boxes, target = training_data(options.images, options.cache)
    torch.manual_seed(0)
    model = tiny_detector()
    train(images, boxes, target, model, options.epochs)
    path = options.out / "world-detector-0.safetensors"
    save(model, path)
    again = tiny_detector()
    again.load_state_dict(load_file(path))
    print(
        f"{path.stem}  {time.process_time() - start:.0f} CPU s  {report(again.eval())}", flush=True
    )


if __name__ == "__main__":
    main()
