"""What attacks cost here: against the bare passes, against the libraries, and the whole curve against the naive sweep.

Process CPU time of one thread, the variants alternating in one process, medians over rounds. Prints RATIO lines.

    python benchmarks/adversarial.py                                          # built-in world
    python benchmarks/adversarial.py --model efficientnet-lite0 --images-folder IMAGENET_SAMPLE
    python benchmarks/adversarial.py --model efficientnet-lite0 --images-folder IMAGENET_SAMPLE --only batches

torchattacks pins packages that we need newer. Where BENCH_TORCHATTACKS names a folder made by
`pip install --no-deps --target FOLDER torchattacks`, it takes part; else it is left out, and that is said.
"""

import argparse
import copy
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import need_packages, ratio

from benchmark.engine.devices import Tuning, feed, keep_pages
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.generated import generated_set
from registry.cards import builtin_cards
from registry.files import Place
from registry.loading import load_model
from registry.model import LoadedModel
from suites.adversarial.attacks.apgd_state import Schedule, single, sweep
from suites.adversarial.attacks.pgd import Pool, attack
from suites.adversarial.attacks.problem import Problem, geometry
from suites.adversarial.config import LINF, QUICK, Config, Stage, Threat

BALL = geometry("linf")
USERS_BATCH = 25
Attack = Callable[[torch.Tensor, torch.Tensor], np.ndarray]


class Module(torch.nn.Module):
    """A forward function as a module. own: a module whose parameters are counted as its own."""

    def __init__(
        self, run: Callable[[torch.Tensor], torch.Tensor], own: torch.nn.Module | None = None
    ) -> None:
        super().__init__()
        self.run = run
        self.own = own
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)


def as_a_user_has_it(model: LoadedModel) -> Module:
    """The network as a user hands it to a library: nothing folded, parameters that ask for gradients."""
    module = copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return Module(lambda x: module(model.normalise(x)), module)


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


def problem(args: argparse.Namespace, model: LoadedModel) -> Problem:
    """The clean-correct images of a tuned model."""
    if args.images_folder:
        pixels, labels = folder_images(model, args.images_folder, args.images)
    else:
        pixels, labels = world_images(model, args.images)
    run = feed(model, Tuning(args.batch), device="cpu").run
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


def foolbox_pgd(network: torch.nn.Module, epsilon: float, steps: int) -> Attack:
    """foolbox's PGD without random start; broken [n]."""
    foolbox = importlib.import_module("foolbox")
    wrapped = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps, random_start=False)
    return lambda x, y: pgd(wrapped, x, y, epsilons=[epsilon])[2][0].numpy()


def torchattacks_pgd(network: torch.nn.Module, epsilon: float, steps: int) -> Attack:
    """torchattacks' PGD without random start; broken [n]. It returns images, which are judged afterwards."""
    torchattacks = importlib.import_module("torchattacks")
    pgd = torchattacks.PGD(network, epsilon, 2.5 * epsilon / steps, steps, random_start=False)

    def run(x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
        point = pgd(x, y)
        with torch.no_grad():
            return (network(point).argmax(1) != y).numpy()

    return run


def peers(work: Problem, model: LoadedModel, epsilon: float) -> dict[str, tuple[Attack, int]]:
    """Other implementations with their batch size: on the network as a user has it, and on the one tuned here."""
    makers = {"foolbox": foolbox_pgd}
    folder = os.environ.get("BENCH_TORCHATTACKS", "")
    if Path(folder, "torchattacks").is_dir():
        sys.path.append(folder)
        makers["torchattacks"] = torchattacks_pgd
    else:
        print("torchattacks left out: BENCH_TORCHATTACKS names no folder that holds it")
    users, tuned = as_a_user_has_it(model), Module(work.forward, model.module)
    return {
        f"{name}-{where}": (make(network, epsilon, 10), batch)
        for name, make in makers.items()
        for where, network, batch in (
            ("as-a-user-has-it", users, USERS_BATCH),
            ("on-the-network-tuned-here", tuned, work.batch),
        )
    }


def in_batches(work: Problem, attack_: Attack, batch: int) -> np.ndarray:
    """A library's verdicts [n]."""
    parts = zip(work.images.split(batch), work.labels.split(batch), strict=True)
    return np.concatenate([attack_(x.contiguous(), y) for x, y in parts])


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def speed(work: Problem, model: LoadedModel, epsilon: float, rounds: int) -> None:
    """PGD-10 at one epsilon."""
    steps = single(Stage("ce", 10, "clean"), epsilon)
    pool = attack(work, BALL, steps)
    passes, n = int(pool.passes.sum()), len(work.images)
    print(f"PGD-10 at {epsilon * 255:g}/255, {n} images: {passes} passes of {10 * n}")
    variants: dict[str, Callable[[], object]] = {
        "here": lambda: attack(work, BALL, steps),
        "bare-passes": lambda: bare(work, passes),
    }
    for name, (other, batch) in peers(work, model, epsilon).items():
        variants[name] = lambda other=other, batch=batch: in_batches(work, other, batch)
        apart = int((in_batches(work, other, batch) != (pool.broken >= 0)).sum())
        print(f"verdicts of {name} that differ: {apart} of {n}")
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            taken[name].append(seconds(variant))
    for name in list(variants)[1:]:
        ratios = [a / b for a, b in zip(taken["here"], taken[name], strict=True)]
        spread = f"{min(ratios):.3f} ... {max(ratios):.3f}"
        middle = statistics.median(ratios)
        ratio(
            f"adversarial_pgd10/{name}",
            middle,
            f"{name}; {spread} in {rounds} rounds; lower is faster",
        )


def naive(work: Problem, threat: Threat, stage: Stage) -> tuple[np.ndarray, int]:
    """Every epsilon on its own for all images: smallest epsilon that breaks each, and its passes."""
    smallest = np.full(len(work.images), np.inf)
    for epsilon in reversed(threat.epsilons):
        broken = attack(work, BALL, single(stage, epsilon)).broken >= 0
        smallest[broken] = epsilon
    return smallest, len(work.images) * len(threat.epsilons) * stage.steps


def found(pool: Pool, steps: Schedule) -> np.ndarray:
    """The smallest epsilon that breaks each image."""
    return np.where(pool.broken >= 0, steps.epsilon[pool.broken], np.inf)


def curve(work: Problem, images: int) -> None:
    """Six epsilons with PGD-40, chained from small to large. images: clean-correct or not: the naive sweep attacks
    them all."""
    threat, stage = Threat("linf", LINF.epsilons), Stage("ce", 40, "clean")
    steps = sweep(threat, Config((threat,), (stage,)))
    pool = attack(work, BALL, steps)
    alone, budget = naive(work, threat, stage)
    sooner = int((found(pool, steps) > alone).sum())
    later = int((found(pool, steps) < alone).sum())
    passes, plain, n = int(pool.passes.sum()), int(pool.forwards.sum()), len(work.images)
    everything = budget * images // n
    print(f"PGD-40 at six epsilons, {n} images: {passes} passes, {plain} forwards; naive {budget}")
    for name, smallest in (("here", found(pool, steps)), ("naive", alone)):
        left = [int((smallest > epsilon).sum()) for epsilon in threat.epsilons]
        print(f"standing ({name}): {' '.join(map(str, left))}")
    ratio("adversarial_curve_passes", passes / budget, "naive sweep of the clean-correct images")
    ratio(
        "adversarial_curve_passes_all", passes / everything, f"naive sweep of all {images} images"
    )
    print(
        f"images that the naive sweep breaks at a smaller epsilon: {sooner} of {n}; here: {later}"
    )


def batches(work: Problem, sizes: tuple[int, ...] = (1, 7, 32)) -> None:
    """Verdicts of the default sweeps in batches of several sizes, the images in another order each time."""
    random = np.random.default_rng(0)
    for threat in QUICK.threats:
        steps = sweep(threat, QUICK)
        verdicts = []
        for size in sizes:
            order = random.permutation(len(work.images))
            shuffled = replace(
                work, images=work.images[order], labels=work.labels[order], batch=size
            )
            there = found(attack(shuffled, geometry(threat.norm), steps), steps)
            verdicts.append(there[np.argsort(order)])
        tries = len(work.images) * len(threat.epsilons)
        grid = np.array(threat.epsilons)
        for size, other in zip(sizes[1:], verdicts[1:], strict=True):
            apart = ((verdicts[0][:, None] > grid) != (other[:, None] > grid)).sum()
            print(f"{threat.norm}: batches of {sizes[0]} and {size}: {apart} of {tries} apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="world-standard-0")
    parser.add_argument("--images-folder", type=Path, help="one folder per WordNet id")
    parser.add_argument("--images", type=int, default=28)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epsilon", type=float, default=1.0, help="in 1/255")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["speed", "curve", "batches"])
    args = parser.parse_args()
    need_packages("foolbox")
    torch.set_num_threads(1)
    keep_pages()
    model = load_model(builtin_cards()[args.model], Place(Path("weights")))
    work = problem(args, model)
    if args.only in (None, "speed"):
        speed(work, model, args.epsilon / 255, args.rounds)
    if args.only in (None, "curve"):
        curve(work, args.images)
    if args.only in (None, "batches"):
        batches(work)


if __name__ == "__main__":
    main()
