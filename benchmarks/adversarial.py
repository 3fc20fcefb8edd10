"""What attacks cost here: against the libraries, and the whole curve against the naive sweep.

Process CPU time of one thread, the variants by turns in one process.

    python benchmarks/adversarial.py                                          # built-in world
    python benchmarks/adversarial.py --model efficientnet-lite0 --images-folder IMAGENET_SAMPLE
"""

import argparse
import copy
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import by_turns, cpu, need_packages, ratio

from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.world.sets import generated_set
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network
from registry.model import LoadedModel
from suites.adversarial.attacks.pgd import Ascent, schedule, threat_schedule
from suites.adversarial.attacks.problem import Problem
from suites.adversarial.config import LINF, AdversarialConfig, Stage, Threat

USERS_BATCH = 25
Attack = Callable[[torch.Tensor, torch.Tensor], np.ndarray]


class Module(torch.nn.Module):
    """A forward function as a module. own: a module whose parameters are counted as its own."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor], own: torch.nn.Module) -> None:
        super().__init__()
        self.run, self.own = run, own
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)


def as_a_user_has_it(model: LoadedModel) -> Module:
    """The network as a user hands it to a library: nothing folded, parameters that ask for gradients."""
    module = copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return Module(lambda x: module(model.normalise(x)), module)


def problem(args: argparse.Namespace, model: LoadedModel) -> Problem:
    """The clean-correct images of a tuned model: of the built-in world, or of a folder of class folders."""
    if args.images_folder:
        files = sorted(args.images_folder.glob("*/*.JPEG"))
        files = [files[i * len(files) // args.images] for i in range(args.images)]
        images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
        names = [file.parent.name for file in files]
    else:
        stimuli = subset(generated_set("world-natural"), args.images)
        images = [stimuli.decode(i) for i in range(len(stimuli))]
        names = stimuli.labels["category"].tolist()
    pixels = model.prepare(images, "card")
    labels = torch.tensor([model.labels.classes.index(name) for name in names])
    run = feed(model, Tuning(args.batch), device="cpu").run
    with torch.no_grad():
        right = torch.cat([run(part).argmax(1) for part in pixels.split(args.batch)]) == labels
    kept, y = pixels[right], labels[right]
    seeds = np.arange(len(kept), dtype=np.uint64)
    return Problem(forward=run, images=kept, labels=y, seeds=seeds, targets=y[:, None], batch=args.batch)


def foolbox_pgd(network: torch.nn.Module, epsilon: float, steps: int) -> Attack:
    """foolbox's PGD without random start; broken [n]."""
    foolbox = importlib.import_module("foolbox")
    wrapped = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps, random_start=False)
    return lambda x, y: pgd(wrapped, x, y, epsilons=[epsilon])[2][0].numpy()


def peers(work: Problem, model: LoadedModel, epsilon: float) -> dict[str, Callable[[], np.ndarray]]:
    """foolbox on the network as a user has it, and on the one tuned here; each gives verdicts [n]."""

    def judge(network: torch.nn.Module, batch: int) -> Callable[[], np.ndarray]:
        other = foolbox_pgd(network, epsilon, 10)
        parts = list(zip(work.images.split(batch), work.labels.split(batch), strict=True))
        return lambda: np.concatenate([other(x.contiguous(), y) for x, y in parts])

    return {
        "foolbox-as-a-user-has-it": judge(as_a_user_has_it(model), USERS_BATCH),
        "foolbox-on-the-network-tuned-here": judge(Module(work.forward, model.module), work.batch),
    }


def speed(work: Problem, model: LoadedModel, epsilon: float) -> None:
    steps = schedule([(Stage(loss="ce", steps=10, start="clean"), epsilon)])
    pool = Ascent(work, "linf", steps)
    passes, n = int(pool.passes.sum()), len(work.images)
    print(f"PGD-10 at {epsilon * 255:g}/255, {n} images: {passes} passes of {10 * n}")
    others = peers(work, model, epsilon)
    rounds = by_turns([partial(cpu, one) for one in (lambda: Ascent(work, "linf", steps), *others.values())])
    for name, taken in zip(others, rounds.T[1:], strict=True):
        ratio(f"adversarial_pgd10/{name}", float(np.median(rounds[:, 0] / taken)), f"{name}; lower is faster")


def curve(work: Problem) -> None:
    """Six epsilons with PGD-40, chained from small to large, against every epsilon on its own for all images."""
    threat, stage = Threat(norm="linf", epsilons=LINF.epsilons), Stage(loss="ce", steps=40, start="clean")
    steps = threat_schedule(threat, AdversarialConfig(threats=(threat,), stages=(stage,)))
    pool = Ascent(work, "linf", steps)
    each = len(threat.epsilons) * stage.steps
    passes, n = int(pool.passes.sum()), len(work.images)
    print(f"PGD-40 at six epsilons, {n} images: {passes} passes; naive {each * n}")
    ratio("adversarial_curve_passes", passes / (each * n), "naive sweep of the clean-correct images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="world-standard-0")
    parser.add_argument("--images-folder", type=Path, help="one folder per WordNet id")
    parser.add_argument("--images", type=int, default=28)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epsilon", type=float, default=1.0, help="in 1/255")
    args = parser.parse_args()
    need_packages("foolbox")
    torch.set_num_threads(1)
    model = load_network(builtin_cards()[args.model], WeightSources(weights_folder=Path("weights")))
    work = problem(args, model)
    speed(work, model, args.epsilon / 255)
    curve(work)


if __name__ == "__main__":
    main()
