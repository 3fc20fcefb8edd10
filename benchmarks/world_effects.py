"""Measure what the recipes do to the built-in world's networks, and print it as tables.

    python benchmarks/world_effects.py --json effects.json > effects.md

Each cell is a mean over the seeds of a recipe with a 95 % t interval; where there is one seed,
the interval is that of its stimuli (Wilson, normal for gradients). The script is plain torch
and shares nothing with the harness: two ways to a number check one another. Images are
float32 in [0, 1], (n, 3, 64, 64).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from ratios import ratio, slug
from torch import Tensor, nn
from torch.nn import functional
from train_world import RECIPES, evaluation_pixels, labels, load, predictions

from benchmark.stimuli.world.sets import WORLD_SETS, render


@dataclass(frozen=True)
class Measure:
    """A value of one network, with the 95 % interval that its stimuli alone give."""

    value: float
    low: float
    high: float


Scores = dict[str, Measure]

ATTACKED = 192  # stimuli for attacks and gradients: twelve of each class
T_QUANTILE = {2: 12.706, 3: 4.303}  # two-sided 95 %, by number of seeds


def proportion(hits: int, n: int) -> Measure:
    """A share with its Wilson score interval."""
    z, p = 1.959964, hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Measure(p, max(centre - half, 0.0), min(centre + half, 1.0))


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> Measure:
    """The share of images that the network names right."""
    return proportion(int((predictions(model, x) == y).sum()), len(y))


def average(values: Tensor) -> Measure:
    """A mean over stimuli with its normal interval."""
    half = 1.959964 * values.std().item() / math.sqrt(len(values))
    return Measure(values.mean().item(), values.mean().item() - half, values.mean().item() + half)


def cues(model: nn.Module) -> Scores:
    """Return accuracy where there is one right answer, shape bias where cues conflict."""
    scores = {}
    for name, world_set in WORLD_SETS.items():
        answer = predictions(model, evaluation_pixels(name))
        right = int((answer == labels(world_set.category)).sum())
        short = name.removeprefix("world-")
        if "conflict" in name:
            texture = int((answer == labels(world_set.texture)).sum())
            scores[f"{short}: shape bias"] = proportion(right, right + texture)
            scores[f"{short}: shape or texture named"] = proportion(right + texture, len(answer))
        else:
            scores[f"{short}: accuracy"] = proportion(right, len(answer))
    return scores


def noise(x: Tensor, seed: int) -> Tensor:
    """Grey noise in [0, 1], the same for all networks."""
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(len(x), 1, *x.shape[2:], generator=draw)


def uniform(x: Tensor, width: float) -> Tensor:
    """Add grey noise in [-width, width]."""
    return (x + width * (2 * noise(x, 1) - 1)).clamp(0, 1)


def salt_and_pepper(x: Tensor, share: float) -> Tensor:
    """Set a share of the pixels to black or white."""
    u = noise(x, 2)
    return torch.where(u < share, (u < share / 2).to(x), x)


def low_pass(x: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of the given standard deviation in pixels."""
    reach = math.ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).repeat(3, 1, 1, 1)
    padded = functional.pad(x, (reach,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel, groups=3)
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=3)


def contrast(x: Tensor, share: float) -> Tensor:
    """Keep a share of the contrast around mid grey."""
    return 0.5 + share * (x - 0.5)


DEGRADATIONS: dict[str, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    "uniform noise": (uniform, (0.05, 0.1, 0.2, 0.35)),
    "salt-and-pepper": (salt_and_pepper, (0.05, 0.1, 0.2, 0.35)),
    "low-pass (px)": (low_pass, (0.7, 1.0, 1.5, 2.0)),
    "contrast": (contrast, (0.5, 0.3, 0.15)),
}


def degraded(model: nn.Module) -> Scores:
    """Return accuracy on natural stimuli under each degradation."""
    x = evaluation_pixels("world-natural").float() / 255
    y = labels(WORLD_SETS["world-natural"].category)
    scores = {}
    for name, (degrade, levels) in DEGRADATIONS.items():
        for level in levels:
            scores[f"{name} {level:g}"] = accuracy(model, degrade(x, level), y)
    return scores


def input_gradient(model: nn.Module, x: Tensor, y: Tensor, of_loss: bool) -> Tensor:
    """Gradient of the loss, or of the right class's logit, with respect to the pixels."""
    x = x.detach().requires_grad_(True)
    logits = model((x - 0.5) / 0.25)
    right = logits.gather(1, y[:, None])
    values = functional.cross_entropy(logits, y, reduction="none") if of_loss else right
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return gradient


def ascend(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """Projected gradient ascent; with one step it is the fast gradient sign method."""
    low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    size = eps if steps == 1 else 2.5 * eps / steps
    start = x
    if steps > 1:
        draw = torch.Generator().manual_seed(3)
        start = x + eps * (2 * torch.rand(x.shape, generator=draw) - 1)
    point = torch.clamp(start, low, high)
    for _ in range(steps):
        step = size * input_gradient(model, point, y, of_loss=True).sign()
        point = torch.clamp(point + step, low, high)
    return point


def attacked(model: nn.Module, x: Tensor, y: Tensor) -> Scores:
    """Return accuracy under one-step and twenty-step attacks."""
    scores = {}
    for name, steps in (("FGSM", 1), ("PGD-20", 20)):
        for level in (1, 2, 4, 8):
            found = ascend(model, x, y, level / 255, steps)
            scores[f"{name} {level}/255"] = accuracy(model, found, y)
    return scores


def gradients_on_object(model: nn.Module, x: Tensor, y: Tensor, masks: Tensor) -> Scores:
    """Return the share of gradient in the mask over its area, and the area under the ROC."""
    size = input_gradient(model, x, y, of_loss=False).abs().sum(1).flatten(1)
    inside = masks.flatten(1).float()
    mass = (size * inside).sum(1) / size.sum(1) / inside.mean(1)
    ranks = size.argsort(1).argsort(1).float() + 1
    n, m = inside.sum(1), (1 - inside).sum(1)
    area = ((ranks * inside).sum(1) - n * (n + 1) / 2) / (n * m)
    return {"gradient mass / area": average(mass), "gradient AUC": average(area)}


def measure(model: nn.Module) -> Scores:
    """Return every score of one network."""
    world_set = WORLD_SETS["world-natural"]
    x = evaluation_pixels(world_set.name)[:ATTACKED].float() / 255
    y = labels(world_set.category)[:ATTACKED]
    masks = torch.from_numpy(np.stack([render(world_set, i).mask for i in range(ATTACKED)]))
    scores = cues(model) | degraded(model) | attacked(model, x, y)
    return scores | gradients_on_object(model, x, y, masks)


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % t interval of a mean over seeds."""
    half = T_QUANTILE[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def cell(seeds: list[Measure]) -> str:
    """Format the mean over seeds with its t interval, or the only seed with its own."""
    mean = statistics.fmean(m.value for m in seeds)
    low, high = seeds[0].low, seeds[0].high
    if len(seeds) > 1:
        low, high = interval([m.value for m in seeds])
        low, high = max(low, 0.0), min(high, 1.0) if mean <= 1 else high  # shares, but one ratio
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def difference(seeds: list[Measure], standard: list[Measure]) -> str:
    """Format how far a recipe is from the standard one, paired by seed; bold clear of zero."""
    if len(seeds) < 2:
        return f"{seeds[0].value - standard[0].value:+.2f}"
    gaps = [a.value - b.value for a, b in zip(seeds, standard, strict=True)]
    low, high = interval(gaps)
    text = f"{statistics.fmean(gaps):+.2f} [{low:+.2f}, {high:+.2f}]"
    return text if low <= 0 <= high else f"**{text}**"


def table(results: dict[str, list[Scores]], relative: bool) -> str:
    """Lay the scores out in Markdown: a row a score, a column a recipe; or their differences."""
    recipes = [recipe for recipe in results if not (relative and recipe == "standard")]
    lines = ["| | " + " | ".join(recipes) + " |", "|---" * (len(recipes) + 1) + "|"]
    for key in results["standard"][0]:
        found = {recipe: [scores[key] for scores in seeds] for recipe, seeds in results.items()}
        cells = (
            difference(found[recipe], found["standard"]) if relative else cell(found[recipe])
            for recipe in recipes
        )
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def checkpoints(folders: list[Path], recipe: str) -> list[Path]:
    """Find the networks of a recipe, in order of their seeds."""
    found = [path for folder in folders for path in folder.glob(f"world-{recipe}-?.safetensors")]
    return sorted(found, key=lambda path: path.stem)


def main() -> None:
    """Measure all checkpoints in the folders given, at most three seeds of a recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = Path(__file__).parents[1] / "registry" / "world_checkpoints"
    parser.add_argument("--checkpoints", nargs="+", type=Path, default=[shipped])
    parser.add_argument("--seeds", type=int, default=3, help="at most so many of a recipe")
    parser.add_argument("--json", type=Path, help="also write every single score here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {recipe: checkpoints(options.checkpoints, recipe) for recipe in RECIPES}
    results = {
        recipe: [measure(load(path)) for path in paths[: options.seeds]]
        for recipe, paths in found.items()
        if paths
    }
    if options.json:
        plain = {
            recipe: [{key: asdict(m) for key, m in scores.items()} for scores in seeds]
            for recipe, seeds in results.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))
    print(table(results, relative=False))
    print("\nDifference from the standard recipe, paired by seed:\n")
    print(table(results, relative=True))
    bias = "cue-conflict: shape bias"
    for recipe, score in (("stylised", bias), ("adversarial", "PGD-20 1/255")):
        ours, theirs = (
            statistics.fmean(scores[score].value for scores in results[name])
            for name in (recipe, "standard")
        )
        ratio(f"world_{recipe}_{slug(score)}", ours / theirs, "networks of the standard recipe")


if __name__ == "__main__":
    main()
