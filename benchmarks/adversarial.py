"""What attacks cost here: against the bare passes, against foolbox, and the whole curve against the naive sweep.

Process CPU time of one thread, the variants alternating in one process, medians over rounds. Prints RATIO lines.

    python benchmarks/adversarial.py --images-folder IMAGENET_SAMPLE          # EfficientNet-Lite 0
    python benchmarks/adversarial.py --model world-standard-0 --images 64     # built-in world
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import foolbox
import numpy as np
import torch
from PIL import Image

from benchmark.engine.device import keep_pages
from benchmark.engine.tuning import Tuning, feed
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.sets import subset
from registry.cards import builtin_cards
from registry.load import load_model
from registry.model import LoadedModel
from suites.adversarial.config import LINF, Config, Stage, Threat
from suites.adversarial.geometry import geometry
from suites.adversarial.pool import Pool, Problem, attack
from suites.adversarial.programs import Program, single, sweep

BALL = geometry("linf")


class Module(torch.nn.Module):
    """A forward function as a module."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)


def world_images(model: LoadedModel, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    stimuli = subset(generated_set("world-natural"), count)
    images = [stimuli.decode(i) for i in range(len(stimuli))]
    names = stimuli.labels["category"].tolist()
    return model.prepare(images, "card"), labels_of(model, names)


def folder_images(
    model: LoadedModel, folder: Path, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    files = sorted(folder.glob("*/*.JPEG"))
    files = [files[i * len(files) // count] for i in range(count)]
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return model.prepare(images, "card"), labels_of(model, [file.parent.name for file in files])


def labels_of(model: LoadedModel, names: list[str]) -> torch.Tensor:
    return torch.tensor([model.labels.classes.index(name) for name in names])


def problem(args: argparse.Namespace) -> Problem:
    """The clean-correct images of a tuned model."""
    model = load_model(builtin_cards()[args.model], weights_folder=Path("weights"))
    if args.images_folder:
        pixels, labels = folder_images(model, args.images_folder, args.images)
    else:
        pixels, labels = world_images(model, args.images)
    run = feed(model, Tuning(args.batch, True, True), device="cpu").run
    with torch.no_grad():
        right = torch.cat([run(part).argmax(1) for part in pixels.split(args.batch)]) == labels
    kept, y = pixels[right], labels[right]
    seeds = np.arange(len(kept), dtype=np.uint64)
    return Problem(run, kept, y, seeds, y[:, None], batch=args.batch)


def bare(work: Problem, passes: int) -> None:
    """So many gradient passes in full batches, and nothing else."""
    for start in range(0, passes, work.batch):
        rows = (torch.arange(start, min(start + work.batch, passes))) % len(work.images)
        x = work.images[rows].requires_grad_()
        loss = torch.nn.functional.cross_entropy(
            work.forward(x), work.labels[rows], reduction="sum"
        )
        torch.autograd.grad(loss, x)


def peer(work: Problem, epsilon: float, steps: int) -> np.ndarray:
    """foolbox's PGD in batches on the same tuned network; broken [n]."""
    network = foolbox.PyTorchModel(Module(work.forward).eval(), bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps, random_start=False)
    pairs = zip(work.images.split(work.batch), work.labels.split(work.batch), strict=True)
    return np.concatenate([pgd(network, x, y, epsilons=[epsilon])[2][0].numpy() for x, y in pairs])


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def speed(work: Problem, epsilon: float, rounds: int) -> None:
    """PGD-10 at one epsilon."""
    steps = single(Stage("ce", 10, "clean"), epsilon)
    passes = int(attack(work, BALL, steps).passes.sum())
    variants: dict[str, Callable[[], object]] = {
        "here": lambda: attack(work, BALL, steps),
        "bare": lambda: bare(work, passes),
        "foolbox": lambda: peer(work, epsilon, 10),
    }
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            taken[name].append(seconds(variant))
    n = len(work.images)
    print(f"PGD-10 at {epsilon * 255:g}/255, {n} images: {passes} passes of {10 * n}")
    for other in ("bare", "foolbox"):
        ratios = [a / b for a, b in zip(taken["here"], taken[other], strict=True)]
        spread = f"{min(ratios):.3f} ... {max(ratios):.3f}"
        print(f"RATIO here/{other} {statistics.median(ratios):.3f} ({spread}, {rounds} rounds)")


def naive(work: Problem, threat: Threat, stage: Stage) -> tuple[np.ndarray, int]:
    """Every epsilon on its own for all images: smallest epsilon that breaks each, and its passes."""
    smallest = np.full(len(work.images), np.inf)
    for epsilon in reversed(threat.epsilons):
        broken = attack(work, BALL, single(stage, epsilon)).broken >= 0
        smallest[broken] = epsilon
    return smallest, len(work.images) * len(threat.epsilons) * stage.steps


def found(pool: Pool, steps: Program) -> np.ndarray:
    return np.where(pool.broken >= 0, steps.epsilon[pool.broken], np.inf)


def curve(work: Problem) -> None:
    """Six epsilons with PGD-40, chained from small to large."""
    threat, stage = Threat("linf", LINF.epsilons), Stage("ce", 40, "clean")
    steps = sweep(threat, Config((threat,), (stage,)))
    pool = attack(work, BALL, steps)
    alone, budget = naive(work, threat, stage)
    weaker = (found(pool, steps) > alone).mean()
    passes, plain = int(pool.passes.sum()), int(pool.forwards.sum())
    print(f"PGD-40 at six epsilons: {passes} passes and {plain} forwards of {budget} passes")
    print(f"RATIO passes here/naive {passes / budget:.3f}")
    print(f"RATIO images that the naive sweep breaks sooner {weaker:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--images-folder", type=Path, help="one folder per WordNet id")
    parser.add_argument("--images", type=int, default=25)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epsilon", type=float, default=1.0, help="in 1/255")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-curve", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_pages()
    work = problem(args)
    speed(work, args.epsilon / 255, args.rounds)
    if not args.no_curve:
        curve(work)


if __name__ == "__main__":
    main()
