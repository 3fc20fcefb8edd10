"""Train the built-in world's networks and its detector from scratch: minutes each on one core.

    python benchmarks/train_world.py --recipe standard --seed 0 --out registry/world_checkpoints
    python benchmarks/train_world.py --recipe detector --out registry/world_checkpoints

Every recipe sees 16,000 images for 15 passes with the same optimiser; only the images
differ. The adversarial recipe goes on from the standard one of the same seed. The training
images are the same for all seeds: a seed sets the first weights, the order and the noise.
Given the same torch, processor and one thread, the weights come out the same.

The detector has the classifiers' backbone and optimiser and a quarter of the images of their standard recipe. Boxes are
those of the exact masks. Class scores are trained by focal loss (Lin et al. 2017) at the places within a cell of a
box's middle, boxes by generalised IoU (Rezatofighi et al. 2019) there.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from benchmark.contracts import Stimuli
from benchmark.stimuli.world.sets import CATEGORIES, WORLD_SETS, generated_set, training_set
from registry.world_networks import GRID, STRIDE, boxes_of, tiny_detector, tiny_resnet

Corrupt = Callable[[Tensor, torch.Generator], Tensor]
Loss = Callable[[Tensor, int, torch.Generator], Tensor]  # of the images chosen, in which step

IMAGES = 16_000
BATCH = 128
EPOCHS = 15
RATE = 2e-3
DECAY = 0.02
SHIFT = 4  # pixels, either way
STRENGTHS = 0.5  # training noise is uniform between nothing and this much, for each image
EPSILON = 4 / 255
ATTACK_STEPS = 3
TUNING_EPOCHS = 6
TUNING_RATE = 1e-3
DETECTOR_IMAGES = 4_000
DETECTOR_EPOCHS = 12
NEAR = 1.0  # grid cells from a box's middle within which a place answers for it
RAMP = 0.4  # share of the fine-tuning over which epsilon grows to its full size


@dataclass(frozen=True)
class Recipe:
    """What images a network is trained on, and what is done to them."""

    conditions: tuple[str, ...]
    corrupt: Corrupt | None = None
    adversarial: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)  # those that are shipped


def salt_and_pepper(x: Tensor, draw: torch.Generator) -> Tensor:
    """Set a random share of the pixels of each image to black or white."""
    share = STRENGTHS * torch.rand(len(x), 1, 1, 1, generator=draw)
    u = torch.rand(len(x), 1, *x.shape[2:], generator=draw)
    return torch.where(u < share, (u < share / 2).to(x), x)


def uniform_noise(x: Tensor, draw: torch.Generator) -> Tensor:
    """Add grey noise, uniform in an interval of random width for each image."""
    width = STRENGTHS * torch.rand(len(x), 1, 1, 1, generator=draw)
    u = torch.rand(len(x), 1, *x.shape[2:], generator=draw)
    return (x + width * (2 * u - 1)).clamp(0, 1)


RECIPES = {
    "standard": Recipe(("natural",)),
    "stylised": Recipe(("stylised",)),
    "standard-stylised": Recipe(("natural", "stylised"), seeds=(0,)),
    "adversarial": Recipe(("natural",), adversarial=True),
    "salt-and-pepper": Recipe(("natural",), corrupt=salt_and_pepper, seeds=(0,)),
    "uniform-noise": Recipe(("natural",), corrupt=uniform_noise, seeds=(0,)),
}


def pixels(world_set: Stimuli) -> Tensor:
    images = np.stack([world_set.decode(i) for i in range(len(world_set))])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def labels(names: Iterable[str]) -> Tensor:
    return torch.tensor([CATEGORIES.index(name) if name else -1 for name in names])


def training_data(recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the images and the shape labels of a recipe, equal parts of its conditions."""
    count = IMAGES // len(recipe.conditions)
    parts = [pixels(training_set(condition, count, seed=0)) for condition in recipe.conditions]
    names = training_set(recipe.conditions[0], count, seed=0).labels["shape"]
    return torch.cat(parts), labels(names).repeat(len(parts))


def normalised(x: Tensor) -> Tensor:
    """Map [0, 1] to what the network takes, as its card tells the registry."""
    return ((x - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of images in [0, 1], computed in bfloat16 for speed."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(normalised(x))
    return functional.cross_entropy(logits.float(), y)


def shifted(x: Tensor, draw: torch.Generator) -> Tensor:
    """Move a whole batch by a few pixels, reflecting at the border."""
    dx, dy = torch.randint(0, 2 * SHIFT + 1, (2,), generator=draw).tolist()
    height, width = x.shape[2:]
    padded = functional.pad(x, (SHIFT,) * 4, mode="reflect")
    return padded[:, :, dy : dy + height, dx : dx + width]


def attacked(model: nn.Module, x: Tensor, y: Tensor, eps: float, draw: torch.Generator) -> Tensor:
    """Projected gradient ascent in the L-infinity ball, from a random start."""
    model.eval()
    step = 1.5 * eps / (ATTACK_STEPS - 0.5)
    delta = eps * (2 * torch.rand(x.shape, generator=draw) - 1)
    for _ in range(ATTACK_STEPS):
        delta.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss_of(model, (x + delta).clamp(0, 1), y), delta)
        delta = (delta.detach() + step * gradient.sign()).clamp(-eps, eps)
    model.train()
    return (x + delta).clamp(0, 1)


def fit(model: nn.Module, loss: Loss, count: int, steps: int, rate: float, seed: int) -> None:
    """Train the model in place: AdamW under one cycle of the rate; each pass over `count` images has its own order."""
    draw = torch.Generator().manual_seed(seed + 1000)
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    for step in range(steps):
        at = step % (count // BATCH)
        if at == 0:
            order = torch.randperm(count, generator=draw)
        chosen = order[at * BATCH : (at + 1) * BATCH]
        optimiser.zero_grad()
        loss(chosen, step, draw).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    model.eval()


def train(recipe: Recipe, seed: int, images: Tensor, targets: Tensor, model: nn.Module) -> None:
    """Train the model in place; a fine-tuned recipe brings its weights along."""
    epochs, rate = (TUNING_EPOCHS, TUNING_RATE) if recipe.adversarial else (EPOCHS, RATE)
    steps = epochs * (len(images) // BATCH)

    def loss(chosen: Tensor, step: int, draw: torch.Generator) -> Tensor:
        x, y = shifted(images[chosen].float() / 255, draw), targets[chosen]
        if recipe.corrupt:
            x = recipe.corrupt(x, draw)
        if recipe.adversarial:
            x = attacked(model, x, y, EPSILON * min(1.0, step / (RAMP * steps)), draw)
        return loss_of(model, x, y)

    fit(model, loss, len(images), steps, rate, seed)


@torch.inference_mode()
def predictions(model: nn.Module, x: Tensor) -> Tensor:
    """Return the predicted class of images, uint8 or float in [0, 1]."""
    scale = 255 if x.dtype == torch.uint8 else 1
    batches = torch.split(x, 120)
    return torch.cat([model(normalised(b.float() / scale)).argmax(1) for b in batches])


@cache
def evaluation_pixels(name: str) -> Tensor:
    """Draw one of the world's own sets, once."""
    return pixels(generated_set(name))


def report(model: nn.Module) -> dict[str, float]:
    scores = {}
    for name in WORLD_SETS:
        cues = generated_set(name).labels
        answer = predictions(model, evaluation_pixels(name))
        right = (answer == labels(cues["category"])).float().mean().item()
        scores[name.removeprefix("world-")] = right
        if "conflict" in name:
            texture = (answer == labels(cues["texture"])).float().mean().item()
            bias = right / max(right + texture, 1e-9)
            scores[name.removeprefix("world-") + " bias"] = bias
    return scores


def save(model: nn.Module, path: Path) -> None:
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file(state, path)
    path.chmod(0o644)  # it is written for its owner alone, and an installed file is for all


def load(path: Path) -> nn.Module:
    model = tiny_resnet(len(CATEGORIES))
    model.load_state_dict(load_file(path))
    return model.eval()


def make(name: str, seed: int, out: Path) -> None:
    """Train one network, write it, and print what the stored weights score."""
    recipe, start = RECIPES[name], time.process_time()
    images, targets = training_data(recipe)
    torch.manual_seed(seed)
    model = tiny_resnet(len(CATEGORIES))
    if recipe.adversarial:
        model = load(out / f"world-standard-{seed}.safetensors")
    train(recipe, seed, images, targets, model)
    path = out / f"world-{name}-{seed}.safetensors"
    save(model, path)
    scores = "  ".join(f"{key} {value:.3f}" for key, value in report(load(path)).items())
    print(f"{path.stem}  {time.process_time() - start:.0f} CPU s  {scores}", flush=True)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box of a mask (h, w): left, top, right, bottom in pixels, the latter two exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def shifted_boxes(images: Tensor, boxes: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move a batch and its boxes by a few pixels, reflecting at the border."""
    dx, dy = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=draw).tolist()
    height, width = images.shape[2:]
    padded = functional.pad(images, (SHIFT,) * 4, mode="reflect")
    moved = padded[:, :, SHIFT - dy : SHIFT - dy + height, SHIFT - dx : SHIFT - dx + width]
    return moved, (boxes + torch.tensor([dx, dy, dx, dy])).clamp(0, width)


def detection_loss(model: nn.Module, images: Tensor, boxes: Tensor, target: Tensor) -> Tensor:
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


def make_detector(out: Path) -> None:
    """Train the detector and write it."""
    start = time.process_time()
    world_set = training_set("natural", DETECTOR_IMAGES, seed=0)
    pixels, masks = ([draw(i) for i in range(len(world_set))] for draw in (world_set.decode, world_set.mask) if draw)
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    boxes, target = torch.tensor([box_of(shown) for shown in masks]).float(), labels(world_set.labels["shape"])
    torch.manual_seed(0)
    model = tiny_detector()

    def loss(chosen: Tensor, _: int, draw: torch.Generator) -> Tensor:
        x, where = shifted_boxes(images[chosen].float() / 255, boxes[chosen], draw)
        return detection_loss(model, x, where, target[chosen])

    fit(model, loss, len(images), DETECTOR_EPOCHS * (len(images) // BATCH), RATE, seed=0)
    path = out / "world-detector-0.safetensors"
    save(model, path)
    print(f"{path.stem}  {time.process_time() - start:.0f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", nargs="+", choices=[*RECIPES, "detector"], default=[*RECIPES, "detector"])
    parser.add_argument("--seed", nargs="+", type=int, help="default: those that are shipped")
    parser.add_argument("--out", type=Path, default=Path("registry/world_checkpoints"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    if "detector" in options.recipe:
        make_detector(options.out)
    for name in (name for name in RECIPES if name in options.recipe):
        for seed in options.seed or RECIPES[name].seeds:
            make(name, seed, options.out)


if __name__ == "__main__":
    main()
